"""Rows of numbers of one label file, with their lines, before anything is known about what the numbers mean."""

from __future__ import annotations

import re
import threading
import unicodedata
from dataclasses import dataclass
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.labels.text import LabelFault, decode_label
from lehr.data.limits import OBJECTS_VARIABLE, ROW_BYTES, max_objects, too_many_objects
from lehr.runtime.reading import MIB, TooLarge, read_file

COMMAS = "commas between the numbers"
SEMICOLONS = "semicolons or bars between the numbers"
DECIMAL_COMMAS = "decimal commas"
BRACKETS = "brackets or quotes around numbers"
COMMENTS = "comments"

_COMMENT = re.compile(r"(?:^|(?<=\s))(?:#|//).*$")
_SEPARATORS = re.compile(r"\s*[;|]\s*|\s+")
_COMMA = re.compile(r"\s*,\s*|\s+")
_DECIMAL = re.compile(r"[-+]?\d*(?:,\d+)?(?:[eE][-+]?\d+)?")
_BRACKETS = str.maketrans(dict.fromkeys("[](){}\"'", " "))
_INVISIBLE = str.maketrans(dict.fromkeys("\u200b\u200c\u200d\u2060\u00ad"))


@dataclass(frozen=True, slots=True, eq=False)
class LabelRows:
    """The rows of a label file.

    Attributes:
        values: float64, all numbers of all rows, one row after the other.
        lengths: int32 (rows,), how many of them each row has.
        lines: int32 (rows,), the line of each row, from 1.
        words: lines that are not numbers alone, with their text.
        encoding: the file's encoding if it is not UTF-8.
        habits: other ways of writing that were met: which, the first line, and how many lines.
    """

    values: NDArray[np.float64]
    lengths: NDArray[np.int32]
    lines: NDArray[np.int32]
    words: tuple[tuple[int, str], ...] = ()
    encoding: str = ""
    habits: tuple[tuple[str, int, int], ...] = ()


NO_ROWS = LabelRows(np.zeros(0), np.zeros(0, np.int32), np.zeros(0, np.int32))


LARGE = MIB
"""Bytes from which label files are read one at a time: their numbers take some hundred times as many while parsed."""
_one_at_a_time = threading.Lock()


def read_rows(path: Path) -> LabelRows | None:
    """Read a label file; None if there is none.

    Raises:
        LabelFault: it cannot be read, is not text, or has too many rows.
    """
    most = max_objects()
    try:
        data = read_file(path, ROW_BYTES * most)
    except FileNotFoundError:
        return None
    except TooLarge as error:
        raise LabelFault(
            f"{error.strerror}: up to {most:,} objects of an image are read. Restore or remove it; if it is right, set "
            f"{OBJECTS_VARIABLE}={path.stat().st_size // ROW_BYTES + 1}."
        ) from None
    except OSError as error:
        raise LabelFault(f"cannot be read ({error.strerror}). Restore or remove it.") from None
    if len(data) < LARGE:
        rows = parse_rows(data)
    elif (lines := data.count(b"\n")) > 2 * most:  # blank ones among them
        raise LabelFault(too_many_objects(lines, "lines") or "")
    else:
        with _one_at_a_time:
            rows = parse_rows(data)
    count = len(rows.lengths) + len(rows.words)
    if count > most:
        raise LabelFault(too_many_objects(count, "rows") or "")
    return rows


def parse_rows(data: bytes) -> LabelRows:
    """Parse the content of a label file.

    Raises:
        LabelFault: it is not text.
    """
    if not data:
        return NO_ROWS
    rows = [line.split() for line in data.splitlines()]
    try:
        values = list(map(float, chain.from_iterable(rows)))
    except ValueError:
        return _parse_carefully(data)
    if b"_" in data:  # Python takes 1_000 for a number
        return _parse_carefully(data)
    lengths = [len(row) for row in rows]
    if all(lengths):
        lines = np.arange(1, len(rows) + 1, dtype=np.int32)
    else:
        lines = np.array([number for number, length in enumerate(lengths, 1) if length], np.int32)
        lengths = [length for length in lengths if length]
    return LabelRows(np.array(values, np.float64), np.array(lengths, np.int32), lines)


def parse_numbers(text: str) -> tuple[list[float], set[str]] | None:
    """Numbers of a line, and the habits in which it differs from numbers between blanks; None if words are in it."""
    if text[0].isalpha() and text[0] not in "nNiI":  # of words, only nan and inf are numbers
        return None
    numbers = _floats(text.split())
    if numbers is not None:
        return numbers, set()
    if not text.isascii():
        text = unicodedata.normalize("NFKC", text)  # full-width digits and commas
    for cleaned, habits in ((text, set[str]()), (text.translate(_BRACKETS), {BRACKETS})):
        numbers = _floats(cleaned.split())
        if numbers is not None:
            return numbers, habits
        separated = _separated(cleaned.strip())
        if separated is not None:
            return separated[0], separated[1] | habits
    return None


def _separated(text: str) -> tuple[list[float], set[str]] | None:
    """Numbers between semicolons, bars or commas, or with decimal commas."""
    if ";" in text or "|" in text:
        tokens = _SEPARATORS.split(text.strip(";| \t"))
        decimal = [token for token in tokens if "," in token]
        if any("." in token for token in decimal):
            return None
        numbers = _floats([token.replace(",", ".") for token in tokens])
        return None if numbers is None else (numbers, {SEMICOLONS} | ({DECIMAL_COMMAS} if decimal else set()))
    if "," not in text:
        return None
    tokens = text.split()
    bare = [token.removesuffix(",") for token in tokens]
    between = bare[:-1] != tokens[:-1]
    if len(bare) > 3 and all(_DECIMAL.fullmatch(token) for token in bare) and any("," in token for token in bare):
        numbers = _floats([token.replace(",", ".") for token in bare])
        return None if numbers is None else (numbers, {DECIMAL_COMMAS} | ({COMMAS} if between else set()))
    tokens = _COMMA.split(text.rstrip(", \t"))
    if commas_are_ambiguous(tokens):
        return None
    numbers = _floats(tokens)
    return None if numbers is None else (numbers, {COMMAS})


def commas_are_ambiguous(tokens: list[str]) -> bool:
    """Return whether whole numbers between commas may be decimals with decimal commas, as `0,0,5,0,5,0,2,0,2`."""
    return len(tokens) >= 9 and len(tokens) % 2 == 1 and set(tokens[1::2]) <= {"0", "1"}


def _floats(tokens: list[str]) -> list[float] | None:
    try:
        numbers = [float(token) for token in tokens]
    except ValueError:
        return None
    return None if not tokens or any("_" in token for token in tokens) else numbers


def _parse_carefully(data: bytes) -> LabelRows:
    text, encoding = decode_label(data)
    values: list[float] = []
    lengths: list[int] = []
    lines: list[int] = []
    words: list[tuple[int, str]] = []
    habits: dict[str, tuple[int, int]] = {}
    for number, raw in enumerate(re.split(r"\r\n|\r|\n", text), 1):
        line = raw.translate(_INVISIBLE).strip()
        if not line:
            continue
        bare = _COMMENT.sub("", line).strip() if "#" in line or "//" in line else line
        found = {COMMENTS} if bare != line else set()
        parsed = parse_numbers(bare) if bare else None
        if parsed is not None:
            found |= parsed[1]
            values += parsed[0]
            lengths.append(len(parsed[0]))
            lines.append(number)
        elif bare:
            words.append((number, bare))
        for habit in found:
            first, count = habits.get(habit, (number, 0))
            habits[habit] = (first, count + 1)
    return LabelRows(
        np.array(values, np.float64),
        np.array(lengths, np.int32),
        np.array(lines, np.int32),
        tuple(words),
        encoding,
        tuple((habit, *where) for habit, where in sorted(habits.items())),
    )
