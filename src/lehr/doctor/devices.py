"""Devices, their memory, and the precisions that really work on them."""

from __future__ import annotations

import time
import warnings
from dataclasses import dataclass

import torch
from torch.nn import functional

from lehr.doctor.machine import Machine, threads_of_training
from lehr.techniques.precision_support import native, works

PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}

CHANNELS, SIDE = 64, 80
"""The convolution that is timed: a layer in the middle of a YOLOv8s at 640 pixels."""
BATCH = {"cpu": 4}
"""Images of it; 64 elsewhere, since with few a GPU shows only how fast it is started."""
SECONDS = 0.5
"""The longest step that is timed in full."""
REPEATS = 4


@dataclass(frozen=True, slots=True)
class Precision:
    """A precision on a device.

    Attributes:
        name: float32, bfloat16 or float16.
        works: whether a convolution ran forward and backward with the right numbers.
        native: whether the hardware has instructions for it.
        seconds: a step of a convolution of realistic size; None where it does not work or did not fit.
        speed: times float32's speed; None where either is not known.
    """

    name: str
    works: bool
    native: bool
    seconds: float | None
    speed: float | None


@dataclass(frozen=True, slots=True)
class Device:
    """A device. Sizes are bytes; None where it does not report them.

    Attributes:
        name: as `--device` takes it.
        kind: cpu, cuda or mps.
        description: what its maker calls it.
        memory_total: its memory; the machine's for the CPU.
        memory_free: what is free of it.
        capability: compute capability of a CUDA device.
        precisions: each that was tried.
    """

    name: str
    kind: str
    description: str
    memory_total: int | None
    memory_free: int | None
    capability: tuple[int, int] | None
    precisions: tuple[Precision, ...]

    @property
    def trains(self) -> bool:
        """True if a float32 step works, which every training needs."""
        return any(precision.works for precision in self.precisions if precision.name == "float32")


def all_devices() -> list[torch.device]:
    """The devices of this machine, the ones that `--device auto` prefers first."""
    cuda = torch.cuda.device_count() if torch.cuda.is_available() else 0
    found = [torch.device("cuda", index) for index in range(cuda)]
    if torch.backends.mps.is_available():
        found.append(torch.device("mps"))
    return [*found, torch.device("cpu")]


def examine_device(device: torch.device, machine: Machine) -> Device:
    """Memory and precisions of a device; takes a few seconds.

    Args:
        device: the device.
        machine: for the CPU's name and memory.
    """
    with warnings.catch_warnings(), threads_of_training():
        warnings.simplefilter("ignore")  # torch warns of a GPU that it was not built for: the doctor says so itself
        description, total, free, capability = _describe(device, machine)
        precisions = _try_precisions(device)
    return Device(str(device), device.type, description, total, free, capability, precisions)


def step_seconds(device: torch.device, dtype: torch.dtype) -> float | None:
    """Seconds of a convolution forward and backward under autocast, the best of a few; None where it cannot run.

    Where a single image shows that a step takes longer than there is time for, it stands for the others.

    Args:
        device: where.
        dtype: float32, bfloat16 or float16.
    """
    batch = BATCH.get(device.type, 64)
    try:
        single = min(_steps(device, dtype, 1, 1 if device.type == "cpu" else 2))  # a GPU loads its code at the first
        if single * batch > SECONDS:
            return single * batch
        return min(_steps(device, dtype, batch, 1 + REPEATS)[1:])  # the first chooses algorithms and takes memory
    except RuntimeError:  # most of all: no room for it
        return None


def _steps(device: torch.device, dtype: torch.dtype, batch: int, count: int) -> list[float]:
    """Seconds of each of some steps on some images."""
    random = torch.Generator().manual_seed(0)
    image = torch.rand(batch, CHANNELS, SIDE, SIDE, generator=random).to(device)
    image = image.contiguous(memory_format=torch.channels_last).requires_grad_()
    kernel = torch.rand(CHANNELS, CHANNELS, 3, 3, generator=random).to(device).requires_grad_()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        with torch.autocast(device.type, dtype=dtype, enabled=dtype != torch.float32):
            output = functional.conv2d(image, kernel, padding=1)
        torch.autograd.grad(output, (image, kernel), torch.ones_like(output))
        _wait(device)
        times.append(time.perf_counter() - start)
    return times


def _try_precisions(device: torch.device) -> tuple[Precision, ...]:
    found: list[Precision] = []
    for name, dtype in PRECISIONS.items():
        does = works(device, dtype)
        seconds = step_seconds(device, dtype) if does else None
        base = found[0].seconds if found else seconds
        speed = base / seconds if base is not None and seconds is not None else None
        found.append(Precision(name, does, native(device, dtype), seconds, speed))
    return tuple(found)


def _describe(device: torch.device, machine: Machine) -> tuple[str, int | None, int | None, tuple[int, int] | None]:
    """Name, memory in all and free, and compute capability of a device."""
    if device.type == "cuda":
        name, capability = "CUDA device", None
        try:
            properties = torch.cuda.get_device_properties(device)
            name, capability = properties.name, (properties.major, properties.minor)
            free, total = torch.cuda.mem_get_info(device)
        except RuntimeError:  # a device that fails, or that another process holds: the trials say so too
            return name, None, None, capability
        return name, total, free, capability
    if device.type == "mps":
        return "Apple GPU", torch.mps.recommended_max_memory(), None, None
    return machine.cpu or "CPU", machine.memory_total, machine.memory_free, None


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()
