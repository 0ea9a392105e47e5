"""A trial of torch.compile: a tiny function, compiled from scratch and compared."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor

from lehr.runtime.compiled_code import INDUCTOR, TRITON
from lehr.runtime.environment import preserve_environment


@dataclass(frozen=True, slots=True)
class Compilation:
    """torch.compile on a kind of device.

    Attributes:
        kind: cpu, cuda or mps.
        works: whether the compiled function gave the same numbers.
        seconds: what it took; None if it was not tried or failed.
        compiler: the C++ compiler that was found; None if there is none.
        reason: why it does not work; None if it does.
    """

    kind: str
    works: bool
    seconds: float | None
    compiler: str | None
    reason: str | None


def examine_compilation(device: torch.device) -> Compilation:
    """Compile a tiny function where the tools for it are here; what it writes goes to a temporary folder.

    Args:
        device: where the function runs.
    """
    compiler = find_compiler()
    reason = None
    if compiler is None and device.type != "mps":
        reason = f"no C++ compiler ({_compiler_name()}); install one, or name it in CXX"
    elif device.type == "cuda" and importlib.util.find_spec("triton") is None:
        reason = "no Triton: pip install triton"
    if reason is not None:
        return Compilation(device.type, False, None, compiler, reason)
    start = time.perf_counter()
    try:
        with _quiet(), _own_cache():
            same = _compiled_is_same(device)
    except Exception as error:  # compilers fail in a hundred ways
        first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
        return Compilation(device.type, False, None, compiler, f"{type(error).__name__}: {first}")
    finally:
        torch.compiler.reset()
    seconds = time.perf_counter() - start
    return Compilation(
        device.type, same, seconds, compiler, None if same else "the compiled function gave other numbers"
    )


def find_compiler() -> str | None:
    """Path of the C++ compiler that torch.compile would use; None if there is none."""
    return shutil.which(_compiler_name())


def _compiler_name() -> str:
    return os.environ.get("CXX") or {"darwin": "clang++", "win32": "cl"}.get(sys.platform, "g++")


def _compiled_is_same(device: torch.device) -> bool:
    import torch._inductor.config as inductor

    def function(values: Tensor) -> Tensor:
        return (values * 2 + 1).relu()

    # No test of vector instructions, no precompiled headers, no pool of processes: each takes longer than all the rest,
    # and pays only for what is compiled after it.
    fast = {"cpp.vec_isa_ok": False, "cpp_cache_precompile_headers": False, "compile_threads": 1}
    with inductor.patch({name: value for name, value in fast.items() if _has(inductor, name)}):
        values = torch.linspace(-2, 2, 4096).to(device)
        compiled = torch.compile(function, dynamic=False, fullgraph=True)
        return torch.allclose(compiled(values), function(values))


def _has(config: object, name: str) -> bool:
    for part in name.split("."):
        if not hasattr(config, part):
            return False
        config = getattr(config, part)
    return True


@contextmanager
def _own_cache() -> Iterator[None]:
    """An empty cache, so that something is compiled; it goes afterwards."""
    with tempfile.TemporaryDirectory(prefix="lehr-", ignore_cleanup_errors=True) as folder, preserve_environment():
        os.environ.update({INDUCTOR: folder, TRITON: folder})
        yield


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that torch gives while it compiles; what matters is the result."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
