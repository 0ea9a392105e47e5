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

from lehr.plots.figure import (
    POINTS,
    integer_ticks,
    legend,
    logarithmic,
    new_figure,
    plain,
    save_figure,
    say_instead,
    set_title,
    shortened,
    styled,
    wrapped,
)
from lehr.plots.style import COLOURS, GREY, INK, LIGHT, PAPER, QUIET, SMALL, SMALL_DOT, THIN, WIDTH
from lehr.report.page import cell_text, shades
from lehr.report.pieces import Chart, Gallery, Marker, Matrix, Section
from lehr.runtime.atomic_write import make_inner_folder
from lehr.runtime.plain_text import one_line

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

MAX_LEGEND = 12
"""Series that a legend names; of more, the first ones are drawn in colour and named, all others in grey."""
MAX_CELLS = 400
"""Cells of a matrix up to which their texts are written into them."""
MAX_TICKS = 40
"""Names along an axis; of more, every second, third, ... is written."""
MAX_IMAGES = 24
"""Images of a gallery that its figure shows."""
NEAR = 0.025
"""Share of an axis that a marker's label takes."""
DASHES = ("-", "--", ":", "-.")
NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def draw_sections(
    sections: Sequence[Section], folder: Path, *, kinds: Sequence[str] = (".png",), seconds: float = math.inf
) -> list[str]:
    """Draw each chart, matrix and gallery of a page into a file of its name.

    Args:
        sections: of the page.
        folder: where the files go; made if it is not there.
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
            raise ValueError(f"{piece.name!r} is not a name of a figure: small letters, digits and hyphens only")
        if monotonic() >= end:
            late.append(piece.name)
            continue
        for kind in kinds:
            draw_piece(piece, folder / f"{piece.name}{kind}")
    return late


@styled()
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
    figure, (axis,) = new_figure(1, 1, width=8.0, height=4.2)
    if not any(value is not None and math.isfinite(value) for series in chart.series for value in series.y):
        say_instead(axis, "no values")
        set_title(figure, one_line(chart.title))
        save_figure(figure, path)
        return
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
            axis.plot(x, y, ls="none", marker="o", markersize=SMALL_DOT, alpha=0.7, **look)
        else:
            style = "--" if series.dashed else DASHES[index // len(COLOURS) % len(DASHES)]
            look |= {"lw": WIDTH, "ls": style} if index < coloured else {"lw": THIN, "alpha": 0.6}
            look |= {"marker": "o"} if len(y) == 1 else {}
            axis.plot(x, y, drawstyle="steps-pre" if chart.draw == "steps" else "default", **look)
    if chart.log_y and any(value is not None and value > 0 for series in chart.series for value in series.y):
        logarithmic(axis, "y")
    if chart.log_x and any(value > 0 for series in chart.series for value in series.x):
        logarithmic(axis, "x")
    if chart.y_range is not None:
        axis.set_ylim(*chart.y_range)
    _mark(axis, chart.markers)
    if chart.labels:
        _name_ticks(axis, chart.labels, "x")
    elif not chart.log_x and all(float(x).is_integer() for series in chart.series for x in series.x):
        integer_ticks(axis)
    axis.set(xlabel=_plain(chart.x), ylabel=_plain(chart.y))
    set_title(figure, one_line(chart.title))
    if len(chart.series) > 1:
        _legend(axis, chart, coloured)
    save_figure(figure, path)


def _mark(axis: Axes, markers: Sequence[Marker]) -> None:
    """Draw upright lines with their labels; of those too close to each other, the first alone has its label."""
    low, high = axis.get_xlim()
    apart, last = NEAR * (high - low), -math.inf
    for mark in sorted(markers, key=lambda mark: mark.x):
        axis.axvline(mark.x, color=QUIET, lw=THIN, ls=(0, (3, 3)), zorder=1)
        if not low <= mark.x <= high or mark.x - last < apart:
            continue
        last = mark.x
        right = mark.x + apart < high  # the label stands on the side where there is room
        axis.annotate(
            _plain(mark.label, 28), (mark.x, 1.0), (3 if right else -3, -3), xycoords=axis.get_xaxis_transform(),
            textcoords="offset points", color=QUIET, fontsize=SMALL, rotation=90, ha="left" if right else "right",
            va="top",
        )  # fmt: skip


def _legend(axis: Axes, chart: Chart, coloured: int) -> None:
    """Name the coloured series, and count the others."""
    from matplotlib.lines import Line2D

    def look(index: int) -> dict[str, Any]:
        if chart.draw == "points":
            return {"ls": "none", "marker": "o", "markersize": SMALL_DOT}
        if chart.draw == "bars":
            return {"lw": 6}
        dashed = chart.series[index].dashed
        return {"lw": WIDTH, "ls": "--" if dashed else DASHES[index // len(COLOURS) % len(DASHES)]}

    shown: list[Artist] = [
        Line2D([], [], color=COLOURS[index % len(COLOURS)], label=_plain(series.name, 40), **look(index))
        for index, series in enumerate(chart.series[:coloured])
    ]
    if coloured < len(chart.series):
        shown.append(Line2D([], [], color=GREY, lw=THIN, label=f"{len(chart.series) - coloured} more"))
    legend(axis, shown)


def _draw_matrix(matrix: Matrix, path: Path) -> None:
    rows, columns = len(matrix.rows), len(matrix.columns)
    figure, (axis,) = new_figure(
        1, 1, width=min(24.0, 3.0 + 0.5 * columns), height=min(22.0, 2.5 + 0.36 * rows)
    )  # fmt: skip
    values = np.array([[math.nan if shade is None else shade for shade in row] for row in shades(matrix)])
    if values.size == 0:
        say_instead(axis, "nothing to show")
    else:
        from matplotlib.colors import ListedColormap

        few = values.size <= MAX_CELLS  # as shapes, which turn dark with the page
        axis.pcolormesh(values, cmap=ListedColormap(LIGHT.heat), vmin=0, vmax=1, rasterized=not few)
        axis.invert_yaxis()
        if few and not matrix.heat:
            for row, column in np.ndindex(values.shape):
                text, dark = _plain(cell_text(matrix, row, column), 12), values[row, column] > 0.45
                colour = PAPER if dark else INK
                axis.text(column + 0.5, row + 0.5, text, ha="center", va="center", fontsize=SMALL, color=colour)
    axis.grid(visible=False)
    axis.spines[:].set_visible(False)
    axis.tick_params(length=0)
    _name_ticks(axis, matrix.columns, "x", 0.5)
    _name_ticks(axis, matrix.rows, "y", 0.5)
    axis.set(xlabel=_plain(matrix.column_label), ylabel=_plain(matrix.row_label))
    set_title(figure, one_line(matrix.title))
    save_figure(figure, path)


def _draw_gallery(gallery: Gallery, path: Path) -> None:
    shown = gallery.thumbnails[:MAX_IMAGES]
    columns = min(4, max(1, len(shown)))
    rows = max(1, math.ceil(len(shown) / columns))
    figure, axes = new_figure(rows, columns, width=3.2 * columns, height=2.8)
    for axis in axes[max(1, len(shown)) :]:
        axis.remove()
    for axis, thumbnail in zip(axes, shown, strict=False):
        axis.set_axis_off()
        image = cv2.imdecode(np.frombuffer(thumbnail.jpeg, np.uint8), cv2.IMREAD_COLOR)
        if image is not None:
            axis.imshow(image[..., ::-1])
        axis.set_title(wrapped(_plain(thumbnail.title), SMALL, 3.0 * POINTS), fontsize=SMALL)
    if not shown:
        say_instead(axes[0], _plain(gallery.empty))
    set_title(figure, one_line(gallery.title))
    save_figure(figure, path)


def _name_ticks(axis: Axes, names: Sequence[str], which: str, shift: float = 0.0) -> None:
    """Name places 0, 1, ... of an axis.

    Args:
        axis: the axis.
        names: of the places; of many, every second, third, ... is written.
        which: x or y.
        shift: of each name from its place.
    """
    every = max(1, math.ceil(len(names) / MAX_TICKS))
    places = [place + shift for place in range(0, len(names), every)]
    texts = [_plain(name, 24) for name in names[::every]]
    if which == "y":
        axis.set_yticks(places, texts, fontsize=SMALL)
        return
    slanted = sum(map(len, texts)) > 72 or max(map(len, texts), default=0) > 12
    look: dict[str, Any] = {"rotation": 60, "ha": "right", "rotation_mode": "anchor"} if slanted else {}
    axis.set_xticks(places, texts, fontsize=SMALL, **look)


def _gap(chart: Chart) -> float:
    """Return the smallest distance between two bars."""
    places = sorted({x for series in chart.series for x in series.x})
    return min((after - before for before, after in itertools.pairwise(places)), default=1.0)


def _plain(text: str, most: int = 100) -> str:
    """Return a text of others as matplotlib is to write it: one line, not too long, dollars no mathematics."""
    return plain(shortened(one_line(text), most))
