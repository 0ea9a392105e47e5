"""Checks of a figure as it is drawn: texts on the canvas and clear of each other, legends off data, no bare panel."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.legend import Legend
from matplotlib.text import Text
from numpy.typing import NDArray

SMALLEST = 8.0
"""Points of the smallest text."""
TOLERANCE = 1.0
"""Pixels by which boxes of texts may overlap, and reach beyond the canvas."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A text as it was drawn.

    Attributes:
        text: what it says.
        size: of its font, points.
        corners: of its box, (4, 2), pixels, turned as it is.
    """

    text: str
    size: float
    corners: NDArray[np.float64]


def faults(figure: Figure) -> list[str]:
    """Draw a figure, and say what is wrong with it."""
    texts = drawn_texts(figure)
    width, height = figure.bbox.size
    found = [f"{each.text!r} has {each.size:g} points" for each in texts if each.size < SMALLEST]
    for each in texts:
        low, high = each.corners.min(0), each.corners.max(0)
        if (low < -TOLERANCE).any() or (high > (width + TOLERANCE, height + TOLERANCE)).any():
            found.append(f"{each.text!r} leaves the canvas: {low.round()} to {high.round()} of {width:g} x {height:g}")
    found += [f"{one.text!r} lies on {other.text!r}" for one, other in overlapping(texts)]
    axes = [axis for axis in figure.axes if axis.get_visible()]
    for legend in figure.findobj(Legend):
        box = legend.get_window_extent()
        found += [
            "a legend lies on data" for axis in axes if axis.axison and box.count_overlaps([axis.bbox.padded(-2)])
        ]
    found += [f"panel {axis.get_title()!r} is empty" for axis in axes if is_bare(axis)]
    return found


def drawn_texts(figure: Figure) -> list[Drawn]:
    """Every text that is drawn, laid out as in a file."""
    drawn: dict[int, Drawn] = {}
    draw = Text.draw

    def note(self: Text, renderer: Any, *rest: Any, **more: Any) -> None:
        if self.get_visible() and self.get_text().strip():
            drawn[id(self)] = Drawn(self.get_text(), float(self.get_fontsize()), corners_of(self, renderer))
        draw(self, renderer, *rest, **more)

    Text.draw = note  # type: ignore[method-assign]
    try:
        figure.draw_without_rendering()
    finally:
        Text.draw = draw  # type: ignore[method-assign]
    return list(drawn.values())


def corners_of(text: Text, renderer: Any) -> NDArray[np.float64]:
    """Corners of a text's box, which is turned about its middle, (4, 2)."""
    box, rotation = text.get_window_extent(renderer), text.get_rotation()
    text.set_rotation(0)
    half = np.array(text.get_window_extent(renderer).size) / 2
    text.set_rotation(rotation)
    turn = np.deg2rad(rotation)
    matrix = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    middle = np.array([(box.x0 + box.x1) / 2, (box.y0 + box.y1) / 2])
    return middle + (np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * half) @ matrix


def overlapping(texts: list[Drawn]) -> Iterator[tuple[Drawn, Drawn]]:
    """Pairs of texts whose boxes share more than the tolerance (separating axes)."""
    lows, highs = (np.array([getattr(each.corners, end)(0) for each in texts]).reshape(-1, 2) for end in ("min", "max"))
    for index, one in enumerate(texts):
        near = (lows[index + 1 :] < highs[index]).all(1) & (highs[index + 1 :] > lows[index]).all(1)
        for other in (texts[index + 1 + place] for place in np.flatnonzero(near)):
            if all(gap_along(one.corners, other.corners, axis) < -TOLERANCE for axis in (*sides(one), *sides(other))):
                yield one, other


def sides(text: Drawn) -> list[NDArray[np.float64]]:
    """Directions of a box's two sides."""
    return [
        (end - text.corners[0]) / max(float(np.hypot(*(end - text.corners[0]))), 1e-9) for end in text.corners[[1, 3]]
    ]


def gap_along(one: NDArray[np.float64], other: NDArray[np.float64], axis: NDArray[np.float64]) -> float:
    """Distance of two boxes along a direction; negative where they overlap."""
    a, b = one @ axis, other @ axis
    return float(max(a.min() - b.max(), b.min() - a.max()))


def is_bare(axis: Axes) -> bool:
    """Tell whether a panel shows neither data nor a word about why there is none."""
    shown = [*axis.lines, *axis.collections, *axis.patches, *axis.images, *axis.texts]
    return not any(each.get_visible() for each in shown)


@contextmanager
def checked(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, list[str]]]:
    """Check figures instead of writing them: the faults of each, by the name of its file."""
    found: dict[str, list[str]] = {}

    def check(self: Figure, path: Path, **_: Any) -> None:
        name = Path(path).name.strip(".").partition(".")[0]
        while name in found:
            name += "+"
        found[name] = faults(self)
        Path(path).write_text("<svg><defs></defs></svg>")

    with monkeypatch.context() as patched:
        patched.setattr(Figure, "savefig", check)
        yield found
