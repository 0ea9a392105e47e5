"""Figures drawn by matplotlib, which is an extra: in one style, without a display, saved whole or not at all."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from lehr.errors import InputError
from lehr.plots.style import COLOURS, FONTS, QUIET, TICK, TITLE, dark_style, settings
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.installing import how_to_install

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.legend import Legend

KINDS = (".png", ".svg", ".pdf")
POINTS = 72.0
"""Points per inch."""
HANDLE = 3.2
"""Width of a legend's handle with its gaps, in sizes of its text."""
LONGEST_ENTRY = 48
"""Characters of a legend's entry."""
TITLE_LINES = 2
LEGEND_DOT = 8.0
"""Smallest diameter of a dot in a legend, points."""


@contextmanager
def styled() -> Iterator[None]:
    """Draw in Lehr's style, whatever the user's own settings of matplotlib are; they are back afterwards.

    Serves as a context and as a decorator.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from cycler import cycler
        from matplotlib import rc_context, rcdefaults, rcParams
    except ImportError:
        raise InputError(f"Plots need matplotlib. {how_to_install('plots')}") from None
    with rc_context(), warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Glyph .* missing from font")  # which draws a box in its place
        rcdefaults()  # a matplotlibrc in the working folder could have LaTeX run
        chosen: Any = settings() | {"font.family": _fonts(), "axes.prop_cycle": cycler(color=COLOURS)}
        rcParams.update(chosen)
        yield


@cache
def _fonts() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return [FONTS[0], *(name for name in FONTS[1:] if name in installed)]


def new_figure(rows: int, columns: int, width: float = 8.0, height: float = 3.0) -> tuple[Figure, list[Axes]]:
    """Make a figure and its axes, row by row; only within `styled`.

    Args:
        rows: rows of axes.
        columns: axes per row.
        width: of the figure, inches.
        height: of a row, inches.
    """
    from matplotlib import rcParams
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    if rcParams["svg.hashsalt"] != settings()["svg.hashsalt"]:
        raise RuntimeError("figures are drawn within `styled()`")
    figure = Figure(figsize=(width, height * rows), layout=ConstrainedLayoutEngine(h_pad=0.07, w_pad=0.07))
    return figure, [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]


def save_figure(figure: Figure, path: Path, dpi: int = 120) -> None:
    """Write a figure as PNG, SVG or PDF, by the file's name; an SVG turns dark on dark screens.

    Args:
        figure: the figure.
        path: the file.
        dpi: pixels per inch of what is not drawn as lines.

    Raises:
        InputError: the name is of another kind, or the file cannot be written.
    """
    kind = path.suffix.lower()
    if kind not in KINDS:
        raise InputError(f"{path}: plots are written as {', '.join(KINDS)}. Choose another --plot file.")
    with atomic_file(path, "Choose another --plot file.") as temporary:
        figure.savefig(temporary, format=kind[1:], dpi=dpi, metadata={"Date": None} if kind == ".svg" else {})
        if kind == ".svg":
            text = temporary.read_text(encoding="utf-8")
            temporary.write_text(text.replace("<defs>", f"<defs>\n  <style>{dark_style()}</style>", 1), "utf-8")


def legend(target: Axes | Figure, handles: Sequence[Artist] | None = None) -> None:
    """Add a legend below an axis or a figure, never on its data, in as many columns as there is room for.

    Call it once the axis has its labels.

    Args:
        target: the axis, or the figure for a legend that serves all of its axes.
        handles: what it names; those that have labels by default.
    """
    from matplotlib.axes import Axes

    axes = [target] if isinstance(target, Axes) else target.axes
    if handles is None:
        named: dict[str, Artist] = {}
        for axis in axes:
            for handle, label in zip(*axis.get_legend_handles_labels(), strict=True):
                named.setdefault(label, handle)
        handles = list(named.values())
    if not handles:
        return
    labels = [shortened(str(handle.get_label()), LONGEST_ENTRY) for handle in handles]
    look: dict[str, Any] = {"borderaxespad": 0.2, "handlelength": 1.8, "columnspacing": 1.4}
    if not isinstance(target, Axes):
        figure = target
        columns = _columns(labels, figure.get_figwidth() * POINTS - 20)
        _enlarge_dots(figure.legend(handles, labels, loc="outside lower center", ncols=columns, **look))
        return
    from matplotlib.transforms import ScaledTranslation

    figure = _figure_of(target)
    box = target.xaxis.get_tightbbox()
    below = max(target.bbox.y0 - box.y0, 0.0) / figure.dpi if box is not None else 0.0
    place = target.transAxes + ScaledTranslation(0, -below - 0.06, figure.dpi_scale_trans)
    columns = _columns(labels, _room(target))
    look |= {"loc": "upper center", "bbox_to_anchor": (0.5, 0), "bbox_transform": place, "ncols": columns}
    _enlarge_dots(target.legend(handles, labels, **look))


def _enlarge_dots(made: Legend) -> None:
    """Show the dots of a legend large enough to see their colours, however small the dots of the data are."""
    from matplotlib.collections import PathCollection
    from matplotlib.lines import Line2D

    for handle in made.legend_handles:
        if isinstance(handle, Line2D) and handle.get_marker() == ".":
            handle.set_markersize(max(handle.get_markersize(), LEGEND_DOT))
        elif isinstance(handle, PathCollection):
            handle.set_sizes([max(size, LEGEND_DOT**2) for size in handle.get_sizes()])
            handle.set_alpha(None)


def set_title(target: Axes | Figure, text: str) -> None:
    """Set the title of an axis or of a whole figure, in two lines at most, no wider than its part of the figure."""
    from matplotlib.axes import Axes

    if isinstance(target, Axes):
        target.set_title(wrapped(plain(text), TITLE, _room(target)))
    else:
        target.suptitle(wrapped(plain(text), TITLE, target.get_figwidth() * POINTS - 24))


def wrapped(text: str, size: float, width: float, lines: int = TITLE_LINES) -> str:
    """Break a text into lines, and cut it where those do not hold it.

    Args:
        text: one line.
        size: of its font, points.
        width: of a line, points.
        lines: how many at most.
    """
    broken: list[str] = []
    line, words = "", text.split(" ")
    while words:
        word = words.pop(0)
        longer = f"{line} {word}" if line else word
        if text_width(longer, size) <= width:
            line = longer
            continue
        if len(broken) == lines - 1:
            return "\n".join([*broken, _cut(" ".join([longer, *words]), size, width)])
        if line:
            broken.append(line)
            words.insert(0, word)
            line = ""
        else:
            broken.append(_cut(word, size, width))
    return "\n".join([*broken, line] if line else broken)


def text_width(text: str, size: float) -> float:
    """Return the width of one line of text, points."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    return float(text_to_path.get_text_width_height_descent(text, FontProperties(size=size), ismath=False)[0])


def plain(text: str) -> str:
    """Return a text as matplotlib takes it literally, dollar signs included."""
    return text.replace("$", r"\$")


def shortened(text: str, longest: int) -> str:
    """Return a text, cut to a number of characters."""
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def logarithmic(axis: Axes, which: Literal["x", "y", "both"], ticks: int = 9) -> None:
    """Make an axis logarithmic, with ticks at 1, 2 and 5 where it spans less than three decades; once it has its data.

    Args:
        axis: the axis.
        which: of its two, or both.
        ticks: how many at most.
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    for letter in "xy" if which == "both" else which:
        getattr(axis, f"set_{letter}scale")("log")
        each = getattr(axis, f"{letter}axis")
        low, high = each.get_view_interval()
        steps = (1.0, 2.0, 5.0) if 0 < high < 1e3 * low else (1.0,)
        each.set_major_locator(LogLocator(subs=steps, numticks=ticks))
        each.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        each.set_minor_formatter(NullFormatter())


def integer_ticks(axis: Axes, which: Literal["x", "y"] = "x") -> None:
    """Put an axis's ticks at whole numbers alone, a single one too."""
    from matplotlib.ticker import MaxNLocator

    getattr(axis, f"{which}axis").set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))


def say_instead(axis: Axes, text: str) -> None:
    """Explain instead of a plot why there is nothing to draw."""
    axis.set(xticks=[], yticks=[])
    axis.spines[:].set_visible(False)
    axis.text(0.5, 0.5, text, transform=axis.transAxes, ha="center", va="center", color=QUIET)


def _cut(text: str, size: float, width: float) -> str:
    longest = len(text)
    while longest > 1 and text_width(shortened(text, longest), size) > width:
        longest -= 1
    return shortened(text, longest)


def _figure_of(axis: Axes) -> Figure:
    from matplotlib.figure import Figure

    assert isinstance(axis.figure, Figure)  # `new_figure` makes no subfigures
    return axis.figure


def _room(axis: Axes) -> float:
    """Width of an axis's part of its figure, points, but for what its ticks take."""
    place = axis.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    return float(_figure_of(axis).get_figwidth()) * POINTS / columns - 24


def _columns(labels: Sequence[str], width: float) -> int:
    """Return how many columns a legend of some labels has room for."""
    widths = [text_width(label, TICK) + HANDLE * TICK for label in labels]
    for columns in range(len(labels), 1, -1):
        each = [float(column.max()) for column in np.array_split(widths, columns)]  # as matplotlib fills them
        if sum(each) + 1.4 * TICK * (columns - 1) <= width:
            return -(-len(labels) // -(-len(labels) // columns))  # as even rows as may be
    return 1
