"""Figures of a page as files in `plots/`: each chart, matrix and gallery drawn by matplotlib, for slides and papers."""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from lehr.plots.figure import COLOURS, new_figure, save_figure
from lehr.report.page import cell_text, shades
from lehr.report.pieces import Chart, Gallery, Matrix, Section
from lehr.runtime.atomic_write import make_inner_folder
from lehr.runtime.plain_text import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes

MAX_LEGEND = 12
"""Series that a legend names; of more, the first ones are drawn in colour and named, all others in grey."""
MAX_CELLS = 400
"""Cells of a matrix up to which their texts are written into them."""
MAX_TICKS = 40
"""Names along an axis; of more, every second, third, ... is written."""
MAX_IMAGES = 24
"""Images of a gallery that its figure shows."""
DASHES = ("-", "--", ":", "-.")
GREY = COLOURS[7]
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def draw_sections(
    sections: Sequence[Section], folder: Path, *, kinds: Sequence[str] = (".png",), seconds: float = math.inf
) -> list[str]:
    """Draw each chart, matrix and gallery of a page into a file of its name.

    Args:
        sections: of the page.
        folder: where the files go; made where it is not there.
        kinds: endings of the files, a file each.
        seconds: time after which no further figure is begun.

    Returns:
        Names of figures that were not drawn: there was no time for them, or there is no matplotlib.

    Raises:
        InputError: a file cannot be written.
    """
    figures = [piece for section in sections for piece in section.pieces if isinstance(piece, Chart | Matrix | Gallery)]
    if not figures or not kinds:
        return []
    if seconds <= 0 or find_spec("matplotlib") is None:
        return [piece.name for piece in figures]
    make_inner_folder(folder)
    end, late = monotonic() + seconds, []
    for piece in figures:
        if NAME.fullmatch(piece.name) is None:
            raise ValueError(f"{piece.name!r} is no name of a figure: small letters, digits and hyphens only")
        if monotonic() >= end:
            late.append(piece.name)
            continue
        for kind in kinds:
            draw_piece(piece, folder / f"{piece.name}{kind}")
    return late


def draw_piece(piece: Chart | Matrix | Gallery, path: Path) -> None:
    """Draw one figure.

    Args:
        piece: what it shows.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    if isinstance(piece, Chart):
        _draw_chart(piece, path)
    elif isinstance(piece, Matrix):
        _draw_matrix(piece, path)
    else:
        _draw_gallery(piece, path)


def _draw_chart(chart: Chart, path: Path) -> None:
    figure, (axis,) = new_figure(1, 1, width=9.0, height=4.5)
    coloured = len(chart.series) if len(chart.series) <= MAX_LEGEND else MAX_LEGEND // 2
    width = 0.8 * _gap(chart) / max(1, len(chart.series))
    for index in reversed(range(len(chart.series))):  # the first lie on top
        series = chart.series[index]
        look: dict[str, Any] = {"color": COLOURS[index % len(COLOURS)] if index < coloured else GREY}
        x, y = list(series.x), [math.nan if value is None else value for value in series.y]
        if chart.draw == "bars":
            shift = (index - (len(chart.series) - 1) / 2) * width
            axis.bar([value + shift for value in x], [0 if math.isnan(v) else v for v in y], width=width, **look)
        elif chart.draw == "points":
            axis.plot(x, y, ls="none", marker="o", markersize=3, alpha=0.6, **look)
        else:
            style = "--" if series.dashed else DASHES[index // len(COLOURS) % len(DASHES)]
            look |= {"lw": 1.6, "ls": style} if index < coloured else {"lw": 0.6, "alpha": 0.5}
            look |= {"marker": "o", "markersize": 4} if len(y) == 1 else {}
            axis.plot(x, y, drawstyle="steps-pre" if chart.draw == "steps" else "default", **look)
    if chart.log_y and any(value is not None and value > 0 for series in chart.series for value in series.y):
        axis.set_yscale("log")
    if chart.log_x and any(value > 0 for series in chart.series for value in series.x):
        axis.set_xscale("log")
    if chart.y_range is not None:
        axis.set_ylim(*chart.y_range)
    for mark in chart.markers:
        axis.axvline(mark.x, color=GREY, lw=0.9, ls=(0, (3, 3)))
        axis.text(
            mark.x, 1.0, _plain(mark.label, 28), transform=axis.get_xaxis_transform(), color=GREY, fontsize=7,
            rotation=90, ha="right", va="top",
        )  # fmt: skip
    if chart.labels:
        _name_ticks(axis, chart.labels, "x")
    axis.set(xlabel=_plain(chart.x), ylabel=_plain(chart.y))
    axis.set_title(_plain(chart.title), fontsize=11)
    if len(chart.series) > 1:
        _legend(axis, chart, coloured)
    save_figure(figure, path)


def _legend(axis: Axes, chart: Chart, coloured: int) -> None:
    """Name the coloured series, and count the others."""
    from matplotlib.lines import Line2D

    shown = [
        Line2D(
            [], [], color=COLOURS[index % len(COLOURS)], lw=4 if chart.draw == "bars" else 1.6,
            ls="--" if series.dashed else DASHES[index // len(COLOURS) % len(DASHES)], label=_plain(series.name, 40),
        )
        for index, series in enumerate(chart.series[:coloured])
    ]  # fmt: skip
    if coloured < len(chart.series):
        shown.append(Line2D([], [], color=GREY, lw=0.6, label=f"{len(chart.series) - coloured} more"))
    axis.figure.legend(handles=shown, loc="outside right upper", frameon=False, fontsize=8)


def _draw_matrix(matrix: Matrix, path: Path) -> None:
    rows, columns = len(matrix.rows), len(matrix.columns)
    figure, (axis,) = new_figure(
        1, 1, width=min(24.0, 3.0 + 0.5 * columns), height=min(22.0, 2.5 + 0.36 * rows)
    )  # fmt: skip
    values = [[math.nan if shade is None else shade for shade in row] for row in shades(matrix)]
    if rows and columns:
        axis.imshow(values, cmap="Blues", vmin=0, vmax=1, aspect="auto")
    if rows * columns <= MAX_CELLS and not matrix.heat:
        for row in range(rows):
            for column in range(columns):
                light = values[row][column] > 0.55
                text = _plain(cell_text(matrix, row, column), 12)
                axis.text(column, row, text, ha="center", va="center", fontsize=7, color="white" if light else "black")
    axis.grid(visible=False)
    _name_ticks(axis, matrix.columns, "x")
    _name_ticks(axis, matrix.rows, "y")
    axis.set(xlabel=_plain(matrix.column_label), ylabel=_plain(matrix.row_label))
    axis.set_title(_plain(matrix.title), fontsize=11)
    save_figure(figure, path)


def _draw_gallery(gallery: Gallery, path: Path) -> None:
    shown = gallery.thumbnails[:MAX_IMAGES]
    columns = min(4, max(1, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    figure, axes = new_figure(rows, columns, width=3.2 * columns, height=2.8)
    for axis in axes:
        axis.set_axis_off()
    for axis, thumbnail in zip(axes, shown, strict=False):
        image = cv2.imdecode(np.frombuffer(thumbnail.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if image is not None:
            axis.imshow(image[..., ::-1])
        axis.set_title(_plain(thumbnail.title, 34), fontsize=7)
    if not shown:
        axes[0].text(0.5, 0.5, _plain(gallery.empty), ha="center", va="center", color=GREY)
    figure.suptitle(_plain(gallery.title), fontsize=11)
    save_figure(figure, path)


def _name_ticks(axis: Axes, names: Sequence[str], which: str) -> None:
    every = max(1, math.ceil(len(names) / MAX_TICKS))
    places = list(range(0, len(names), every))
    texts = [_plain(names[place], 24) for place in places]
    if which == "y":
        axis.set_yticks(places, texts, fontsize=7)
    else:
        slanted = len(places) > 6 or max(map(len, texts), default=0) > 12
        axis.set_xticks(places, texts, fontsize=7, rotation=60 if slanted else 0, ha="right" if slanted else "center")


def _gap(chart: Chart) -> float:
    """Return the smallest distance between two bars."""
    places = sorted({x for series in chart.series for x in series.x})
    return min((after - before for before, after in itertools.pairwise(places)), default=1.0)


def _plain(text: str, most: int = 100) -> str:
    """Return a text of others as matplotlib is to write it: one line, not too long, dollars no mathematics."""
    line = one_line(text)
    return (line if len(line) <= most else f"{line[: most - 1]}…").replace("$", r"\$")
