"""Judging the findings: problems, with which no training can run here, and warnings, with which one can."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lehr.doctor.examine import Examination
from lehr.doctor.packages import OPENCV, Package
from lehr.runtime.installing import pip_install

if TYPE_CHECKING:  # loads torch, which may be what is missing
    from lehr.doctor.devices import Device

GIB = 2**30
MIN_MEMORY = 1.0
"""GiB: what YOLOv8n takes to train on the CPU, four images of 64 pixels at a time, torch included."""
MODEST_MEMORY = 4.0
"""GiB below which images of a usual size want a small batch."""
MIN_SHM = 1.0
"""GiB: a few batches of 16 images of 640 pixels, 20 MB each, for some workers."""
MIN_DISK = 2.0
"""GiB: three checkpoints of a mid-sized model."""


@dataclass(frozen=True, slots=True)
class Remark:
    """Something that is not as it should be.

    Attributes:
        what: what is wrong.
        remedy: what to do.
    """

    what: str
    remedy: str


def problems(found: Examination) -> list[Remark]:
    """Why no training can run here; empty where one can.

    Args:
        found: what the doctor found.
    """
    return [*_bad_packages(found), *_bad_devices(found), *_bad_memory(found), *_bad_runs(found)]


def warnings(found: Examination) -> list[Remark]:
    """Findings that make a training slower, or parts of it impossible.

    Args:
        found: what the doctor found.
    """
    return [*_driver(found), *_devices(found), *_cores(found), *_memory(found), *_disks(found), *_packages(found)]


def install_command(package: Package) -> str:
    """Command that installs a package, by its extra where it is optional."""
    if package.extra is not None:
        return pip_install(package.extra)
    return f"pip install '{package.name}{f'>={package.min_version}' if package.min_version else ''}'"


def covers(architectures: Sequence[str], capability: tuple[int, int]) -> bool:
    """Return whether a build of torch runs on a GPU: it holds machine code for it, or code to compile for it.

    Machine code (`sm_86`) runs on the same generation from its own revision on; PTX (`compute_90`) on all later ones.

    Args:
        architectures: those of the build; none means that it does not say.
        capability: the GPU's compute capability, e.g. (8, 6).
    """
    known = [re.fullmatch(r"(sm|compute)_(\d+)[a-z]?", architecture) for architecture in architectures]
    if not all(known) or not known:  # none, or another maker's
        return True
    for match in known:
        if match is not None:
            built = divmod(int(match[2]), 10)
            if built <= capability and (match[1] == "compute" or built[0] == capability[0]):
                return True
    return False


def _bad_packages(found: Examination) -> Iterator[Remark]:
    for package in found.packages:
        if package.extra is not None or package.state == "ok":
            continue
        if package.state == "missing":
            yield Remark(f"{package.name} is not installed", install_command(package))
        elif package.state == "too old":
            yield Remark(
                f"{package.name} {package.version} is too old: {package.min_version} or newer is needed",
                install_command(package),
            )
        else:
            yield Remark(
                f"{package.name} {package.version or ''} does not load ({package.error})",
                f"reinstall it, in a version that fits the others: pip install --force-reinstall {package.name}",
            )


def _bad_devices(found: Examination) -> Iterator[Remark]:
    if found.devices and not any(device.trains for device in found.devices):
        names = ", ".join(device.name for device in found.devices)
        yield Remark(
            f"no float32 step works on {names}", "install a torch that is built for it, or use another --device"
        )
        return
    if found.devices and not any(_is_able(device) for device in found.devices):
        free = ", ".join(f"{device.name} has {_gib(device.memory_free)}" for device in found.devices if device.trains)
        yield Remark(
            f"too little free memory on the device: {free} of at least {MIN_MEMORY:g} GiB",
            "end other programs that use it, or use another --device",
        )


def _bad_memory(found: Examination) -> Iterator[Remark]:
    if found.machine is not None and _below(found.machine.memory_free, MIN_MEMORY):
        yield Remark(
            f"too little free memory: {_gib(found.machine.memory_free)} of at least {MIN_MEMORY:g} GiB",
            "end other programs, or give the container more",
        )


def _bad_runs(found: Examination) -> Iterator[Remark]:
    for disk in found.disks:
        if disk.purpose == "runs" and disk.error is not None:
            yield Remark(f"the folder of runs {disk.folder} cannot be written ({disk.error})", "use another --project")


def _driver(found: Examination) -> Iterator[Remark]:
    if found.build is not None and found.build.trouble is not None:
        yield Remark(
            f"there is an NVIDIA driver ({found.build.driver}), but torch cannot use it: {found.build.trouble}",
            "install a torch built for CUDA that this driver supports, or a newer driver; give a container its GPU",
        )


def _devices(found: Examination) -> Iterator[Remark]:
    able = any(_is_able(device) for device in found.devices)  # else it is a problem
    for device in found.devices:
        if able and not device.trains:
            yield Remark(f"{device.name}: no float32 step works", "name another --device to train")
        elif able and not _is_able(device):
            yield Remark(f"{device.name} has only {_gib(device.memory_free)} free", "end other programs that use it")
        if (
            found.build is not None
            and device.capability is not None
            and not covers(found.build.architectures, device.capability)
        ):
            major, minor = device.capability
            yield Remark(
                f"{device.name} has compute capability {major}.{minor}, and torch {found.build.torch} is built for "
                f"{', '.join(found.build.architectures)}",
                "install a torch that is built for this GPU",
            )


def _cores(found: Examination) -> Iterator[Remark]:
    machine = found.machine
    if machine is None:
        return
    if machine.threads < machine.cores:
        yield Remark(
            f"torch uses {machine.threads} of {machine.cores} cores", "install a torch that is built with OpenMP"
        )
    if machine.core_limit is not None and machine.core_limit < machine.cores:
        yield Remark(
            f"a limit allows {machine.core_limit:g} cores' worth of time, and {machine.cores} threads share it",
            "raise the container's limit, or bind it to as many cores (docker run --cpuset-cpus)",
        )


def _memory(found: Examination) -> Iterator[Remark]:
    machine = found.machine
    if machine is None:
        return
    if not _below(machine.memory_free, MIN_MEMORY) and _below(machine.memory_free, MODEST_MEMORY):
        yield Remark(f"only {_gib(machine.memory_free)} of memory free", "use a small --batch, and --cache none")
    if _below(machine.shm_free, MIN_SHM):
        yield Remark(
            f"/dev/shm has only {_gib(machine.shm_free)} free; workers hand over batches through it",
            "give the container more (docker run --shm-size 8g), or use --workers 0",
        )


def _disks(found: Examination) -> Iterator[Remark]:
    caches = {disk.folder: disk for disk in found.disks if disk.purpose == "cache"}
    if not caches:  # then the data are in it
        caches = {disk.folder: disk for disk in found.disks if disk.purpose == "data"}
    for disk in caches.values():
        if disk.error is not None:
            yield Remark(
                f"the cache folder {disk.folder} cannot be written ({disk.error}): neither the data set `shapes` nor "
                "--cache disk can be used",
                "set LEHR_CACHE to a folder that can",
            )
    for disk in found.disks:
        if disk.purpose == "runs" and disk.error is None and _below(disk.free, MIN_DISK):
            yield Remark(f"only {_gib(disk.free)} free where runs are written", "make room, or use another --project")


def _packages(found: Examination) -> Iterator[Remark]:
    if len(found.opencv) > 1:
        yield Remark(
            f"OpenCV comes from {' and '.join(found.opencv)}, which overwrite each other's files",
            f"pip uninstall -y {' '.join(found.opencv)}, then pip install {OPENCV[1]}",
        )
    for package in found.packages:
        if package.extra is not None and package.state == "too old":
            yield Remark(
                f"{package.name} {package.version} is older than {package.min_version}", install_command(package)
            )


def _is_able(device: Device) -> bool:
    """Return whether a device trains and has memory for it; the CPU's is the machine's, which is judged separately."""
    return device.trains and (device.kind == "cpu" or not _below(device.memory_free, MIN_MEMORY))


def _below(size: int | None, gib: float) -> bool:
    return size is not None and size < gib * GIB


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / GIB:.1f} GiB"
