"""Parts of pages: tables, charts, images and commands, as plain values that a template turns into HTML."""

from __future__ import annotations

import math
from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

from lehr.errors import InputError
from lehr.runtime.reading import MIB, read_file

Mark = Literal["", "good", "bad", "even", "best"]
"""Highlight of a cell; always next to a word or a sign, never by colour alone."""
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
        sort: what it is sorted by where that is not text; cells without stand last in a column of numbers.
        small: a second line, e.g. an interval.
        word: a third, e.g. what the numbers mean; with a sign it is read aloud, not shown.
        mark: how it is set off.
        folded: what shows only on request.
        sign: shown before the text in place of a word, e.g. a triangle; a caption says what it means.
    """

    text: str
    sort: float | None = None
    small: str = ""
    word: str = ""
    mark: Mark = ""
    folded: str = ""
    sign: str = ""


@dataclass(frozen=True, slots=True)
class Table:
    """A table, sortable by its heads where scripts run.

    Attributes:
        title: above it.
        columns: its columns.
        rows: a cell per column each.
        caption: what its columns mean, and how to read it.
        empty: what is said if it has no rows.
        folded: whether it shows only on request.
    """

    title: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]
    caption: str = ""
    empty: str = "Nothing yet."
    folded: bool = False
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
    def uri(self) -> str:
        """The figure's content as a data URI.

        Raises:
            InputError: it cannot be read, or is of another kind.
        """
        kind = IMAGE_TYPES.get(self.path.suffix.lower())
        if kind is None:
            raise InputError(f"{self.path}: pages hold images of the kinds {', '.join(IMAGE_TYPES)}.")
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
class Series:
    """A line, or a set of bars or points, of a chart.

    Attributes:
        name: in the legend.
        x: ascending for lines.
        y: as many; None if there is no value.
        dashed: drawn dashed, for what only goes with another line.
    """

    name: str
    x: Sequence[float]
    y: Sequence[float | None]
    dashed: bool = False


@dataclass(frozen=True, slots=True)
class Marker:
    """An upright line in a chart.

    Attributes:
        x: where it stands.
        label: what happened there.
    """

    x: float
    label: str


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart whose values show under the pointer; the page has them as a table too.

    Attributes:
        name: of its files in `plots/`, e.g. precision-recall; unique on a page.
        title: above it.
        x: what the horizontal axis is, with its unit.
        y: what the vertical axis is, with its unit.
        series: what is drawn.
        alt: what it shows, for those who do not see it.
        caption: how to read it.
        draw: lines, steps, bars or points.
        markers: upright lines.
        log_y: whether the vertical axis is logarithmic.
        log_x: whether the horizontal axis is logarithmic.
        y_range: ends of the vertical axis; None to fit the values.
        labels: names of x = 0, 1, ... where the axis has names; empty for numbers.
    """

    name: str
    title: str
    x: str
    y: str
    series: Sequence[Series]
    alt: str
    caption: str = ""
    draw: Literal["lines", "steps", "bars", "points"] = "lines"
    markers: Sequence[Marker] = ()
    log_y: bool = False
    log_x: bool = False
    y_range: tuple[float, float] | None = None
    labels: Sequence[str] = ()
    kind: ClassVar[str] = "chart"


@dataclass(frozen=True, slots=True)
class Matrix:
    """A table of numbers whose cells are shaded by their values, e.g. a confusion matrix.

    Attributes:
        name: of its files in `plots/`; unique on a page.
        title: above it.
        rows: names of the rows.
        columns: names of the columns.
        values: a number a cell, row by row; None if there is none.
        row_label: what the rows are.
        column_label: what the columns are.
        texts: what the cells say; empty for the numbers.
        heat: whether it is a heat map: small cells in colour alone, which say their numbers on request.
        caption: how to read it.
    """

    name: str
    title: str
    rows: Sequence[str]
    columns: Sequence[str]
    values: Sequence[Sequence[float | None]]
    row_label: str
    column_label: str
    texts: Sequence[Sequence[str]] = ()
    caption: str = ""
    heat: bool = False
    kind: ClassVar[str] = "matrix"


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """An image of a gallery, small, and larger on request.

    Attributes:
        jpeg: its bytes, JPEG, at the size that it enlarges to.
        alt: what it shows.
        title: e.g. the file's name.
        text: what there is to say of it.
        tags: what it can be filtered by, `group: value` each, e.g. `kind: background` and `class: dog`; images that
            have the tag chosen in each group show.
    """

    jpeg: bytes
    alt: str
    title: str
    text: str = ""
    tags: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Gallery:
    """Images side by side that can be filtered by their tags.

    Attributes:
        name: of its files in `plots/`; unique on a page.
        title: above it.
        thumbnails: the images.
        caption: how to read them.
        empty: what is said if there are none.
    """

    name: str
    title: str
    thumbnails: Sequence[Thumbnail]
    caption: str = ""
    empty: str = "None."
    kind: ClassVar[str] = "gallery"


@dataclass(frozen=True, slots=True)
class Note:
    """A paragraph.

    Attributes:
        text: what it says.
    """

    text: str
    kind: ClassVar[str] = "note"


Piece = Table | Figure | Command | Chart | Matrix | Gallery | Note


@dataclass(frozen=True, slots=True)
class Section:
    """A part of a page with a heading and a link from its top.

    Attributes:
        name: short, for its link, e.g. curves.
        title: its heading.
        pieces: what it holds, from top to bottom.
        answers: what there is to learn from it, a plain sentence each, above all else.
    """

    name: str
    title: str
    pieces: Sequence[Piece]
    answers: Sequence[str] = ()


def number_cell(text: str, value: float | None, mark: Mark = "") -> Cell:
    """A cell that is sorted by its number; last if it has none."""
    return Cell(text, math.inf if value is None or not math.isfinite(value) else value, mark=mark)
