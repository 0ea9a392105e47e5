"""The doctor's findings as text for people, and as JSON for programs."""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.doctor.disk import Disk
from lehr.doctor.examine import Examination
from lehr.doctor.packages import Package
from lehr.doctor.verdict import Remark, install_command, problems, warnings
from lehr.runtime.counted import counted

if TYPE_CHECKING:  # these load torch, which may be what is missing
    from lehr.doctor.build import Build
    from lehr.doctor.compilation import Compilation
    from lehr.doctor.decoding import Decoding
    from lehr.doctor.devices import Device, Precision
    from lehr.doctor.machine import Machine

GIB = 2**30
READY = "Ready to train."
SLOWER, FASTER = 0.9, 1.1
"""Speeds, of float32's, between which a precision counts as just as fast."""

Rows = Sequence[tuple[str, str]]


def text(found: Examination) -> str:
    """Return all findings, aligned: packages, machine, devices, disks; then what is wrong, and the verdict.

    Args:
        found: what the doctor found.
    """
    parts: list[tuple[str, Rows]] = [("Versions", _versions(found))]
    if found.machine is not None:
        parts.append(("Machine", _machine(found.machine)))
    parts += [(f"Device {device.name}", _device(device, found.compilations)) for device in found.devices]
    if found.disks:
        parts.append(("Disks", [(disk.purpose, _disk(disk)) for disk in found.disks]))
    if found.decoding is not None:
        parts.append(("Images", [("JPEG", _decoding(found.decoding))]))
    missing = [package for package in found.packages if package.extra is not None and package.state == "missing"]
    parts.append(("Optional, not installed", [(package.name, install_command(package)) for package in missing]))
    wrong, doubtful = problems(found), warnings(found)
    width = max(len(title) for _, rows in parts for title, _ in rows)
    blocks = [_block(title, rows, width) for title, rows in parts if rows]
    blocks += [_remarks(title, remarks) for title, remarks in (("Problems", wrong), ("Warnings", doubtful)) if remarks]
    return "\n\n".join([*blocks, verdict(wrong)])


def verdict(wrong: Sequence[Remark]) -> str:
    """Return one line: whether a training can run here, else why not.

    Args:
        wrong: the problems.
    """
    return f"Training cannot run here: {'; '.join(remark.what for remark in wrong)}." if wrong else READY


def as_dict(found: Examination) -> dict[str, Any]:
    """Return all findings, problems and warnings, of types that JSON has.

    Args:
        found: what the doctor found.
    """
    wrong = problems(found)
    return {
        "ready": not wrong,
        "verdict": verdict(wrong),
        "problems": [dataclasses.asdict(remark) for remark in wrong],
        "warnings": [dataclasses.asdict(remark) for remark in warnings(found)],
        **dataclasses.asdict(found),
    }


def _block(title: str, rows: Rows, width: int) -> str:
    return "\n".join([title, *(f"  {name:<{width}}  {value}" for name, value in rows)])


def _remarks(title: str, remarks: Iterable[Remark]) -> str:
    lines = [f"  {_capital(remark.what)}.\n    {_capital(remark.remedy)}." for remark in remarks]
    return "\n".join([title, *lines])


def _capital(sentence: str) -> str:
    """A sentence's beginning in capitals, unless it begins with a name or a command."""
    first = sentence.split(maxsplit=1)[0]
    return sentence[0].upper() + sentence[1:] if first.isalpha() and first not in ("pip", "torch") else sentence


def _versions(found: Examination) -> Rows:
    rows = [("lehr", found.lehr), ("Python", found.python), ("system", found.system)]
    here = [package for package in found.packages if package.extra is None or package.state != "missing"]
    shown = {package.name: package for package in reversed(here)}  # once, though several extras want it
    return [*rows, *((package.name, _package(package, found.build)) for package in reversed(shown.values()))]


def _package(package: Package, build: Build | None) -> str:
    parts = [package.version or "version unknown"]
    if package.state != "ok":
        parts = [package.state.upper() if package.version is None else f"{package.version}, {package.state.upper()}"]
    elif package.name == "torch" and build is not None:
        parts = [build.torch, *_build(build)]
    return ", ".join(parts)


def _build(build: Build) -> list[str]:
    if build.hip is not None:
        return [f"built for ROCm {build.hip}"]
    driver = "no NVIDIA driver here" if build.driver is None else f"NVIDIA driver {build.driver}"
    if build.cuda is None:
        return ["built without CUDA", *([driver] if build.driver is not None else [])]
    return [f"built for CUDA {build.cuda}", *([f"cuDNN {build.cudnn}"] if build.cudnn else []), driver]


def _machine(machine: Machine) -> Rows:
    cores = f"{machine.cores} of {machine.cores_of_machine}, torch uses {counted(machine.threads, 'thread')}"
    if machine.core_limit is not None:
        cores += f", limited to the time of {machine.core_limit:g}"
    rows = [("CPU", machine.cpu)] if machine.cpu else []
    rows += [("cores", cores), ("memory", _free(machine.memory_free, machine.memory_total))]
    if machine.shm_total is not None:
        rows.append(("/dev/shm", _free(machine.shm_free, machine.shm_total)))
    return rows


def _device(device: Device, compilations: Iterable[Compilation]) -> Rows:
    about = device.description
    if device.capability is not None:
        about += ", compute capability {}.{}".format(*device.capability)
    rows = [("name", about)]
    if device.kind != "cpu":
        rows.append(("memory", _free(device.memory_free, device.memory_total)))
    rows += [(precision.name, _precision(precision)) for precision in device.precisions]
    rows += [
        ("torch.compile", _compilation(compilation)) for compilation in compilations if compilation.kind == device.kind
    ]
    return rows


def _precision(precision: Precision) -> str:
    if not precision.works:
        return "does not work"
    if precision.seconds is None:
        return "works, not timed"
    seconds = precision.seconds
    took = f"{seconds:.1f} s per step" if seconds >= 1 else f"{seconds * 1e3:.3g} ms per step"
    if precision.name == "float32" or precision.speed is None:
        return f"works, {took}"
    relative = f"{precision.speed:.{1 if precision.speed >= 0.1 else 2}f} x float32"
    if precision.speed < SLOWER:
        return f"works, slow ({relative}), {took}" + (
            "" if precision.native else "; the hardware has no instructions for it"
        )
    return f"works, {'fast' if precision.speed > FASTER else 'no faster'} ({relative}), {took}"


def _compilation(compilation: Compilation) -> str:
    if compilation.works:
        return f"works, {compilation.seconds or 0:.1f} s for a tiny function"
    return f"does not work: {compilation.reason}"


def _disk(disk: Disk) -> str:
    parts = [_short(disk.folder)]
    if disk.measured_in != disk.folder:
        parts.append(f"does not exist yet, measured in {_short(disk.measured_in)}")
    if disk.free is not None:
        parts.append(f"{disk.free / GIB:.1f} GiB free")
    if disk.error is not None:
        parts.append(f"cannot be written ({disk.error})")
    elif disk.same_as is not None:
        parts.append(f"the same file system as {disk.same_as}")
    elif disk.write_rate is not None and disk.read_rate is not None:
        source = "may come from memory" if disk.page_cache else "dropped from memory before"
        parts.append(f"writes {_rate(disk.write_rate)}, reads {_rate(disk.read_rate)} ({source})")
    return "; ".join(parts)


def _short(folder: str) -> str:
    """A folder below one's home as a shell writes it."""
    with contextlib.suppress(RuntimeError, ValueError):  # no home, or elsewhere
        return str("~" / Path(folder).relative_to(Path.home()))
    return folder


def _decoding(decoding: Decoding) -> str:
    return (
        f"{decoding.images_per_second:.0f} images/s decoded on one core "
        f"({decoding.width}x{decoding.height}, {decoding.bytes / 1e3:.0f} kB)"
    )


def _free(free: int | None, total: int | None) -> str:
    if total is None:
        return "unknown"
    if free is None:
        return f"{total / GIB:.1f} GiB"
    return f"{free / GIB:.1f} GiB free of {total / GIB:.1f} GiB"


def _rate(rate: float) -> str:
    return f"{rate / 1e6:.0f} MB/s"
