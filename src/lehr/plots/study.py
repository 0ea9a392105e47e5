"""The course of a search: fitness over its trials, and what the parameters had to do with it.

Fitness axes show the better trials in full: those far below them are drawn hollow at the axis's lower edge, since one
trial that came to nothing would leave no room for the differences between the others.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from lehr.plots.figure import (
    POINTS,
    integer_ticks,
    legend,
    new_figure,
    plain,
    save_figure,
    say_instead,
    set_title,
    shortened,
    styled,
    text_width,
)
from lehr.plots.scales import FitnessScale, Ruler, ordered_colours, percent
from lehr.plots.style import COLOURS, DOT, GREY, INK, SMALL
from lehr.search.records import Record, State, Value

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes

STATE_STYLES: dict[State, tuple[str, str]] = {
    "finished": (COLOURS[0], "o"),
    "pruned": (COLOURS[1], "v"),
    "diverged": (COLOURS[3], "X"),
    "running": (GREY, "s"),
    "failed": (COLOURS[4], "D"),
}
"""Colour and marker of a trial by its state; waiting ones have nothing to show."""
COLUMNS = 5
PARALLEL = 2.6
"""Height of the lines across all parameters, inches."""


def finished(records: Sequence[Record]) -> list[Record]:
    """The trials that were trained to their end and came to a finite fitness, in their order."""
    done = [record for record in records if record.state == "finished" and math.isfinite(_fitness(record))]
    return sorted(done, key=lambda record: record.slot)


def best_of(records: Sequence[Record]) -> Record | None:
    """The finished trial of the highest fitness, the first of equals; None if none has finished."""
    return max(finished(records), key=_fitness, default=None)


@styled()
def plot_fitness(records: Sequence[Record], path: Path) -> None:
    """Draw each trial's fitness, the best so far, and that of the first trial, which has the current values.

    Args:
        records: the trials.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    figure, (axis,) = new_figure(1, 1, height=3.8)
    done = finished(records)
    scored = [
        record for record in records if math.isfinite(_fitness(record)) and record.state not in ("diverged", "failed")
    ]
    scale = FitnessScale.of([_fitness(record) for record in done or scored], _first_fitness(records))
    for state in STATE_STYLES:
        _draw_state(axis, state, [record for record in records if record.state == state], scale)
    if done:
        best = [max(_fitness(record) for record in done[: index + 1]) for index in range(len(done))]
        slots = [record.slot for record in done] + [max(record.slot for record in records) + 0.5]
        axis.step(
            slots, [*best, best[-1]], where="post", color=COLOURS[2], lw=1.6, label=f"best so far ({best[-1]:.3f})"
        )
    first = _first_fitness(records)
    if first is not None:
        axis.axhline(first, color=INK, ls="--", lw=1, label=f"trial 0, the current values ({first:.3f})")
    integer_ticks(axis)
    axis.set(xlabel="trial", ylabel="fitness")
    axis.set_ylim(scale.edge, max([scale.high, *(_fitness(record) + scale.room for record in scored)]))
    if not scored:
        axis.set_yticks([])
    if axis.get_legend_handles_labels()[0]:
        legend(figure)
    else:
        say_instead(axis, "no trial has a fitness yet")
    save_figure(figure, path)


@styled()
def plot_parameters(records: Sequence[Record], path: Path, start: Mapping[str, Value] | None = None) -> None:
    """Draw each parameter against fitness: a dot a finished trial, the best as a plus, the start as a dashed line.

    Args:
        records: the trials.
        path: a PNG, SVG or PDF file.
        start: the values that the search began with; by default those of trial 0.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    done, best = finished(records), best_of(records)
    names = _names(done)
    if best is None or not names:
        _plot_nothing(path)
        return
    start = start if start is not None else next((record.params for record in records if record.slot == 0), {})
    columns = min(COLUMNS, len(names))
    figure, axes = new_figure(math.ceil(len(names) / columns), columns, width=2.2 * columns + 1.2, height=1.9)
    scale = FitnessScale.of([_fitness(record) for record in done], _first_fitness(records))
    last, colours = max(done[-1].slot, 1), ordered_colours()
    for index, (axis, name) in enumerate(zip(axes, names, strict=False)):
        having = [record for record in done if name in record.params]
        ruler = Ruler.of([record.params[name] for record in having] + ([start[name]] if name in start else []))
        ruler.apply(axis)
        positions = [ruler.position(record.params[name]) for record in having]
        heights = [max(_fitness(record), scale.edge) for record in having]
        slots = [record.slot for record in having]
        look: dict[str, Any] = {
            "cmap": colours,
            "vmin": 0,
            "vmax": last,
            "s": DOT**2 / 2,
            "zorder": 3,
            "clip_on": False,
        }
        dots = axis.scatter(positions, heights, c=slots, **look)
        if name in start:
            axis.axvline(ruler.position(start[name]), color=INK, ls="--", lw=1)
        if name in best.params:
            position = ruler.position(best.params[name])
            axis.plot(position, _fitness(best), "+", color=COLOURS[1], markersize=13, mew=2.4, zorder=4, clip_on=False)
        set_title(axis, name)
        axis.tick_params(labelsize=SMALL)
        axis.set_ylim(scale.edge, scale.high)
        if index % columns:
            axis.set_yticklabels([])
        else:
            axis.set_ylabel("fitness")
    for axis in axes[len(names) :]:
        axis.set_visible(False)
    legend(figure, _parameters_key(any(name in start for name in names)))
    shrink = min(1.0, 3.0 / math.ceil(len(names) / columns))
    bar = figure.colorbar(dots, ax=axes, label="trial", shrink=shrink, pad=0.01)
    integer_ticks(bar.ax, "y")
    save_figure(figure, path)


@styled()
def plot_importances(importance: Mapping[str, float], path: Path) -> None:
    """Draw how much each parameter had to do with the fitness, most first.

    Args:
        importance: shares of 1, by name.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    if not importance:
        _plot_nothing(path, "too few finished trials to estimate importances")
        return
    ordered = sorted(importance.items(), key=lambda item: (-item[1], item[0]))
    figure, (axis,) = new_figure(1, 1, height=0.8 + 0.24 * len(ordered))
    names, values = zip(*ordered, strict=True)
    labels = [plain(shortened(name, 40)) for name in names]
    bars = axis.barh(labels, [100 * value for value in values], color=COLOURS[0])
    axis.bar_label(bars, [percent(value) for value in values], padding=3, fontsize=SMALL)
    axis.invert_yaxis()
    axis.grid(visible=False, axis="y")
    axis.margins(x=0.08, y=0.5 / (len(ordered) + 1))
    axis.set_xlabel("share of the importance of all parameters, %")
    save_figure(figure, path)


@styled()
def plot_parallel(records: Sequence[Record], path: Path) -> None:
    """Draw each finished trial as a line across all parameters, from the lowest to the highest value tried.

    Args:
        records: the trials.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    done, best = finished(records), best_of(records)
    names = _names(done)
    if best is None or not names:
        _plot_nothing(path)
        return
    rulers = {name: Ruler.of([e.params[name] for e in done if name in e.params]) for name in names}
    longest = max(text_width(text, SMALL) for ruler in rulers.values() for text in ruler.ends())
    room = longest / (PARALLEL * POINTS) + 0.08  # above and below the lines, in their heights
    height = PARALLEL * (1 + 2 * room) + 1.5
    figure, (axis,) = new_figure(1, 1, width=max(8.0, 0.42 * len(names)), height=height)
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    scale = FitnessScale.of([_fitness(record) for record in done], None)
    colours = ScalarMappable(Normalize(scale.low, max(scale.best, scale.low + 1e-3)), ordered_colours())
    ascending = sorted(done, key=_fitness)
    shades = colours.to_rgba(np.array([_fitness(record) for record in ascending]))
    for record, shade in zip(ascending, shades, strict=True):
        heights = [rulers[name].fraction(record.params[name]) if name in record.params else math.nan for name in names]
        axis.plot(range(len(names)), heights, color=shade, lw=1, alpha=0.75)
    heights = [rulers[name].fraction(best.params[name]) if name in best.params else math.nan for name in names]
    label = f"best: trial {best.slot}, fitness {best.fitness:.3f}"
    axis.plot(range(len(names)), heights, color=COLOURS[1], lw=2.4, marker="+", markersize=12, mew=2.4, label=label)
    for column, name in enumerate(names):
        for height, text, anchor in zip((-0.05, 1.05), rulers[name].ends(), ("top", "bottom"), strict=True):
            axis.text(column, height, plain(text), ha="center", va=anchor, rotation=90, fontsize=SMALL)
    axis.set_xticks(
        range(len(names)),
        [plain(shortened(name, 28)) for name in names],
        rotation=60,
        ha="right",
        rotation_mode="anchor",
    )
    axis.tick_params(length=0)
    axis.set_ylim(-room, 1 + room)
    axis.set_yticks([])
    axis.spines[["left", "bottom"]].set_visible(False)
    axis.grid(visible=False)
    axis.vlines(range(len(names)), 0, 1, color=GREY, lw=0.8, alpha=0.5, zorder=0)
    figure.colorbar(colours, ax=axis, label="fitness", pad=0.01)
    legend(figure)
    save_figure(figure, path)


@styled()
def plot_courses(records: Sequence[Record], path: Path) -> None:
    """Draw fitness over the epochs of every trial; pruned ones end early, with a mark.

    Args:
        records: the trials.
        path: a PNG, SVG or PDF file.

    Raises:
        InputError: matplotlib is missing, or the file cannot be written.
    """
    figure, (axis,) = new_figure(1, 1, height=4.2)
    best, labelled = best_of(records), set[str]()
    for record in sorted(records, key=lambda record: record.slot):
        points = _points(record)
        if not points or record.state not in STATE_STYLES:
            continue
        colour, marker = STATE_STYLES[record.state]
        label = record.state if record.state not in labelled else None
        labelled.add(record.state)
        end = [len(points) - 1] if record.state != "finished" or len(points) == 1 else []
        look: dict[str, Any] = {"color": colour, "marker": marker, "markevery": end, "markersize": 8}
        axis.plot(
            *zip(*points, strict=True), **look, lw=1, alpha=0.9 if end else 0.6, zorder=3 if end else 2, label=label
        )
    for marked, style, colour, name in (
        (best, "-", COLOURS[2], "best: trial {}"),
        (_slot_0(records), "--", INK, "trial {}, the current values"),
    ):
        if marked is not None and (points := _points(marked)):
            text = name.format(marked.slot)
            axis.plot(*zip(*points, strict=True), ls=style, color=colour, lw=2.2, label=text, zorder=4)
    axis.set(xlabel="epoch", ylabel="fitness")
    integer_ticks(axis)
    if labelled:
        axis.set_ylim(bottom=0)
        legend(figure)
    else:
        say_instead(axis, "no epoch has finished yet")
    save_figure(figure, path)


def _draw_state(axis: Axes, state: State, group: Sequence[Record], scale: FitnessScale) -> None:
    """Draw the trials of one state: those below the scale, and those without a result, at its lower edge."""
    colour, marker = STATE_STYLES[state]
    style: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "none", "markersize": DOT, "zorder": 3}
    empty = state in ("diverged", "failed")
    inside = [] if empty else [record for record in group if _fitness(record) >= scale.low]
    outside = [record for record in group if record not in inside and (empty or math.isfinite(_fitness(record)))]
    label: str | None = f"{state} ({len(inside) + len(outside)})"
    if inside:
        axis.plot([record.slot for record in inside], [_fitness(record) for record in inside], **style, label=label)
        label = None
    if outside:
        style |= {} if empty else {"markerfacecolor": "none"}
        edge = [scale.edge] * len(outside)
        axis.plot([record.slot for record in outside], edge, **style, label=label, clip_on=False)


def _parameters_key(started: bool) -> list[Artist]:
    """Legend of the marks in the panels of parameters."""
    from matplotlib.lines import Line2D

    best = Line2D([], [], color=COLOURS[1], marker="+", markersize=13, mew=2.4, ls="none", label="best trial")
    return [best, *([Line2D([], [], color=INK, ls="--", lw=1, label="value at the start")] if started else [])]


def _fitness(record: Record) -> float:
    """Fitness of a trial; minus infinity if it has none that is finite."""
    return record.fitness if record.fitness is not None and math.isfinite(record.fitness) else -math.inf


def _points(record: Record) -> list[tuple[int, float]]:
    """Epochs of a trial, from 1, with their fitness where that is finite."""
    return [(epoch, value) for epoch, value in enumerate(record.course, 1) if math.isfinite(value)]


def _slot_0(records: Sequence[Record]) -> Record | None:
    return next((record for record in records if record.slot == 0 and record.state == "finished"), None)


def _first_fitness(records: Sequence[Record]) -> float | None:
    first = _slot_0(records)
    return first.fitness if first is not None and math.isfinite(_fitness(first)) else None


def _names(records: Sequence[Record]) -> list[str]:
    """The parameters of any of the trials, in the order in which they first come."""
    return list(dict.fromkeys(name for record in records for name in record.params))


@styled()
def _plot_nothing(path: Path, text: str = "no trial has finished yet") -> None:
    figure, (axis,) = new_figure(1, 1, height=1.6)
    say_instead(axis, text)
    save_figure(figure, path)
