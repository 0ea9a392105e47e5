"""The course of a run as one piece of HTML for a notebook: bar, table of epochs, curves, and what was said."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from lehr.runtime.counted import counted
from lehr.runtime.progress import bar_html

COLOURS = ("#3d85c6", "#d9822b", "#2e9e6b", "#b668c9", "#c9524f", "#7f8c3a")
"""Colours of curves, to be told apart on white and on black, also by readers who see red and green alike."""
WIDTH, HEIGHT = 360, 170
LEFT, RIGHT, TOP, BOTTOM = 44, 12, 26, 24
NUMBER = "padding:.15em .5em;text-align:right;white-space:nowrap"


@dataclass(slots=True)
class RunPage:
    """Content of a run's output so far.

    Attributes:
        before: lines said before the first epoch.
        titles: names of the columns of the table.
        rows: texts of each epoch's cells.
        stars: whether an epoch was the best when it ended.
        legend: what the star means.
        losses: each part of the training loss, by epoch.
        averages: average precision, by epoch; None where there is none.
        bar: label, done, total and details of what is running; None between.
        after: lines said since.
    """

    before: list[str] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    rows: list[list[str]] = field(default_factory=list)
    stars: list[bool] = field(default_factory=list)
    legend: str = ""
    losses: dict[str, list[float | None]] = field(default_factory=dict)
    averages: dict[str, list[float | None]] = field(default_factory=dict)
    bar: tuple[str, int, int, list[str]] | None = None
    after: list[str] = field(default_factory=list)


def page_html(page: RunPage) -> str:
    """Return the whole page as HTML without scripts, in colours that suit light and dark notebooks."""
    parts = []
    if page.before:
        count = counted(len(page.before), "line")
        parts.append(f"<details><summary>Preparation, {count}</summary>{_lines(page.before)}</details>")
    if page.bar is not None:
        label, done, total, details = page.bar
        parts.append(bar_html(label, done, total, details))
    if page.rows:
        parts.append(_table(page))
        epochs = [int(row[0].split("/")[0]) for row in page.rows]
        charts = (_chart("training loss", epochs, page.losses), _chart("average precision", epochs, page.averages))
        if len(epochs) > 1:
            parts.append(f'<div style="display:flex;flex-wrap:wrap;gap:1em">{"".join(charts)}</div>')
    if any(page.after):
        parts.append(_lines(page.after))
    return f'<div style="display:flex;flex-direction:column;gap:.7em;max-width:70em">{"".join(parts)}</div>'


def page_text(page: RunPage) -> str:
    """Return the same as text, for what shows no HTML."""
    table = [page.titles, *page.rows] if page.rows else []
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    stars = [False, *page.stars]
    rows = [
        "  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) + (" *" if star else "")
        for row, star in zip(table, stars, strict=False)
    ]
    return "\n".join([*page.before, *rows, *page.after])


def _table(page: RunPage) -> str:
    """The table of epochs; of many, the last are in sight."""
    head = "".join(f'<th style="{NUMBER}">{escape(title)}</th>' for title in (*page.titles, ""))
    rows = "".join(
        "<tr>" + "".join(f'<td style="{NUMBER}">{escape(cell)}</td>' for cell in (*row, "★" if star else "")) + "</tr>"
        for row, star in zip(page.rows, page.stars, strict=True)
    )
    legend = f"<div><small>{escape(page.legend.replace('*', '★', 1))}</small></div>" if any(page.stars) else ""
    return (
        '<div style="max-height:24em;overflow:auto;display:flex;flex-direction:column-reverse;align-items:flex-start">'
        '<table style="border-collapse:collapse;font-size:12px;font-variant-numeric:tabular-nums;margin:0">'
        f"<thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>{legend}"
    )


def _lines(lines: Sequence[str]) -> str:
    text = escape("\n".join(lines).strip("\n"))
    return f'<pre style="white-space:pre-wrap;margin:0;color:inherit;background:none">{text}</pre>'


def _chart(title: str, epochs: Sequence[int], curves: Mapping[str, Sequence[float | None]]) -> str:
    """Curves over epochs as SVG, its text in the colour of the page."""
    values = [value for curve in curves.values() for value in curve if value is not None and math.isfinite(value)]
    top = _rounded_up(max(values, default=0.0))
    first, last = epochs[0], max(epochs[-1], epochs[0] + 1)

    def x(epoch: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * (epoch - first) / (last - first)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top

    grid = "".join(
        f'<path d="M{LEFT} {y(value):.1f}H{WIDTH - RIGHT}" stroke="currentColor" stroke-opacity=".2"/>'
        f'<text x="{LEFT - 6}" y="{y(value) + 4:.1f}" text-anchor="end">{value:.3g}</text>'
        for value in (0.0, top / 2, top)
    )
    ends = (
        f'<text x="{x(first):.1f}" y="{HEIGHT - 6}" text-anchor="middle">{first}</text>'
        f'<text x="{x(last):.1f}" y="{HEIGHT - 6}" text-anchor="end">{last}</text>'
        f'<text x="{(LEFT + WIDTH) / 2:.1f}" y="{HEIGHT - 6}" text-anchor="middle">epoch</text>'
    )
    lines, legend, place = "", f'<text x="2" y="12" font-weight="bold">{title}</text>', float(LEFT + 7 * len(title))
    for (name, curve), colour in zip(curves.items(), COLOURS * len(curves), strict=False):
        lines += f'<path d="{_path(epochs, curve, x, y)}" fill="none" stroke="{colour}" stroke-width="2"/>'
        legend += f'<text x="{place:.0f}" y="12" fill="{colour}" font-weight="bold">{escape(name)}</text>'
        place += 8 * len(name) + 10
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" role="img" '
        f'aria-label="{title} by epoch" style="font:11px sans-serif;fill:currentColor;max-width:100%">'
        f"{grid}{ends}{lines}{legend}</svg>"
    )


def _path(epochs: Sequence[int], curve: Sequence[float | None], x: object, y: object) -> str:
    """The path of a curve; what is missing or not finite interrupts it."""
    assert callable(x) and callable(y)
    path, pen = "", "M"
    for epoch, value in zip(epochs, curve, strict=False):
        if value is None or not math.isfinite(value):
            pen = "M"
            continue
        path += f"{pen}{x(epoch):.1f} {y(value):.1f}"
        pen = "L"
    return path or "M0 0"


def _rounded_up(value: float) -> float:
    """Return the next of some round numbers times a power of ten; 1 where there is nothing above 0."""
    if not math.isfinite(value) or value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 3, 4, 6, 8, 10) if step * power >= value)
