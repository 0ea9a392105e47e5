"""The packages that Lehr needs and those it can use: their versions, and whether they load."""

from __future__ import annotations

import importlib
import re
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from importlib import metadata
from typing import Literal

State = Literal["ok", "missing", "too old", "broken"]

MODULES = {"opencv-python-headless": "cv2", "pillow": "PIL", "pyyaml": "yaml"}
"""Modules that are not named as their packages."""
OPENCV = ("opencv-python", "opencv-python-headless", "opencv-contrib-python", "opencv-contrib-python-headless")
"""Packages that bring the same module `cv2`: one is enough, and two overwrite each other's files."""
DEVELOPMENT = "dev"
"""The extra of those who work on Lehr; its absence is not reported."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that Lehr names.

    Attributes:
        name: the package.
        min_version: its oldest version that will do; empty for any.
        extra: the optional part of Lehr that wants it; None if all of Lehr does.
    """

    name: str
    min_version: str
    extra: str | None


@dataclass(frozen=True, slots=True)
class Package:
    """A package as found here.

    Attributes:
        name: the package.
        version: as installed; None when it is not, or does not say.
        min_version: the oldest version that will do; empty for any.
        extra: the optional part of Lehr that wants it; None if all of Lehr does.
        state: ok, missing, too old, or broken: installed, but does not load.
        error: why it does not load; None if it does or was not tried.
    """

    name: str
    version: str | None
    min_version: str
    extra: str | None
    state: State
    error: str | None = None


def examine_packages() -> tuple[Package, ...]:
    """Required packages, each loaded to see whether it can be, and optional ones, only looked up."""
    return tuple(_examine(requirement) for requirement in requirements())


def unusable(packages: Iterable[Package]) -> list[Package]:
    """Required packages that cannot be loaded: without them nothing else can be examined."""
    return [package for package in packages if package.extra is None and package.state in ("missing", "broken")]


def requirements() -> list[Requirement]:
    """Requirements of the installed Lehr, required packages first, without those of its development."""
    try:
        texts = metadata.requires("lehr") or []
    except metadata.PackageNotFoundError:  # run from its source: what it needs shows as it goes
        texts = []
    found = [requirement for text in texts if (requirement := parse_requirement(text)) is not None]
    of_users = (requirement for requirement in found if requirement.extra != DEVELOPMENT)
    return sorted(of_users, key=lambda requirement: requirement.extra is not None)


def parse_requirement(text: str) -> Requirement | None:
    """Read a requirement as package metadata write it, e.g. `matplotlib>=3.8; extra == "plots"`.

    Args:
        text: the requirement; of versions only `>=` counts.

    Returns:
        None for Lehr itself, which its extras refer to.
    """
    what, _, condition = text.partition(";")
    name = re.match(r"[\w.-]+", what)
    if name is None or name[0] == "lehr":
        return None
    min_version = re.search(r">=\s*([\w.]+)", what)
    extra = re.search(r"""extra\s*==\s*["']([\w-]+)["']""", condition)
    return Requirement(name[0], min_version[1] if min_version else "", extra[1] if extra else None)


def is_older(version: str, min_version: str) -> bool:
    """Return whether a version is below another, by its leading numbers; a pre-release counts as its release."""
    return _numbers(version) < _numbers(min_version)


def installed_opencv() -> tuple[str, ...]:
    """The packages here that bring the module `cv2`."""
    return tuple(name for name in OPENCV if _version(name) is not None)


def _examine(wanted: Requirement) -> Package:
    version = _version(wanted.name)
    if version is None and wanted.name in OPENCV:
        version = next((found for name in OPENCV if (found := _version(name)) is not None), None)
    error = None
    if wanted.extra is None:
        try:
            module_version = _load(MODULES.get(wanted.name, wanted.name))
            version = version or module_version
        except Exception as problem:  # a library that does not fit another raises anything
            if version is None and isinstance(problem, ModuleNotFoundError):
                return Package(wanted.name, None, wanted.min_version, wanted.extra, "missing")
            error = f"{type(problem).__name__}: {next(iter(str(problem).splitlines()), '')}"
    elif version is None:
        return Package(wanted.name, None, wanted.min_version, wanted.extra, "missing")
    state: State = "ok"
    if error is not None:
        state = "broken"
    elif version is not None and wanted.min_version and is_older(version, wanted.min_version):
        state = "too old"
    return Package(wanted.name, version, wanted.min_version, wanted.extra, state, error)


def _load(module: str) -> str | None:
    """Return the version that a module states."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        loaded = importlib.import_module(module)
    version = getattr(loaded, "__version__", None)
    return version if isinstance(version, str) else None


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None


def _numbers(version: str) -> tuple[int, ...]:
    leading = re.match(r"\d+(?:\.\d+)*", version)
    numbers = [int(part) for part in leading[0].split(".")] if leading else []
    while numbers and numbers[-1] == 0:  # 2.0 is 2
        numbers.pop()
    return tuple(numbers)
