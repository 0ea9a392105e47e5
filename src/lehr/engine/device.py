"""Choosing the device, and using all of it."""

from __future__ import annotations

import os

import torch

from lehr.distributed.environment import World, world
from lehr.errors import InputError
from lehr.options import DeviceOptions


def processes_here(options: DeviceOptions) -> int:
    """Processes that a command starts on this machine; 1 where it trains by itself.

    Raises:
        InputError: devices and processes do not fit together.
    """
    names = _names(options.device)
    if len(set(names)) < len(names):
        raise InputError(f"--device {options.device}: names a device twice.")
    if options.parallel == "dp":
        if (options.processes or 1) > 1:
            raise InputError("--parallel dp: is one process for all devices; leave out --processes, or use ddp.")
        return 1
    if len(names) > 1 and options.processes not in (None, len(names)):
        raise InputError(
            f"--device {options.device}: names {len(names)} devices for {options.processes} processes. Leave out "
            "--processes: there is one a device."
        )
    return len(names) if len(names) > 1 else options.processes or 1


def own_device(options: DeviceOptions, place: World) -> torch.device:
    """The device of this process.

    Args:
        options: name the devices.
        place: the processes that were started together with this one.

    Raises:
        InputError: there is no device for it.
    """
    names = _names(options.device)
    if place.local_count == 1 or len(names) > 1:
        if place.local_rank >= len(names):
            raise InputError(
                f"--device {options.device}: names {len(names)} devices for {place.local_count} processes a machine."
            )
        return pick_device(names[place.local_rank])
    first = pick_device(names[0])
    if first.type == "cpu":
        return first
    if names[0] not in ("auto", "cuda"):
        raise InputError(
            f"--device {options.device}: is one device for {place.local_count} processes a machine. Name one for each, "
            "such as 0,1, or use --device cuda for the first ones."
        )
    if first.type != "cuda":
        raise InputError(f"--device {options.device}: {first} cannot be shared by processes. Use --device cpu.")
    return pick_device(str(place.local_rank))


def data_parallel_devices(options: DeviceOptions) -> list[torch.device]:
    """The devices of `--parallel dp`, the first of which has the model.

    Raises:
        InputError: they are not several CUDA devices.
    """
    names = _names(options.device)
    if len(names) == 1 and names[0] in ("auto", "cuda"):
        names = [str(index) for index in range(torch.cuda.device_count())]
    devices = [pick_device(name) for name in names]
    if len(devices) < 2 or any(device.type != "cuda" for device in devices):
        raise InputError(
            f"--parallel dp: DataParallel needs several CUDA devices, and --device {options.device} is "
            f"{', '.join(map(str, devices)) or 'none here'}. --parallel ddp also takes --device cpu --processes 2."
        )
    return devices


def _names(devices: str) -> list[str]:
    return [name.strip().lower() for name in devices.split(",")]


def pick_device(name: str) -> torch.device:
    """The device that an option names.

    Args:
        name: `auto` (CUDA, else Apple's MPS, else the CPU), `cpu`, `cuda`, `cuda:1`, `mps`, or a CUDA index as `0`.

    Raises:
        InputError: there is no such device here.
    """
    wanted = name.strip().lower()
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


def use_whole_machine(device: torch.device) -> None:
    """Settings that make a training step faster on this device and change no result beyond rounding.

    On a CPU: as many threads as the process may use, shared by the processes that train together, and denormal numbers,
    which are slow and mean nothing here, as zero. On CUDA: TensorFloat-32 off stays torch's choice; convolutions are
    tuned for the shapes of the run, unless deterministic algorithms were asked for.
    """
    if device.type == "cpu":
        torch.set_num_threads(max(1, available_cores() // world().local_count))
        torch.set_flush_denormal(True)
    elif device.type == "cuda":
        torch.backends.cudnn.benchmark = not torch.are_deterministic_algorithms_enabled()


def set_deterministic(on: bool) -> None:
    """Has CUDA take only operations that give the same bits each time, or the fastest.

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
    """Cores that this process may run on."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # not on every system
        return os.cpu_count() or 1
