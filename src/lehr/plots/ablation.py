"""Forest plot of an ablation: each technique's effect, with its interval and its single runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lehr.plots.figure import legend, new_figure, plain, save_figure, say_instead, set_title, styled
from lehr.plots.style import COLOURS, DOT, GREY, INK, PAPER, SMALL, SMALL_DOT

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

    from lehr.search.effects import Effect

LABELS = {
    "fitness": "fitness",
    "map": "mAP50-95",
    "map50": "mAP50",
    "map75": "mAP75",
    "precision": "precision",
    "recall": "recall",
    "f1": "F1",
    "seconds": "time",
    "memory": "memory",
}
"""Names of the metrics for people."""
GOOD, BAD = ("helps", "saves"), ("hurts", "costs")
COLUMNS = 3
WIDEST = 5.0
"""An interval is drawn up to this many times the largest difference: with two seeds it may be endless."""


def label_of(metric: str) -> str:
    """A metric's name for people."""
    return LABELS.get(metric, metric)


@styled()
def plot_effects(effects: Mapping[str, Sequence[Effect]], path: Path) -> None:
    """Draw a panel a metric and in it a row per technique: the mean difference, its 95% interval, and each seed's.

    Args:
        effects: by metric; differences are with the technique less without it.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    shown = {metric: measured for metric, measured in effects.items() if measured}
    techniques = list(dict.fromkeys(effect.technique for measured in shown.values() for effect in measured))
    columns = min(COLUMNS, max(len(shown), 1))
    rows = math.ceil(len(shown) / columns) or 1
    figure, axes = new_figure(
        rows, columns, width=max(6.5, 3.2 * columns + 1.8), height=1.1 + 0.4 * max(len(techniques), 2)
    )
    for index, (axis, (metric, measured)) in enumerate(zip(axes, shown.items(), strict=False)):
        _draw_panel(axis, metric, measured, techniques)
        axis.set_yticks(range(len(techniques)), [plain(name) for name in techniques] if index % columns == 0 else [])
    for axis in axes[len(shown) :]:
        axis.set_visible(False)
    if shown:
        legend(figure, _key())
    else:
        axes[0].set_visible(True)
        say_instead(axes[0], "nothing has been measured yet")
    save_figure(figure, path)


def _draw_panel(axis: Axes, metric: str, effects: Sequence[Effect], techniques: Sequence[str]) -> None:
    """One metric's rows, each technique on the line of its place."""
    unit, scale = _unit(metric, effects)
    reach = WIDEST * max([abs(value) for e in effects for value in (*e.pairs, e.difference or 0.0)], default=0.0)
    for effect in effects:
        line = techniques.index(effect.technique)
        if effect.difference is None:
            axis.text(0.02, line, effect.verdict, transform=axis.get_yaxis_transform(), va="center", fontsize=SMALL)
            continue
        colour, marker, face = _look(effect.verdict)
        if effect.low is not None and effect.high is not None:
            ends = [min(max(end, -reach), reach) / scale for end in (effect.low, effect.high)]
            axis.plot(ends, [line, line], color=colour, lw=2.5, solid_capstyle="butt", zorder=2)
            for end, whole, arrow in zip(ends, (effect.low, effect.high), ("<", ">"), strict=True):
                if abs(whole) > reach:
                    axis.plot(end, line, arrow, color=colour, markersize=6, zorder=2)
        pairs = [pair / scale for pair in effect.pairs]
        axis.plot(pairs, [line + 0.26] * len(pairs), "o", color=GREY, alpha=0.7, markersize=SMALL_DOT, zorder=2)
        middle = effect.difference / scale
        axis.plot(middle, line, marker, color=colour, markerfacecolor=face or colour, markersize=DOT + 1, zorder=3)
    axis.axvline(0, color=INK, lw=1, zorder=1)
    axis.set_ylim(len(techniques) - 0.4, -0.6)
    axis.grid(visible=False, axis="y")
    set_title(axis, f"{label_of(metric)}, {unit}" if unit else label_of(metric))
    axis.tick_params(axis="y", length=0)
    axis.locator_params(axis="x", nbins=4)


def _look(verdict: str) -> tuple[str, str, str]:
    """Colour, marker and filling by the word; an empty filling is that of the colour."""
    if verdict.startswith(GOOD):
        return COLOURS[0], "^", ""
    if verdict.startswith(BAD):
        return COLOURS[1], "v", ""
    return GREY, "o", PAPER


def _key() -> list[Artist]:
    """Legend of the markers."""
    from matplotlib.lines import Line2D

    names = {GOOD[0]: "helps, or saves", BAD[0]: "hurts, or costs", "": "no difference seen, or not known"}
    handles: list[Artist] = []
    for verdict, label in names.items():
        colour, marker, face = _look(verdict)
        line = Line2D([], [], color=colour, marker=marker, markerfacecolor=face or colour, markersize=DOT + 1, lw=2.5)
        line.set_label(label)
        handles.append(line)
    handles.append(
        Line2D([], [], color=GREY, marker="o", markersize=SMALL_DOT, ls="none", label="single seeds; bar: 95% interval")
    )
    return handles


def _unit(metric: str, effects: Sequence[Effect]) -> tuple[str, float]:
    """The unit in which a metric's differences are short numbers, and how many of the metric's own it is."""
    largest = max((abs(effect.difference or 0.0) for effect in effects), default=0.0)
    if metric == "seconds":
        return ("seconds", 1.0) if largest < 120 else ("minutes", 60.0) if largest < 7200 else ("hours", 3600.0)
    if metric == "memory":
        return ("MiB", 1.0) if largest < 1024 else ("GiB", 1024.0)
    return "", 1.0
