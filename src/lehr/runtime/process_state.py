"""Leaving the process as it was found: training changes settings that belong to whoever imports Lehr."""

from __future__ import annotations

import contextlib
import ctypes
import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np
import torch

from lehr.runtime.environment import preserve_environment

LOGGER = "torch.utils.cpp_extension"
"""The logger that a compiled run silences."""
OMP_PAUSE_SOFT = 1


@contextmanager
def preserve_process_state() -> Iterator[None]:
    """Put back, however the block ends, what a run sets for the whole process, and compute in torch's own modes.

    These are the count of threads, whether denormal numbers count as zero, the choice of algorithms on CUDA, the
    current CUDA device, torch's environment variables and the level of its logger, and the modes of `default_modes`.
    """
    threads, flushed = torch.get_num_threads(), flushes_denormals()
    cudnn = torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic
    deterministic = torch.are_deterministic_algorithms_enabled()
    warn_only = torch.is_deterministic_algorithms_warn_only_enabled()
    fill = torch.utils.deterministic.fill_uninitialized_memory  # type: ignore[attr-defined]  # missing in its stubs
    device = torch.cuda.current_device() if torch.cuda.is_initialized() else 0  # type: ignore[no-untyped-call]
    level = logging.getLogger(LOGGER).level
    _release_threads()
    try:
        with preserve_environment(), default_modes():
            yield
    finally:
        torch.set_num_threads(threads)
        torch.set_flush_denormal(flushed)
        _release_threads()
        torch.backends.cudnn.benchmark, torch.backends.cudnn.deterministic = cudnn
        torch.use_deterministic_algorithms(deterministic, warn_only=warn_only)
        torch.utils.deterministic.fill_uninitialized_memory = fill  # type: ignore[attr-defined]
        if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
            torch.cuda.set_device(device)
        logging.getLogger(LOGGER).setLevel(level)


@contextmanager
def default_modes() -> Iterator[None]:
    """Compute in the modes in which torch and NumPy start, however a notebook has set them; put these back at the end.

    These are the default dtype (float32) and device (the CPU), gradients (on), inference mode and autocast (off), and
    what NumPy does about overflow and division by zero (warn).
    """
    dtype = torch.get_default_dtype()
    with ExitStack() as modes:
        if dtype != torch.float32:
            torch.set_default_dtype(torch.float32)
            modes.callback(torch.set_default_dtype, dtype)
        modes.enter_context(torch.inference_mode(mode=False))
        modes.enter_context(torch.enable_grad())
        if torch.get_default_device().type != "cpu":
            modes.enter_context(torch.device("cpu"))
        for device in ("cpu", "cuda"):
            if torch.is_autocast_enabled(device):
                modes.enter_context(torch.autocast(device, enabled=False))
        modes.enter_context(np.errstate(divide="warn", over="warn", under="ignore", invalid="warn"))
        yield


def flushes_denormals() -> bool:
    """Return whether this thread takes numbers too small for full precision as zero, by computing one."""
    smallest = sys.float_info.min
    return smallest / 2 == 0


def _release_threads() -> None:
    """End OpenMP's idle threads: those to come take over how this one treats denormal numbers."""
    with contextlib.suppress(OSError, AttributeError):  # no OpenMP, or one older than its version 5
        ctypes.CDLL(None).omp_pause_resource_all(OMP_PAUSE_SOFT)
