"""Lines of label files with words in them: class names for ids, DOTA's oriented boxes, headers."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.labels.rows import parse_numbers
from lehr.data.labels.table import amount
from lehr.data.labels.text import legacy_words
from lehr.sample import Fault, Severity

FORM = "class centre-x centre-y width height"
KITTI_NUMBERS = (14, 15)
"""Numbers behind the class name of KITTI's labels."""

_TOKEN = re.compile(r"[^\s,;|]+")
_QUOTED = re.compile(r"([\"'])(.+?)\1[\s,;|]+(.*)")
_HEADER_WORDS = frozenset(
    [
        "class",
        "classid",
        "cls",
        "label",
        "labels",
        "id",
        "index",
        "category",
        "categoryid",
        "name",
        "object",
        "x",
        "y",
        "w",
        "h",
        "cx",
        "cy",
        "xc",
        "yc",
        "bx",
        "by",
        "bw",
        "bh",
        "xcenter",
        "ycenter",
        "centerx",
        "centery",
        "centrex",
        "centrey",
        "xcentre",
        "ycentre",
        "width",
        "height",
        "xmin",
        "ymin",
        "xmax",
        "ymax",
        "left",
        "top",
        "right",
        "bottom",
        "conf",
        "confidence",
        "score",
        "xywh",
        "xywhn",
        "box",
        "bbox",
    ]
)
_DOTA_HEADER = re.compile(r"(imagesource|gsd|acquisition[a-z]*)\s*:", re.IGNORECASE)


class ClassNames:
    """Class ids by name, as written, or where only case, blanks, dashes and quotes differ."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self._exact = {name: index for index, name in enumerate(names)}
        self._folded: dict[str, int | None] = {}
        for index, name in enumerate(names):
            folded = _fold(name)
            self._folded[folded] = None if folded in self._folded else index

    def has(self, word: str) -> bool:
        """Return whether a class has exactly this name."""
        return word in self._exact

    def find(self, word: str) -> int | None:
        """The id of a name, in whatever encoding it is; None if the data set has none of that name."""
        for possible in legacy_words(word):
            exact = self._exact.get(possible)
            found = self._folded.get(_fold(possible)) if exact is None else exact
            if found is not None:
                return found
        return None

    def __str__(self) -> str:
        shown = ", ".join(self.names[:10])
        return shown + (", ..." if len(self.names) > 10 else "")


@dataclass(slots=True)
class Tally:
    """A count of lines of one sort, and the first of them."""

    first: tuple[int, int] | None = None
    lines: int = 0
    files: set[int] = field(default_factory=set)

    def add(self, file: int, line: int, lines: int = 1) -> None:
        """Count lines of a file."""
        self.first = self.first or (file, line)
        self.lines += lines
        self.files.add(file)

    def __str__(self) -> str:
        return amount(self.lines, len(self.files))

    def note(self, kind: str, paths: Sequence[Path], message: str, severity: Severity = Severity.NOTE) -> list[Fault]:
        """One note of all lines at the place of the first; none if there are none. `{}` becomes the count."""
        if self.first is None:
            return []
        file, line = self.first
        return [Fault(kind, paths[file], message.format(self), line or None, severity)]


@dataclass(slots=True)
class Words:
    """The lines with words of a data set, understood.

    Attributes:
        rows: those that are objects, as numbers: the file's index, the line, class id and coordinates.
        faults: of those that are not, with their files' indices.
        notes: how they were read.
    """

    rows: list[tuple[int, int, list[float]]] = field(default_factory=list)
    faults: list[tuple[int, Fault]] = field(default_factory=list)
    notes: list[Fault] = field(default_factory=list)


def read_words(
    lines: Iterable[tuple[int, int, str]],
    names: Sequence[str],
    paths: Sequence[Path],
    sizes: NDArray[np.float64],
) -> Words:
    """Understand the lines of label files that are not numbers alone.

    Args:
        lines: the file's index, the line from 1, its text; in order.
        names: the class names of the data set.
        paths: the label files.
        sizes: (files, 2), width and height of each file's image; DOTA's corners are pixels.
    """
    known = ClassNames(names)
    found = Words()
    named, dota, headers = Tally(), Tally(), Tally()
    first_file = -1
    for file, line, text in lines:
        begins, first_file = file != first_file, file
        if _DOTA_HEADER.match(text) or (begins and is_header(text)):
            headers.add(file, line)
            continue
        plain = _split_plain(text, known)
        dota_row = None if plain else _split_dota(text)
        name, numbers = plain or dota_row or split_name(text, known) or _split_comment(text, known) or ("", [])
        class_id = known.find(name)
        if not name:
            found.faults.append((file, _malformed(paths[file], line, text)))
        elif class_id is None:
            message = (
                f"'{_shown(name)}' is not a number, and no class of this data set ({known}): a class name is given "
                f"instead of its id. Write the id, or correct 'names'"
            )
            found.faults.append((file, Fault("unknown-class-name", paths[file], message, line)))
        elif len(numbers) in KITTI_NUMBERS and dota_row is None:
            message = f"looks like KITTI's format ({len(numbers)} numbers after a name). Convert it to '{FORM}'"
            found.faults.append((file, Fault("doubtful-labels", paths[file], message, line)))
        else:
            (named if dota_row is None else dota).add(file, line)
            if dota_row is not None:
                numbers = (np.reshape(numbers, (4, 2)) / sizes[file]).ravel().tolist()
            found.rows.append((file, line, [float(class_id), *numbers]))
    found.notes += named.note("class-names", paths, "{} begin with the name of a class, which is read as its id")
    message = "{} are in DOTA's format (four corners, class name); their bounding boxes are used, difficult or not"
    found.notes += dota.note("polygon", paths, message, Severity.WARNING)
    found.notes += headers.note("label-header", paths, "{} are headers without numbers; they are skipped")
    return found


def _split_plain(text: str, known: ClassNames) -> tuple[str, list[float]] | None:
    """Split a line of a known name without blanks, and numbers between blanks: most lines are, and this is quick."""
    name, _, rest = text.partition(" ")
    if not known.has(name):
        return None
    try:
        return name, [float(number) for number in rest.split()]
    except ValueError:
        return None


def split_name(text: str, known: ClassNames) -> tuple[str, list[float]] | None:
    """Split a line into a class name and the numbers after it; None if it is not so.

    A name may have blanks, and begin or end in a number (`type 1 0.5 0.5 0.2 0.2`): then the one that is known counts.
    """
    quoted = _QUOTED.fullmatch(text)
    if quoted:
        parsed = parse_numbers(quoted[3])
        return (quoted[2], parsed[0]) if parsed else None
    tokens = list(_TOKEN.finditer(text))
    start = len(tokens)
    while start > 1 and _is_number(tokens[start - 1][0]):
        start -= 1
    splits: list[tuple[str, list[float]]] = []
    for end in range(start, min(start + 3, len(tokens))):
        name = text[: tokens[end].start()].strip(" \t,;|:")
        parsed = parse_numbers(text[tokens[end].start() :])
        if parsed is not None and name:
            splits.append((name, parsed[0]))
    unknown = [each for each in splits if len(each[1]) >= 4 and not _is_number(tokens[0][0])]
    return next((each for each in splits if known.find(each[0]) is not None), unknown[0] if unknown else None)


def _split_comment(text: str, known: ClassNames) -> tuple[str, list[float]] | None:
    """Split a line into the name behind its box and its numbers, where the id before the box is that of the name."""
    match = re.fullmatch(r"((?:[^\s,;|]+[\s,;|]+){5})(.*)", text)
    parsed = parse_numbers(match[1]) if match else None
    if match is None or parsed is None:
        return None
    name, numbers = match[2].strip(" \t\"'"), parsed[0]
    return (name, numbers[1:]) if len(numbers) == 5 and known.find(name) == numbers[0] else None


def is_header(text: str) -> bool:
    """Return whether a line names columns, such as `class x_center y_center width height`."""
    words = [re.sub(r"[^a-z]", "", token.lower()) for token in _TOKEN.findall(text)]
    return len(words) >= 4 and all(word in _HEADER_WORDS for word in words)


def malformed_message(text: str, cause: str = "") -> str:
    """Say that a line is not a label."""
    return f"'{_shown(text)}' is not '{FORM}'{': ' + cause if cause else ''}; the line is skipped"


def _malformed(path: Path, line: int, text: str) -> Fault:
    tokens = [token.strip("\"'") for token in _TOKEN.findall(text)]
    cause = ""
    if "," in text and all(_is_number(token) for token in tokens):
        cause = "decimal commas cannot be distinguished from commas between numbers. Write decimals with a point"
    elif len(tokens) >= 5 and all(_is_number(token) for token in tokens[:4]):
        cause = "the class comes last; it must come first, as a number"
    elif "%" in text:
        cause = "shares of the image are written from 0 to 1, without %"
    return Fault("malformed-line", path, malformed_message(text, cause), line)


def _split_dota(text: str) -> tuple[str, list[float]] | None:
    tokens = _TOKEN.findall(text)
    if not 9 <= len(tokens) <= 10 or _is_number(tokens[8]) or not all(_is_number(token) for token in tokens[:8]):
        return None
    if len(tokens) == 10 and not tokens[9].isdigit():
        return None
    return tokens[8].strip("\"'"), [float(token) for token in tokens[:8]]


def _is_number(token: str) -> bool:
    try:
        float(token.replace(",", "."))
    except ValueError:
        return False
    return "_" not in token


def _fold(name: str) -> str:
    return re.sub(r"[\s_-]+", " ", unicodedata.normalize("NFKC", name).casefold()).strip(" \"'")


def _shown(text: str) -> str:
    return text[:60].encode("utf-8", "replace").decode("utf-8")
