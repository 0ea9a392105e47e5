"""What the findings mean: problems, with which no training can run here, and warnings, with which one can."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lehr.doctor.examine import Examination
from lehr.doctor.packages import OPENCV, Package

if TYPE_CHECKING:  # loads torch, which may be what is missing
    from lehr.doctor.devices import Device

GIB = 2**30
LEAST_MEMORY = 1.0
"""GiB: what YOLOv8n takes to train on the CPU, four images of 64 pixels at a time, torch included."""
MODEST_MEMORY = 4.0
"""GiB below which images of a usual size want a small batch."""
LEAST_SHM = 1.0
"""GiB: a few batches of 16 images of 640 pixels, 20 MB each, for some workers."""
LEAST_DISK = 2.0
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
    """What makes a training slower or some of it impossible.

    Args:
        found: what the doctor found.
    """
    return [*_driver(found), *_devices(found), *_cores(found), *_memory(found), *_disks(found), *_packages(found)]


def install_command(package: Package) -> str:
    """How a package is installed: by its extra where it is optional."""
    if package.extra is not None:
        return f"pip install 'lehr[{package.extra}]'"
    return f"pip install '{package.name}{f'>={package.least}' if package.least else ''}'"


def covers(architectures: Sequence[str], capability: tuple[int, int]) -> bool:
    """Whether a build runs on a GPU: it has machine code for its generation, or code to compile for it.

    Machine code (`sm_86`) runs on the same generation from its own revision on; PTX (`compute_90`) on all later ones.

    Args:
        architectures: those of the build; none means that it does not tell.
        capability: the GPU's compute capability, e.g. (8, 6).
    """
    known = [re.fullmatch(r"(sm|compute)_(\d+)[a-z]?", each) for each in architectures]
    if not all(known) or not known:  # none, or another maker's
        return True
    for each in known:
        if each is not None:
            built = divmod(int(each[2]), 10)
            if built <= capability and (each[1] == "compute" or built[0] == capability[0]):
                return True
    return False


def _bad_packages(found: Examination) -> Iterator[Remark]:
    for each in found.packages:
        if each.extra is not None or each.state == "ok":
            continue
        if each.state == "missing":
            yield Remark(f"{each.name} is not installed", install_command(each))
        elif each.state == "too old":
            yield Remark(
                f"{each.name} {each.version} is too old: {each.least} or newer is needed", install_command(each)
            )
        else:
            yield Remark(
                f"{each.name} {each.version or ''} does not load ({each.error})",
                f"install it anew, in a version that fits the others: pip install --force-reinstall {each.name}",
            )


def _bad_devices(found: Examination) -> Iterator[Remark]:
    if found.devices and not any(each.trains for each in found.devices):
        names = ", ".join(each.name for each in found.devices)
        yield Remark(
            f"no float32 step works on {names}", "install a torch that is built for it, or use another --device"
        )
        return
    if found.devices and not any(_is_able(each) for each in found.devices):
        told = ", ".join(f"{each.name} has {_gib(each.memory_free)}" for each in found.devices if each.trains)
        yield Remark(
            f"too little free memory on the device: {told} of at least {LEAST_MEMORY:g} GiB",
            "end other programs that use it, or use another --device",
        )


def _bad_memory(found: Examination) -> Iterator[Remark]:
    if found.machine is not None and _below(found.machine.memory_free, LEAST_MEMORY):
        yield Remark(
            f"too little free memory: {_gib(found.machine.memory_free)} of at least {LEAST_MEMORY:g} GiB",
            "end other programs, or give the container more",
        )


def _bad_runs(found: Examination) -> Iterator[Remark]:
    for each in found.disks:
        if each.purpose == "runs" and each.error is not None:
            yield Remark(f"the folder of runs {each.folder} cannot be written ({each.error})", "use another --project")


def _driver(found: Examination) -> Iterator[Remark]:
    if found.build is not None and found.build.trouble is not None:
        yield Remark(
            f"there is an NVIDIA driver ({found.build.driver}), but torch cannot use it: {found.build.trouble}",
            "install a torch built for CUDA that this driver supports, or a newer driver; give a container its GPU",
        )


def _devices(found: Examination) -> Iterator[Remark]:
    able = any(_is_able(each) for each in found.devices)  # else it is a problem
    for each in found.devices:
        if able and not each.trains:
            yield Remark(f"{each.name}: no float32 step works", "name another --device to train")
        elif able and not _is_able(each):
            yield Remark(f"{each.name} has only {_gib(each.memory_free)} free", "end other programs that use it")
        if (
            found.build is not None
            and each.capability is not None
            and not covers(found.build.architectures, each.capability)
        ):
            major, minor = each.capability
            yield Remark(
                f"{each.name} has compute capability {major}.{minor}, and torch {found.build.torch} is built for "
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
    if not _below(machine.memory_free, LEAST_MEMORY) and _below(machine.memory_free, MODEST_MEMORY):
        yield Remark(f"only {_gib(machine.memory_free)} of memory free", "use a small --batch, and --cache none")
    if _below(machine.shm_free, LEAST_SHM):
        yield Remark(
            f"/dev/shm has only {_gib(machine.shm_free)} free; workers hand over batches through it",
            "give the container more (docker run --shm-size 8g), or use --workers 0",
        )


def _disks(found: Examination) -> Iterator[Remark]:
    caches = {each.folder: each for each in found.disks if each.purpose == "cache"}
    if not caches:  # then the data are in it
        caches = {each.folder: each for each in found.disks if each.purpose == "data"}
    for each in caches.values():
        if each.error is not None:
            yield Remark(
                f"the cache folder {each.folder} cannot be written ({each.error}): neither the data set `shapes` nor "
                "--cache disk can be used",
                "set LEHR_CACHE to a folder that can",
            )
    for each in found.disks:
        if each.purpose == "runs" and each.error is None and _below(each.free, LEAST_DISK):
            yield Remark(f"only {_gib(each.free)} free where runs are written", "make room, or use another --project")


def _packages(found: Examination) -> Iterator[Remark]:
    if len(found.opencv) > 1:
        yield Remark(
            f"OpenCV comes from {' and '.join(found.opencv)}, which overwrite each other's files",
            f"pip uninstall -y {' '.join(found.opencv)}, then pip install {OPENCV[1]}",
        )
    for each in found.packages:
        if each.extra is not None and each.state == "too old":
            yield Remark(f"{each.name} {each.version} is older than {each.least}", install_command(each))


def _is_able(device: Device) -> bool:
    """Whether a device trains and has room for it; the CPU's is the machine's, which is judged by itself."""
    return device.trains and (device.kind == "cpu" or not _below(device.memory_free, LEAST_MEMORY))


def _below(size: int | None, gib: float) -> bool:
    return size is not None and size < gib * GIB


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / GIB:.1f} GiB"
