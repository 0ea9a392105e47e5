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
"""The extra of those who work on Lehr; its absence is nothing to tell."""


@dataclass(frozen=True, slots=True)
class Requirement:
    """A package that Lehr names.

    Attributes:
        name: the package.
        least: its oldest version that will do; empty for any.
        extra: the optional part of Lehr that wants it; None where all of Lehr does.
    """

    name: str
    least: str
    extra: str | None


@dataclass(frozen=True, slots=True)
class Package:
    """A package as found here.

    Attributes:
        name: the package.
        version: as installed; None when it is not, or does not say.
        least: the oldest version that will do; empty for any.
        extra: the optional part of Lehr that wants it; None where all of Lehr does.
        state: ok, missing, too old, or broken: installed, but does not load.
        error: why it does not load; None where it does or was not tried.
    """

    name: str
    version: str | None
    least: str
    extra: str | None
    state: State
    error: str | None = None


def examine_packages() -> tuple[Package, ...]:
    """Required packages, each loaded to see whether it can be, and optional ones, only looked up."""
    return tuple(_examine(each) for each in requirements())


def unusable(packages: Iterable[Package]) -> list[Package]:
    """Required packages that cannot be loaded: without them nothing else can be examined."""
    return [each for each in packages if each.extra is None and each.state in ("missing", "broken")]


def requirements() -> list[Requirement]:
    """What the installed Lehr requires, required packages first; those of its development left out."""
    try:
        texts = metadata.requires("lehr") or []
    except metadata.PackageNotFoundError:  # run from its source: what it needs shows as it goes
        texts = []
    found = [each for text in texts if (each := parse_requirement(text)) is not None]
    return sorted((each for each in found if each.extra != DEVELOPMENT), key=lambda each: each.extra is not None)


def parse_requirement(text: str) -> Requirement | None:
    """Reads a requirement as package metadata write it, e.g. `matplotlib>=3.8; extra == "plots"`.

    Args:
        text: the requirement; of versions only `>=` counts.

    Returns:
        None for Lehr itself, which its extras refer to.
    """
    what, _, condition = text.partition(";")
    name = re.match(r"[\w.-]+", what)
    if name is None or name[0] == "lehr":
        return None
    least = re.search(r">=\s*([\w.]+)", what)
    extra = re.search(r"""extra\s*==\s*["']([\w-]+)["']""", condition)
    return Requirement(name[0], least[1] if least else "", extra[1] if extra else None)


def is_older(version: str, least: str) -> bool:
    """Whether a version is below another, by its leading numbers; pre-releases count as the release they lead to."""
    return _numbers(version) < _numbers(least)


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
            own = _load(MODULES.get(wanted.name, wanted.name))
            version = version or own
        except Exception as problem:  # a library that does not fit another raises anything
            if version is None and isinstance(problem, ModuleNotFoundError):
                return Package(wanted.name, None, wanted.least, wanted.extra, "missing")
            error = f"{type(problem).__name__}: {next(iter(str(problem).splitlines()), '')}"
    elif version is None:
        return Package(wanted.name, None, wanted.least, wanted.extra, "missing")
    state: State = "ok"
    if error is not None:
        state = "broken"
    elif version is not None and wanted.least and is_older(version, wanted.least):
        state = "too old"
    return Package(wanted.name, version, wanted.least, wanted.extra, state, error)


def _load(module: str) -> str | None:
    """The version that a module tells of itself."""
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
