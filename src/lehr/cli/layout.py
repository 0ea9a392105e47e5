"""The layout of help: labels on the left, and texts whose lines end with whole sentences."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.text import Text

LABEL = 25
"""Columns before the text of an option; a longer name has a line of its own."""
CLAUSE = re.compile(r"(?<=[.;])(?<!e\.g\.) (?=\S)")
"""Ends of sentences and clauses, where a line may be broken."""


def entry(label: str, units: Sequence[str], width: int, column: int = LABEL) -> Iterator[Text]:
    """An option or command with its text next to it; the lines end with whole units where these fit."""
    lines = packed(units, width - column)
    start = f"  {label}"
    if len(start) + 2 > column:
        yield plain(start, "bold")
    else:
        first = lines.pop(0) if lines else ""
        yield plain(start, "bold") + f"{'':{column - len(start)}}{first}".rstrip()
    yield from (plain(f"{'':{column}}{line}") for line in lines)


def packed(units: Sequence[str], width: int) -> list[str]:
    """Put units on as few lines as possible, without breaking one that fits on a line.

    Args:
        units: sentences and the like.
        width: columns of a line.
    """
    lines: list[str] = []
    for unit in units:
        if lines and len(lines[-1]) + 1 + len(unit) <= width:
            lines[-1] += f" {unit}"
        elif len(unit) <= width:
            lines.append(unit)
        else:
            lines += wrapped(unit, width)
    return lines


def wrapped(text: str, width: int) -> list[str]:
    """Break a text between words into lines of a width; a longer word stays whole."""
    lines: list[str] = []
    for word in text.split():
        if lines and len(lines[-1]) + 1 + len(word) <= width:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return lines


def paragraph(text: str, width: int) -> Iterator[Text]:
    """A text whose lines end with whole sentences where these fit."""
    return (plain(line) for line in packed(CLAUSE.split(text.replace("`", "'")), width))


def usage(text: str) -> Text:
    """The line that says how a command is typed."""
    return heading("Usage") + f" {text}"


def heading(text: str) -> Text:
    """A heading."""
    return plain(f"{text}:", "bold cyan")


def plain(text: str = "", style: str = "") -> Text:
    """A line in one style of rich, where the terminal shows it."""
    from rich.text import Text

    return Text(text, style=style)
