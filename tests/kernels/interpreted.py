"""Kernels on a CPU, by Triton's interpreter: slow, and exact about every load and store."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType

import pytest


@contextmanager
def interpreted(name: str) -> Iterator[ModuleType]:
    """A module of `lehr.kernels` whose kernels run on CPU tensors.

    Args:
        name: of the module, e.g. "trial".
    """
    pytest.importorskip("triton")
    whole = f"lehr.kernels.{name}"
    kept = sys.modules.pop(whole, None)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")  # read when a kernel is defined, and when one is launched
        try:
            yield importlib.import_module(whole)
        finally:
            sys.modules.pop(whole, None)
            if kept is not None:
                sys.modules[whole] = kept
