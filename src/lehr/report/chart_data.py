"""The values of a chart as its script reads them: short numbers, horizontal values that series share once."""

from __future__ import annotations

import math
from typing import Any

from lehr.report.pieces import Chart
from lehr.runtime.plain_text import one_line

DIGITS = 6
"""Significant digits of a value: more than a screen shows."""


def chart_data(chart: Chart) -> dict[str, Any]:
    """Return what JSON holds of a chart.

    Points are put in order of their horizontal value. Values that are not finite, and those that a logarithmic axis
    cannot show, are None.

    Raises:
        ValueError: a series has not as many vertical values as horizontal ones.
    """
    shared: dict[tuple[float | None, ...], int] = {}
    series = []
    for each in chart.series:
        pairs = [(x, y) for x, y in zip(each.x, each.y, strict=True) if not chart.log_x or x > 0]
        if chart.draw == "points":
            pairs.sort(key=lambda pair: pair[0])
        x = tuple(_short(value) for value, _ in pairs)
        y = [_short(value) if not chart.log_y or (value or 0.0) > 0 else None for _, value in pairs]
        series.append(
            {"name": one_line(each.name), "x": shared.setdefault(x, len(shared)), "y": y, "dashed": each.dashed}
        )
    return {
        "x": list(shared),
        "series": series,
        "xLabel": one_line(chart.x),
        "yLabel": one_line(chart.y),
        "draw": chart.draw,
        "markers": [{"x": _short(mark.x), "label": one_line(mark.label)} for mark in chart.markers],
        "logX": chart.log_x,
        "logY": chart.log_y,
        "yRange": None if chart.y_range is None else [_short(end) for end in chart.y_range],
        "labels": [one_line(label) for label in chart.labels],
    }


def _short(value: float | None) -> float | None:
    if value is None or not math.isfinite(value):
        return None
    short = float(f"{value:.{DIGITS}g}")
    return int(short) if short.is_integer() and abs(short) < 2**53 else short
