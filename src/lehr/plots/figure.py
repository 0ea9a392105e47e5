"""Figures by matplotlib, which is an extra: made without a display, saved whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

KINDS = (".png", ".svg", ".pdf")
COLOURS = ("#1f6f8b", "#e07a3f", "#5a9e54", "#b0413e", "#7a5ea8", "#8c6d46", "#d1699f", "#6b7280")


def new_figure(rows: int, columns: int, width: float = 9.0, height: float = 3.0) -> tuple[Figure, list[Axes]]:
    """A figure and its axes, row by row.

    Args:
        rows: rows of axes.
        columns: axes a row.
        width: of the figure, inches.
        height: of a row, inches.

    Raises:
        InputError: matplotlib is not installed.
    """
    try:
        from matplotlib import rcdefaults, rcParams
        from matplotlib.figure import Figure
    except ImportError:
        raise InputError("Plots need matplotlib: pip install 'lehr[plots]'.") from None
    if Path("matplotlibrc").exists():  # matplotlib reads it: whoever filled the working folder would have LaTeX run
        rcdefaults()
    rcParams["svg.hashsalt"] = "lehr"  # so that the same picture is the same file
    figure = Figure(figsize=(width, height * rows), layout="constrained")
    axes = [figure.add_subplot(rows, columns, index + 1) for index in range(rows * columns)]
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.grid(alpha=0.25)
        axis.set_prop_cycle(color=COLOURS)
    return figure, axes


def save_figure(figure: Figure, path: Path, dpi: int = 110) -> None:
    """Write a figure as PNG, SVG or PDF, by the file's name.

    Args:
        figure: the figure.
        path: the file.
        dpi: pixels an inch, of what is not drawn as lines.

    Raises:
        InputError: the name is of another kind, or the file cannot be written.
    """
    if path.suffix.lower() not in KINDS:
        raise InputError(f"{path}: plots are written as {', '.join(KINDS)}. Choose another --plot file.")
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
    with atomic_file(path, "Choose another --plot file.") as temporary:
        figure.savefig(temporary, format=path.suffix[1:].lower(), dpi=dpi, metadata=metadata)
