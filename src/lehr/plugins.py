"""Parts of Lehr by name, to which other packages add: families, data formats, augmentations.

An installed package names what it adds under an entry-point group, e.g. in its pyproject.toml

    [project.entry-points."lehr.families"]
    toy = "my_package.family:TOY"

Packages are loaded when a name is looked up that is not Lehr's own, or all names are asked for; never at import. A
program may also register a part itself, for its own process: those that a run starts know only entry points.
"""

from __future__ import annotations

import importlib
import operator
from collections.abc import Iterable
from typing import Any, Generic, Protocol, TypeVar

from lehr.errors import InputError


class Named(Protocol):
    """A part with a name."""

    @property
    def name(self) -> str:
        """Name on the command line."""


Part = TypeVar("Part", bound=Named)


class PluginTable(Generic[Part]):
    """Parts of one kind by name.

    Args:
        group: entry-point group in which packages name theirs, e.g. "lehr.families".
        kind: class of a part.
        own: Lehr's own parts.
    """

    def __init__(self, group: str, kind: type[Part], own: Iterable[Part] = ()) -> None:
        self._group = group
        self._kind = kind
        self._parts = {part.name: part for part in own}
        self._loaded = False

    def add(self, part: Part) -> None:
        """Add a part; an identical one is kept.

        Raises:
            TypeError: it is of another kind.
            ValueError: another part has its name.
        """
        if not isinstance(part, self._kind):
            raise TypeError(f"{part!r} is not a {self._kind.__name__}")
        if self._parts.setdefault(part.name, part) != part:
            raise ValueError(f"there is another {self._kind.__name__} named '{part.name}'")

    def known(self) -> tuple[Part, ...]:
        """The parts that are there without loading a package."""
        return tuple(self._parts.values())

    def all(self) -> tuple[Part, ...]:
        """All parts, those of installed packages included.

        Raises:
            InputError: a package's part cannot be loaded.
        """
        if not self._loaded:
            from importlib.metadata import entry_points  # takes longer to import than `lehr --help` has

            for point in entry_points(group=self._group):
                try:
                    self.add(point.load())
                except Exception as error:
                    owner = "an installed package" if point.dist is None else f"the package {point.dist.name}"
                    raise InputError(
                        f"{self._group}: '{point.name} = {point.value}' of {owner} cannot be used "
                        f"({type(error).__name__}: {error}). Repair or uninstall that package."
                    ) from error
            self._loaded = True
        return self.known()

    def find(self, name: str) -> Part | None:
        """The part of a name; packages are loaded only where Lehr itself has none.

        Raises:
            InputError: a package's part cannot be loaded.
        """
        if name not in self._parts:
            self.all()
        return self._parts.get(name)


def resolve(reference: Any) -> Any:
    """The object that a text such as "package.module:object" names; anything but text is returned unchanged.

    Raises:
        ImportError: there is no such module.
        AttributeError: the module has no such object.
    """
    if not isinstance(reference, str):
        return reference
    module, _, path = reference.partition(":")
    return operator.attrgetter(path)(importlib.import_module(module))
