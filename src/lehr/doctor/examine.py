"""Examines this machine: every finding of the doctor, in one object."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.doctor.disk import Disk, examine_disks, exists
from lehr.doctor.packages import Package, examine_packages, installed_opencv, unusable
from lehr.errors import InputError
from lehr.version import __version__

if TYPE_CHECKING:
    import torch

    from lehr.doctor.build import Build
    from lehr.doctor.compilation import Compilation
    from lehr.doctor.decoding import Decoding
    from lehr.doctor.devices import Device
    from lehr.doctor.machine import Machine


@dataclass(frozen=True, slots=True)
class Examination:
    """All findings. Where a required package is missing, only versions and packages are filled in.

    Attributes:
        lehr: version of Lehr.
        python: version of Python.
        system: operating system and processor architecture.
        packages: required and optional packages.
        opencv: packages that bring `cv2`; more than one is too many.
        build: torch and driver.
        machine: cores and memory.
        devices: those examined.
        compilations: torch.compile on each kind of them.
        disks: folders of data, runs and, where it is another, the cache.
        decoding: speed of decoding.
    """

    lehr: str
    python: str
    system: str
    packages: tuple[Package, ...]
    opencv: tuple[str, ...]
    build: Build | None = None
    machine: Machine | None = None
    devices: tuple[Device, ...] = ()
    compilations: tuple[Compilation, ...] = ()
    disks: tuple[Disk, ...] = ()
    decoding: Decoding | None = None


def examine(device: str | None, data: str | None, project: Path, say: Callable[[str], None]) -> Examination:
    """Examine this machine, which takes ten to fifteen seconds.

    Args:
        device: the only device to examine, as `--device` takes it; None for all.
        data: a folder or data YAML, whose disk is measured; None for the cache folder.
        project: the folder of runs; need not exist.
        say: called when something slow begins.

    Raises:
        InputError: there is no such device or data.
    """
    folder = _folder_of(data)
    packages = examine_packages()
    lehr, python, system = __version__, platform.python_version(), f"{platform.platform()} ({platform.machine()})"
    opencv = installed_opencv()
    if unusable(packages):
        return Examination(lehr, python, system, packages, opencv)

    from lehr.doctor.build import examine_build
    from lehr.doctor.compilation import examine_compilation
    from lehr.doctor.decoding import examine_decoding
    from lehr.doctor.devices import examine_device
    from lehr.doctor.machine import examine_machine
    from lehr.runtime.cache_folder import cache_folder

    chosen = _chosen(device)
    say("Examining this machine ...\n")
    machine = examine_machine()
    folders = {"data": folder or cache_folder(), "runs": project}
    if folder is not None:
        folders["cache"] = cache_folder()
    first_of_kind = {candidate.type: candidate for candidate in reversed(chosen)}
    return Examination(
        lehr,
        python,
        system,
        packages,
        opencv,
        build=examine_build(),
        machine=machine,
        devices=tuple(examine_device(candidate, machine) for candidate in chosen),
        disks=examine_disks(folders),
        decoding=examine_decoding(),
        compilations=tuple(examine_compilation(candidate) for candidate in first_of_kind.values()),
    )


def _chosen(name: str | None) -> list[torch.device]:
    from lehr.doctor.devices import all_devices
    from lehr.runtime.device import pick_device

    return all_devices() if name is None else [pick_device(name)]


def _folder_of(data: str | None) -> Path | None:
    """Return the folder of what `--data` names; None for the cache folder.

    Raises:
        InputError: there is no such file or folder.
    """
    if data is None or data == "shapes":
        return None
    path = Path(data).expanduser()
    if not exists(path):
        raise InputError(f"--data {data}: does not exist. Give a folder, a data YAML, or 'shapes' (generated).")
    return path if path.is_dir() else path.parent
