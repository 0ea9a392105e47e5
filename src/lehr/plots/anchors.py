"""Objects and anchors by width and height, and how well each object is met."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.plots.figure import legend, logarithmic, new_figure, save_figure, styled
from lehr.plots.style import COLOURS, DOT, GREY
from lehr.techniques.autoanchor import Sizes, side_ratio

MAX_POINTS = 20_000


@styled()
def plot_anchors(
    sizes: Sizes, anchors: NDArray[np.float64], fitted: NDArray[np.float64] | None, threshold: float, path: Path
) -> None:
    """Draw the objects' sizes with the anchors over them, and next to it how similar each object's best anchor is.

    Args:
        sizes: of the objects, (n, 2), pixels.
        anchors: (levels, anchors per level, 2), pixels.
        fitted: better ones, of the same shape; None if there are none.
        threshold: largest ratio of an object's and a matching anchor's sides.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    figure, (scatter, curve) = new_figure(1, 2, height=4.4)
    step = max(1, len(sizes) // MAX_POINTS)
    widths, heights = sizes[::step].T
    scatter.scatter(widths, heights, s=9, alpha=0.35, color=GREY, linewidths=0, label="objects", rasterized=True)
    shown = [("anchors", anchors, COLOURS[1], "s")]
    if fitted is not None:
        shown.append(("fitted anchors", fitted, COLOURS[0], "o"))
    for name, drawn, colour, marker in shown:
        flat = drawn.reshape(-1, 2)
        widths, heights = flat.T
        scatter.scatter(
            widths, heights, s=DOT**2, marker=marker, facecolors="none", edgecolors=colour, linewidths=1.8, label=name
        )
        best = np.sort(side_ratio(sizes, flat).max(1))
        shares = np.arange(1, len(best) + 1) / len(best)
        curve.plot(best, shares, color=colour, label=name, marker="o" if len(best) == 1 else "")
    logarithmic(scatter, "both")
    scatter.set(xlabel="width, pixels", ylabel="height, pixels")
    legend(scatter)
    curve.axvline(1 / threshold, color=GREY, linestyle=":", label=f"threshold 1/{threshold:g}")
    curve.set(
        xlabel="ratio of sides to the best anchor", ylabel="share of objects up to it", xlim=(0, 1), ylim=(0, 1.03)
    )
    legend(curve)
    save_figure(figure, path)
