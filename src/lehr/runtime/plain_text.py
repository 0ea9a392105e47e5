"""Text that others wrote, made harmless where it leaves: no terminal escapes, no forged lines, no formulas.

Names of classes and files, labels, options and studies come from strangers. A terminal acts on control characters, a
log is read line by line, a spreadsheet computes what begins with `=`.
"""

from __future__ import annotations

import json
import re
from typing import Any

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
"""Control characters of C0 and C1 but tab and newline, line separators, marks that turn the direction of writing, and
halves of surrogate pairs."""
ALL = re.compile(f"[\t\n{CONTROLS.pattern[1:]}")
MARGIN = " " * 6
FURTHER = re.compile(f"\n(?!{MARGIN})")
FORMULA = re.compile(r"\s*[=+\-@\t\r]")
NUMBER = re.compile(r"\s*[+-]?(\d+\.?\d*([eE][+-]?\d+)?|\.\d+([eE][+-]?\d+)?|inf|nan)\s*\Z")


def printable(text: str) -> str:
    """Return a text of several lines with its control characters written as escapes, e.g. `\\x1b`; newlines stay."""
    return text if text.isascii() and text.isprintable() else CONTROLS.sub(_escape, text)


def one_line(text: str) -> str:
    """Return a text with its control characters, newlines and tabs too, written as escapes: it cannot begin a line."""
    return text if text.isascii() and text.isprintable() else ALL.sub(_escape, text)


def entry(text: str) -> str:
    """Return a text as one entry of a log or a terminal: printable, and with its further lines indented.

    A line that begins at the margin is Lehr's own then, whatever the text repeats.
    """
    return FURTHER.sub("\n" + MARGIN, printable(text)) if "\n" in text else printable(text)


def csv_cell(text: str) -> str:
    """Return the text of a CSV cell so that a spreadsheet shows it: an apostrophe before what would be a formula."""
    shown = one_line(text)
    return f"'{shown}" if FORMULA.match(text) and not NUMBER.match(text) else shown


def as_json(content: Any, indent: int | None = None) -> str:
    """Return JSON whose control characters and halves of characters, but no letters, are escapes: the same data.

    Args:
        content: what JSON can hold.
        indent: spaces of each level; None for one line.
    """
    text = json.dumps(content, ensure_ascii=False, indent=indent)
    return CONTROLS.sub(lambda match: f"\\u{ord(match[0]):04x}", text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    short = {9: "\\t", 10: "\\n", 13: "\\r"}.get(code)
    return short or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
