"""Kernels on a CPU, by Triton's interpreter: slow, and exact about every load and store."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

import pytest

_interpreter: dict[str, ModuleType] = {}
"""Triton imported for interpreting, and what was imported with it."""

_replaced_for: set[str] = set()
"""Modules of Triton whose language is replaced."""


@contextmanager
def interpreted(name: str) -> Iterator[ModuleType]:
    """A module of `lehr.kernels` whose kernels run on CPU tensors.

    Triton decides when it is imported, for its own functions too; so another import of it is made, kept apart from the
    one that torch has.

    Args:
        name: of the module, e.g. "trial".
    """
    pytest.importorskip("triton")
    kept = _taken()
    sys.modules.update(_interpreter)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TRITON_INTERPRET", "1")
        interpreter = importlib.import_module("triton.runtime.interpreter")
        patch.setattr(interpreter.InterpretedFunction, "__call__", _called)
        try:
            yield importlib.import_module(f"lehr.kernels.{name}")
        finally:
            _interpreter.update(_taken())
            sys.modules.update(kept)


def _called(function: Any, *args: Any, **named: Any) -> Any:
    """Call a function of a kernel, and replace Triton's language for it only where nothing else has.

    The kernel has done so for Lehr's functions; for Triton's own, which see another module, it is done for good.
    """
    home = function.fn.__module__
    if home.startswith("triton.") and home not in _replaced_for:
        _replaced_for.add(home)
        sys.modules["triton.runtime.interpreter"]._patch_lang(function.fn)
    return function.rewrite()(*args, **named)


def _taken() -> dict[str, ModuleType]:
    """All of Triton in Python and the modules that hold kernels, taken out of `sys.modules`."""
    own = [name for name in sys.modules if _is_tritons(name)]
    return {name: sys.modules.pop(name) for name in own}


def _is_tritons(name: str) -> bool:
    if name.startswith("triton._C"):  # compiled code can be loaded once
        return False
    holds_kernels = name.startswith("lehr.kernels.") and name != "lehr.kernels.support"
    return name == "triton" or name.startswith("triton.") or holds_kernels
