"""Choosing a device by its name, and using all of it."""

from __future__ import annotations

import functools
import math
import os
from typing import Any

import torch

from lehr.errors import InputError
from lehr.runtime.compiled_code import keep_compiled_code
from lehr.runtime.control_groups import core_limit

DeviceName = str | int | torch.device | None
"""A device in Python: as the shell names it, a CUDA index, or torch's own; None for `auto`."""


def pick_device(name: DeviceName) -> torch.device:
    """The device that an option names.

    Args:
        name: `auto` (CUDA, else Apple's MPS, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`, or a CUDA index as `0`.

    Raises:
        InputError: there is no such device here.
    """
    wanted = "auto" if name is None else str(name).strip().lower()
    if wanted == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda", 0)
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    if wanted.isdigit():
        wanted = f"cuda:{wanted}"
    if wanted == "cpu":
        return torch.device("cpu")
    if wanted == "mps":
        if not torch.backends.mps.is_available():
            raise InputError("--device mps: this machine has no MPS device. Use --device cpu.")
        return torch.device("mps")
    kind, _, index = wanted.partition(":")
    if kind != "cuda" or (index and not index.isdigit()):
        raise InputError(f"--device {name}: not a device. Use auto, cpu, cuda, mps, a CUDA index such as 0, or 0,1.")
    if not torch.cuda.is_available():
        raise InputError(f"--device {name}: PyTorch sees no CUDA device here. Use --device cpu.")
    number = int(index or 0)
    if number >= torch.cuda.device_count():
        raise InputError(f"--device {name}: there are {torch.cuda.device_count()} CUDA devices, counted from 0.")
    return torch.device("cuda", number)


def describe_device(device: torch.device) -> str:
    """One line for people: the device and what it has."""
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        return f"{device} ({properties.name}, {properties.total_memory / 2**30:.0f} GiB)"
    if device.type == "cpu":
        return f"cpu ({torch.get_num_threads()} threads)"
    return str(device)


def configure_backend(device: torch.device, processes: int = 1) -> None:
    """Make a training step faster on this device, changing no result beyond rounding.

    On a CPU: as many threads as the process may use, shared by the processes that train together, and denormal numbers,
    which are slow and mean nothing here, as zero. On CUDA: TensorFloat-32 off stays torch's choice; convolutions are
    tuned for the shapes of the run, unless deterministic algorithms were asked for.

    Args:
        device: where the process computes.
        processes: how many share this machine's cores.

    Raises:
        InputError: others could have changed the compiled kernels that are kept.
    """
    if device.type == "cpu":
        torch.set_num_threads(max(1, available_cores() // processes))
        torch.set_flush_denormal(True)
    elif device.type == "cuda":
        keep_compiled_code()
        torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()


def expect_changing_shapes(device: torch.device) -> bool:
    """Have cuDNN take kernels without trying them out, where each of many shapes would be tried for itself.

    Args:
        device: where the process computes.

    Returns:
        Whether that changed anything.
    """
    if device.type != "cuda" or not torch.backends.cudnn.benchmark:
        return False
    torch.backends.cudnn.benchmark = False
    return True


@functools.cache
def side_stream(device: torch.device, purpose: str) -> Any:
    """Return the CUDA stream that a process has for a purpose, made once.

    Torch's allocator keeps free memory apart by stream: a new one for each epoch would take new memory each time.

    Args:
        device: a CUDA device.
        purpose: what runs on it, e.g. "input".
    """
    return torch.cuda.Stream(device)  # type: ignore[no-untyped-call]


def set_deterministic(on: bool) -> None:
    """Let CUDA take only operations that give the same bits each time, or the fastest.

    An operation that has no such form warns and is used all the same. cuBLAS reads its setting once, so it is made
    before the first use of CUDA where possible.
    """
    if on:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.backends.cudnn.benchmark = not on
    torch.backends.cudnn.deterministic = on
    torch.use_deterministic_algorithms(on, warn_only=True)
    torch.utils.deterministic.fill_uninitialized_memory = False  # type: ignore[attr-defined]  # missing in its stubs


def wait_for(device: torch.device) -> None:
    """Until CUDA has done what it was asked for; other devices are not waited for."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def available_cores() -> int:
    """Cores that this process may run on, or as many as a container lets it have the time of."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        cores = os.cpu_count() or 1
    limit = core_limit()
    return cores if limit is None else max(1, min(cores, math.ceil(limit)))
