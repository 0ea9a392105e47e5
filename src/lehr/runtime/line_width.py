"""Lines that fit a terminal: its width, and text broken between words only."""

from __future__ import annotations

import os
import re
from typing import Any

from rich.cells import cell_len

from lehr.runtime.plain_text import MARGIN

FEWEST_COLUMNS = 20
"""Narrower terminals are written to as if they had this many columns."""
TOKEN = re.compile(r"\s*(?:[^\s`]*`[^`]*`[^\s`]*|--[a-z][\w-]* (?!-)\S+|\S+)")
"""A word; a command between backticks, or an option and its value, which are not broken either."""
NAMED = re.compile(r"( {2,}\S+(?: \S+)* {2,})\S")
"""An indented line of a name and a value in a separate column, in which the value continues."""


def line_width(stream: Any) -> int | None:
    """Return how many columns a stream has; None where lines may be of any length, as in files and pipes.

    The environment variable COLUMNS counts where it is set, else the terminal's own width at this moment.
    """
    given = os.environ.get("COLUMNS", "")
    if given.isascii() and given.isdigit() and int(given):
        return max(int(given), FEWEST_COLUMNS)
    try:
        if not stream.isatty():
            return None
        columns = os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError, AttributeError):
        return None
    return max(columns, FEWEST_COLUMNS) if columns else None


def fold(text: str, width: int | None) -> str:
    """Break the lines of a text between words so that they fit; what a line continues with is indented.

    A word that fits into no line, e.g. a long path, stays whole: copied from the terminal, it is what it was.

    Args:
        text: lines, printable.
        width: columns; None breaks nothing.
    """
    if width is None:
        return text
    return "\n".join(part for line in text.split("\n") for part in _folded(line, width))


def fold_command(command: str, width: int | None, indent: str = "") -> str:
    """Break a shell command so that it fits, a backslash at the end of each line but the last: it can be pasted.

    Args:
        command: the command, of one line.
        width: columns; None breaks nothing.
        indent: spaces before it; further lines get four more.
    """
    if width is None or os.name == "nt" or cell_len(indent + command) <= width:
        return indent + command
    lines = [""]
    for word in re.findall(r"\S+ ?", command):
        start = indent if len(lines) == 1 else f"{indent}    "
        if lines[-1] and cell_len(start + lines[-1] + word.rstrip()) > width - 2:
            lines.append("")
        lines[-1] += word
    first, *others = (line.rstrip() for line in lines)
    return " \\\n".join([indent + first, *(f"{indent}    {line}" for line in others)])


def _folded(line: str, width: int) -> list[str]:
    if cell_len(line) <= width:
        return [line]
    own = len(line) - len(line.lstrip(" "))
    margin = MARGIN if own < len(MARGIN) else " " * (own + 2)
    named = NAMED.match(line)
    if named and cell_len(named[1]) <= width // 2:
        margin = " " * cell_len(named[1])
    lines: list[str] = []
    current = ""
    for token in TOKEN.findall(line):
        word = token.lstrip()
        fits = cell_len(current) + cell_len(token) <= width
        if not current or fits or cell_len(margin) + cell_len(word) > width:
            current += token
        else:
            lines.append(current)
            current = margin + word
    return [*lines, current]
