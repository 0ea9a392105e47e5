"""Numbers as pages and tables show them: three digits of a metric, minutes and seconds, MiB and GiB."""

from __future__ import annotations

import math

from lehr.runtime.console import duration
from lehr.search.records import Value

NOTHING = "-"
"""Placeholder if there is no number."""
MIB_IN_GIB = 1024


def measured(metric: str, value: float | None) -> str:
    """A value of a metric.

    Args:
        metric: `seconds` is shown as a time and `memory`, MiB, as a size; any other with three digits.
        value: the value; None if there is none.
    """
    if value is None or not math.isfinite(value):
        return NOTHING
    if metric == "seconds":
        text = duration(abs(value))
    elif metric == "memory":
        size = round(abs(value))
        text = f"{size} MiB" if size < MIB_IN_GIB else f"{size / MIB_IN_GIB:.1f} GiB"
    else:
        text = f"{abs(value):.3f}"
    return f"-{text}" if value < 0 and any(digit in text for digit in "123456789") else text


def changed(metric: str, value: float | None) -> str:
    """A difference of a metric, with its sign; none if it rounds to nothing."""
    text = measured(metric, value)
    return f"+{text}" if value is not None and value > 0 and any(digit in text for digit in "123456789") else text


def interval(metric: str, low: float | None, high: float | None) -> str:
    """From where to where a difference may be; empty if that is not known."""
    if low is None or high is None:
        return ""
    return f"{measured(metric, low)} to {measured(metric, high)}"


def value_text(value: Value) -> str:
    """A parameter's value, numbers with four digits."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
