"""All techniques, each found in the module that describes it: a `Technique` at its top level.

No list is maintained by hand. Other packages add theirs by entry points of the group `lehr.techniques`.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections import Counter
from collections.abc import Iterator
from functools import cache

from lehr.errors import InputError
from lehr.plugins import PluginTable
from lehr.technique import Section, Technique

PACKAGES = ("lehr.techniques", "lehr.losses", "lehr.augment", "lehr.data", "lehr.models")
"""Packages whose modules may describe techniques."""


def techniques() -> tuple[Technique, ...]:
    """All techniques, in the order of the index; those of other packages too.

    Loads torch, which the modules of most techniques are built on.

    Raises:
        InputError: another package's technique cannot be used.
    """
    every = tuple(sorted(_table().all(), key=_place))
    names = Counter(switch.name for technique in every for switch in technique.switches)
    doubled = [name for name, count in names.items() if count > 1]
    if doubled:
        owners = " and ".join(f"'{each.name}'" for each in every if doubled[0] in {s.name for s in each.switches})
        raise InputError(f"lehr.techniques: {owners} both have a switch named '{doubled[0]}'. Uninstall one's package.")
    return every


def register_technique(technique: Technique) -> None:
    """Adds a technique for this process; a package names it as an entry point `lehr.techniques` instead.

    Raises:
        TypeError: it is not a Technique.
        ValueError: another technique has its name.
    """
    _table().add(technique)


@cache
def own_techniques() -> dict[Technique, str]:
    """Lehr's own techniques in the order of the index, with the name of the module that each lives in."""
    found: dict[Technique, str] = {}
    for name in _modules():
        for value in vars(importlib.import_module(name)).values():
            if isinstance(value, Technique):
                found.setdefault(value, name)
    return {technique: found[technique] for technique in sorted(found, key=_place)}


def _modules() -> Iterator[str]:
    for package in PACKAGES:
        folder = importlib.import_module(package).__path__
        yield from (f"{package}.{module.name}" for module in pkgutil.iter_modules(folder))


@cache
def _table() -> PluginTable[Technique]:
    return PluginTable("lehr.techniques", Technique, own_techniques())


def _place(technique: Technique) -> tuple[int, int, str]:
    return list(Section).index(technique.section), technique.order, technique.name
