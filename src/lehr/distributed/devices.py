"""Devices of a run's processes."""

from __future__ import annotations

import torch

from lehr.distributed.environment import World
from lehr.distributed.process_count import device_names
from lehr.errors import InputError
from lehr.options import DeviceOptions
from lehr.runtime.device import pick_device


def own_device(options: DeviceOptions, world: World) -> torch.device:
    """The device of this process.

    Args:
        options: name the devices.
        world: the processes that were started together with this one.

    Raises:
        InputError: there is no device for it.
    """
    names = device_names(options.device)
    if world.local_count == 1 or len(names) > 1:
        if world.local_rank >= len(names):
            raise InputError(
                f"--device {options.device}: names {len(names)} devices for {world.local_count} processes per machine."
            )
        return pick_device(names[world.local_rank])
    first = pick_device(names[0])
    if first.type == "cpu":
        return first
    if names[0] not in ("auto", "cuda"):
        raise InputError(
            f"--device {options.device}: is one device for {world.local_count} processes per machine. Name one for "
            "each, such as 0,1, or use --device cuda for the first ones."
        )
    if first.type != "cuda":
        raise InputError(f"--device {options.device}: {first} cannot be shared by processes. Use --device cpu.")
    return pick_device(str(world.local_rank))


def data_parallel_devices(options: DeviceOptions) -> list[torch.device]:
    """The devices of `--parallel dp`, the first of which has the model.

    Raises:
        InputError: they are not several CUDA devices.
    """
    names = device_names(options.device)
    if len(names) == 1 and names[0] in ("auto", "cuda"):
        names = [str(index) for index in range(torch.cuda.device_count())]
    devices = [pick_device(name) for name in names]
    if len(devices) < 2 or any(device.type != "cuda" for device in devices):
        raise InputError(
            f"--parallel dp: DataParallel needs several CUDA devices, and --device {options.device} is "
            f"{', '.join(map(str, devices)) or 'none here'}. --parallel ddp also takes --device cpu --processes 2."
        )
    return devices
