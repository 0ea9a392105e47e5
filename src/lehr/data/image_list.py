"""Lists of images: text files that name one image per line."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lehr.data.folder_index import FolderIndex, cleaned, with_home_and_variables
from lehr.data.limits import LIST_BYTES
from lehr.data.listed_paths import ListedPaths, has_image_suffix
from lehr.data.text_files import UTF_8, decode_text
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.reading import read_file
from lehr.sample import Fault, Severity

LIST_SUFFIXES = frozenset({".txt", ".csv", ".tsv", ".lst", ".list", ""})
WEB = re.compile(r"(https?|s3|gs|ftp)://", re.IGNORECASE)
COLUMN_END = re.compile(r"(\.\w{2,5})[\"']?[\s,;|]+(?=\S)")
"""The end of a first column that may be an image's name."""
TITLES = re.compile(r"[\w ]+[,;\t][\w ,;\t]+$|[\w ]*(image|file|path|name|img)[\w ]*$", re.IGNORECASE)
"""A first line with the titles of columns."""
NUMBERED = re.compile(r"(\S.*?)\s+(-?[01])")
"""A name without suffix and whether it has a class, as lists of VOC's classes have it."""
BOXES = re.compile(r"(\d+(\.\d+)?,){4}\d+")
"""A box and its class as a column, as some lists have."""


@dataclass(slots=True)
class _Line:
    """A line of a list that names an image, or should.

    Attributes:
        number: its number, from 1.
        text: without the blanks around it.
        path: what it names; None if that is not found.
    """

    number: int
    text: str
    path: str | None = None


def images_listed(
    listing: Path, places: Sequence[Path], index: FolderIndex | None = None
) -> tuple[list[Path], list[Fault]]:
    """The image files that a text file names, one per line, in order.

    A name is taken from the first of the places that has it, then from the list's own folder, then from the working
    folder; one that begins with `./` first from the list's own. Names that are nowhere as written are looked for in
    another spelling, and by their end, as of paths of another machine; what was so found is noted.

    Args:
        listing: the text file.
        places: folders that names are relative to, in order.
        index: of folders that were listed already.

    Raises:
        InputError: the file is not text, or a name could be two files.
    """
    if listing.suffix.lower() not in LIST_SUFFIXES:
        raise InputError(f"{listing}: is neither a folder nor a .txt of images.{_hint(listing)}")
    try:
        text = decode_text(read_file(listing, LIST_BYTES))
    except OSError as error:
        raise InputError(f"{listing}: cannot be read ({error.strerror}).") from None
    if text is None:
        raise InputError(f"{listing}: cannot be read as text. A list names one image per line.")
    reader = _Reader(listing, ListedPaths([*places, listing.parent, Path()], listing.parent, index or FolderIndex()))
    if text.encoding != UTF_8:
        reader.note(f"the list is in {text.encoding} and is read so", 1, Severity.WARNING)
    lines = [_Line(number, line.strip()) for number, line in enumerate(text.content.splitlines(), 1) if line.strip()]
    reader.read(lines)
    paths = [Path(line.path) for line in lines if line.path is not None]
    return list(dict.fromkeys(paths)), reader.faults


class _Reader:
    """Finds the images of a list's lines, and gathers what is to be said about them."""

    def __init__(self, listing: Path, paths: ListedPaths) -> None:
        self.listing = listing
        self.paths = paths
        self.faults: list[Fault] = []

    def note(self, message: str, line: int, severity: Severity = Severity.NOTE, kind: str = "list-form") -> None:
        """Add a fault of the list."""
        self.faults.append(Fault(kind, self.listing, message, line, severity))

    def read(self, lines: list[_Line]) -> None:
        """Find the image of each line; those that name none become faults."""
        for line in lines:
            line.path = self.paths.as_written(line.text, f"{self.listing}:{line.number}")
        missing = [line for line in lines if line.path is None and not line.text.startswith("#")]
        missing = self._without_header(lines, missing)
        missing = self._without_web(missing)
        if missing:
            self._find_otherwise(missing)
        self._note_repetitions(lines)

    def _without_header(self, lines: list[_Line], missing: list[_Line]) -> list[_Line]:
        """Pass over a first line of column titles."""
        if missing and missing[0] is lines[0] and len(lines) > 1:
            first, second = lines[0].text, lines[1].text
            if TITLES.match(first) and not _has_suffix(first) and _has_suffix(second):
                self.note(f"'{first[:40]}' is taken for a line of titles", 1)
                return missing[1:]
        return missing

    def _without_web(self, missing: list[_Line]) -> list[_Line]:
        for line in missing:
            if WEB.match(line.text):
                self._fault(line, "is a web address; Lehr downloads nothing. Download it, and name the file")
        return [line for line in missing if not WEB.match(line.text)]

    def _find_otherwise(self, missing: list[_Line]) -> None:
        """Find images whose lines are spelled otherwise, have columns, or come from another machine."""
        names: dict[int, str] = {}
        wide: dict[int, _Line] = {}
        for line in missing:
            clean = cleaned(line.text.rstrip(",;"))
            first = None if has_image_suffix(clean) else _first_column(line.text)
            if first is not None:
                clean = cleaned(first)
                wide[line.number] = line
            names[line.number] = with_home_and_variables(clean)
        hows: dict[str, list[_Line]] = {}
        hits = self.paths.otherwise([names[line.number] for line in missing])
        for line, found_one in zip(missing, hits, strict=True):
            if isinstance(found_one, str):
                self._fault(line, found_one)
                continue
            line.path = found_one.path
            if found_one.how or not wide.get(line.number):
                hows.setdefault(found_one.how, []).append(line)
        for how, those in hows.items():
            count = f"{len(those)} lines are" if len(those) > 1 else f"'{those[0].text[:80]}' is"
            first = f" (the first: {those[0].path})" if len(those) > 1 else f": {those[0].path}"
            plain = "without quotes, and with / for \\"
            severity = Severity.WARNING if how else Severity.NOTE
            self.note(f"{count} read {how or plain}{first}", those[0].number, severity)
        read = [line for line in wide.values() if line.path is not None]
        if read:
            boxes = any(BOXES.search(line.text) for line in read[:100])
            what = "boxes are not read from lists; labels are those of the .txt files" if boxes else "they are not used"
            severity = Severity.WARNING if boxes else Severity.NOTE
            self.note(
                f"{counted(len(read), 'line has', 'lines have')} further columns after the image: {what}",
                read[0].number,
                severity,
            )

    def _fault(self, line: _Line, cause: str) -> None:
        self.note(f"names '{line.text[:120]}': {cause}", line.number, Severity.ERROR, "unreadable-image")

    def _note_repetitions(self, lines: list[_Line]) -> None:
        counted = Counter(line.path for line in lines if line.path is not None)
        if len(counted) == sum(counted.values()):
            return
        seen: set[str] = set()
        again: list[_Line] = []
        for line in lines:
            if line.path is not None:
                again += [line] if line.path in seen else []
                seen.add(line.path)
        shown = f"'{again[0].text[:80]}' is named again" + (f", as are {len(again) - 1} more" if again[1:] else "")
        message = f"{shown}: each image is used once. Remove the repetition; --image-weights shows rare classes oftener"
        self.note(message, again[0].number, Severity.WARNING, "duplicate-image")


def _has_suffix(text: str) -> bool:
    return has_image_suffix(cleaned(text)) or _first_column(text) is not None


def _first_column(text: str) -> str | None:
    """The image's name that a line with further columns begins with; None if it has none."""
    for end in COLUMN_END.finditer(text):
        if has_image_suffix(text[: end.end(1)]):
            return text[: end.end(1)]
    numbered = NUMBERED.fullmatch(text)
    return None if numbered is None else numbered[1]


def _hint(listing: Path) -> str:
    """Say what a file is that stands where a list of images should."""
    suffix = listing.suffix.lower()
    if suffix in (".zip", ".tar", ".gz", ".7z", ".rar"):
        return " Unpack it."
    if suffix == ".json":
        return f" If it is a COCO JSON: --data {listing}."
    if suffix in (".yaml", ".yml"):
        return f" If it is a data YAML: --data {listing}."
    return ""
