"""One self-contained HTML page about a study: no file beside it, nothing from the network, readable on paper too."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.plain_text import printable
from lehr.runtime.reading import MIB, read_file

Mark = Literal["", "good", "bad", "even", "best"]
"""Highlight of a cell; always beside a word or a sign, never by colour alone."""
MAX_FIGURE = 64 * MIB
"""Bytes of a figure's file."""
IMAGE_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}


@dataclass(frozen=True, slots=True)
class Column:
    """A column of a table.

    Attributes:
        name: its head.
        numeric: whether its cells are set to the right.
    """

    name: str
    numeric: bool = False


@dataclass(frozen=True, slots=True)
class Cell:
    """A cell of a table.

    Attributes:
        text: what it says.
        sort: what it is sorted by where that is no text; cells without stand last in a column of numbers.
        small: a second line, e.g. an interval.
        word: a third, e.g. what the numbers mean.
        mark: how it is set off.
        folded: what shows only on request.
    """

    text: str
    sort: float | None = None
    small: str = ""
    word: str = ""
    mark: Mark = ""
    folded: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, sortable by its heads where scripts run.

    Attributes:
        title: above it.
        columns: its columns.
        rows: a cell a column each.
        caption: what its columns mean, and how to read it.
        empty: what is said where it has no rows.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    empty: str = "Nothing yet."
    kind: ClassVar[str] = "table"


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure.

    Attributes:
        title: above it.
        path: an SVG or PNG file, which the page takes in.
        alt: what it shows, for those who do not see it.
        caption: how to read it.
    """

    title: str
    path: Path
    alt: str
    caption: str = ""
    kind: ClassVar[str] = "figure"

    @property
    def drawn(self) -> bool:
        """True if the figure is lines on white, which dark pages invert."""
        return self.path.suffix.lower() == ".svg"

    @property
    def uri(self) -> str:
        """The figure's content as a data URI.

        Raises:
            InputError: it cannot be read, or is of another kind.
        """
        kind = IMAGE_TYPES.get(self.path.suffix.lower())
        if kind is None:
            raise InputError(f"{self.path}: pages hold pictures of the kinds {', '.join(IMAGE_TYPES)}.")
        try:
            return f"data:{kind};base64,{b64encode(read_file(self.path, MAX_FIGURE, links=False)).decode()}"
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}). Make the page again.") from None


@dataclass(frozen=True, slots=True)
class Command:
    """A command to type next.

    Attributes:
        title: above it.
        text: the command.
        caption: what it does.
    """

    title: str
    text: str
    caption: str = ""
    kind: ClassVar[str] = "command"


@dataclass(frozen=True, slots=True)
class StudyPage:
    """Content of a page, from top to bottom.

    Attributes:
        title: the study's name.
        kind: what kind of study, e.g. `lehr evolve`.
        answers: what came out, a plain sentence each.
        summary: labels and values.
        notes: what to keep in mind, a paragraph each.
        sections: tables, pictures and commands.
    """

    title: str
    kind: str
    answers: Sequence[str]
    summary: Sequence[tuple[str, str]]
    notes: Sequence[str]
    sections: Sequence[Table | Figure | Command]


def render_page(page: StudyPage) -> str:
    """The page as HTML.

    Raises:
        InputError: Jinja is missing, or a picture cannot be read.
    """
    try:
        from jinja2 import Environment, PackageLoader, StrictUndefined
    except ImportError:
        raise InputError("Pages need Jinja: pip install 'lehr[search]'.") from None
    loader = PackageLoader("lehr.report")
    environment = Environment(
        loader=loader,
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_without_controls,
    )
    return environment.get_template("study.html").render(page=page)


def write_page(page: StudyPage, path: Path) -> None:
    """Write the page, whole or not at all.

    Args:
        page: what it says.
        path: the HTML file.

    Raises:
        InputError: Jinja is missing, a picture cannot be read, or the file cannot be written.
    """
    text = render_page(page)
    with atomic_file(path, "Free the disk or choose another folder.") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _without_controls(value: object) -> object:
    """Return a text with its control characters written as escapes; anything else as it is."""
    return printable(value) if type(value) is str else value


def number_cell(text: str, value: float | None, mark: Mark = "") -> Cell:
    """A cell that is sorted by its number; last where it has none."""
    return Cell(text, math.inf if value is None or not math.isfinite(value) else value, mark=mark)
