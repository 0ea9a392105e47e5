"""An option in words: its name in the shell, its default, the values that it takes, and its help."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

UNSET = r"\(unset: (.*?)\)(?=\.?$)"
"""The end of an option's help that says what it becomes if it is not given."""
BOUNDS = {Ge: ("at least", "ge"), Gt: ("above", "gt"), Le: ("at most", "le"), Lt: ("below", "lt")}
COMMAS = 100_000
"""Whole numbers from this on are written with commas."""
ENDLESS = 2**31 - 1
"""Upper bounds from this on are those of the machine's numbers, which nobody reaches, and are not named."""


def shell_name(option: str) -> str:
    """Return an option's name as the shell takes it."""
    return f"--{option.replace('_', '-')}"


def default_of(field: FieldInfo) -> str:
    """Describe an option's default: its value, or what its help says of the one that is unset."""
    return describe_default(field.default, field.description or "")


def describe_default(value: Any, description: str) -> str:
    """Describe a default value: of None, what the help says of that."""
    if value is None:
        unset = re.search(UNSET, " ".join(description.split()))
        return unset[1] if unset else "none"
    if isinstance(value, bool):
        return "on" if value else "off"
    if isinstance(value, tuple):
        return " ".join(map(str, value)) or "none"
    return f"{value:g}" if isinstance(value, float) else str(value)


def values_of(field: FieldInfo) -> str:
    """Describe the values of an option: the choices, or the kind and its bounds."""
    return describe_values(field.annotation, tuple(field.metadata))


def describe_values(annotation: Any, metadata: tuple[Any, ...] = ()) -> str:
    """Describe the values of a type: the choices, or the kind and its bounds."""
    kinds = list(_members(annotation))
    choices = [f"`{choice}`" for kind in kinds if get_origin(kind) is Literal for choice in get_args(kind)]
    if bool in kinds and not choices:
        return "on, off"
    number = "a count" if int in kinds and float not in kinds else "a number" if float in kinds else ""
    bounds = _bounds(metadata)
    of_kind = [number] if number and not bounds else bounds
    return ", ".join([*of_kind, *choices]) or ("a path" if Path in kinds else "text")


def _bounds(metadata: tuple[Any, ...]) -> list[str]:
    """Describe bounds; a lower and an upper one that belong to the range as a range."""
    found = {type(each): getattr(each, BOUNDS[type(each)][1]) for each in metadata if type(each) in BOUNDS}
    bounds = {kind: _number(bound) for kind, bound in found.items() if bound < ENDLESS}
    if bounds.keys() == {Ge, Le}:
        return [f"{bounds[Ge]} to {bounds[Le]}"]
    return [f"{BOUNDS[kind][0]} {bound}" for kind, bound in bounds.items()]


def _number(value: float) -> str:
    """Write a bound: large whole numbers with commas, never with an exponent."""
    return f"{value:,.0f}" if abs(value) >= COMMAS and value == int(value) else f"{value:g}"


def help_of(description: str | None) -> str:
    """Return an option's help in one line, without what it says of the default."""
    return re.sub(rf" {UNSET}", "", " ".join((description or "").split()))


def _members(annotation: Any) -> Iterator[Any]:
    """Yield the members of a union, or the one type; what is annotated without its annotations."""
    if get_origin(annotation) is Literal or not get_args(annotation):
        yield annotation
    elif hasattr(annotation, "__metadata__"):
        yield from _members(annotation.__origin__)
    else:
        for each in get_args(annotation):
            yield from _members(each)
