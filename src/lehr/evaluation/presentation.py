"""Metrics in a line, and as a table for notebooks; familiar names of other libraries' metrics."""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from lehr.detections.html import LEFT, RIGHT, TABLE
from lehr.runtime.plain_text import one_line

if TYPE_CHECKING:
    from lehr.evaluation.metrics import ClassMetrics, Metrics

COLUMNS = ("class", "instances", "P", "R", "F1", "mAP50", "mAP50-95")
MAX_ROWS = 30
"""Classes that the table lists."""
OF_METRICS = {
    "ap": "use `map` of each class in `classes`",
    "ap50": "use `map50` of each class in `classes`",
    "box": "use `map`, `map50`, `precision` and `recall` here",
    "maps": "use `map` of each class in `classes`",
    "mp": "use `precision`",
    "mr": "use `recall`",
    "results_dict": "use `dataclasses.asdict(metrics)`",
}
OF_EVALUATION = {
    "box": "use `metrics`: metrics.map, metrics.map50, ...",
    "fitness": "use `metrics.fitness`",
    "results_dict": "use `as_dict()`",
    "speed": "use `seconds`",
}


def describe_metrics(metrics: Metrics) -> str:
    """Return the most important numbers in a line, e.g. "mAP50-95 0.712, mAP50 0.934, P 0.910, R 0.880"."""
    if not metrics.instances:
        return f"no objects in {_counted(metrics.images, 'image')}"
    numbers = {"mAP50-95": metrics.map, "mAP50": metrics.map50, "P": metrics.precision, "R": metrics.recall}
    named = ", ".join(f"{name} {_number(value)}" for name, value in numbers.items())
    return f"{named} on {_counted(metrics.images, 'image')}, {_counted(metrics.instances, 'object')}"


def metrics_table(title: str, metrics: Metrics) -> str:
    """Return an HTML table of each class, whose colours are those of the page.

    Args:
        title: a line above.
        metrics: the numbers.
    """
    rows = [_row("all", metrics), *(_row(name, each) for name, each in list(metrics.classes.items())[:MAX_ROWS])]
    heads = "".join(f'<th style="{RIGHT if at else LEFT}">{name}</th>' for at, name in enumerate(COLUMNS))
    more = len(metrics.classes) - MAX_ROWS
    rest = f'<p style="opacity:.7;margin:4px 0">and {more} more</p>' if more > 0 else ""
    body = "".join(rows)
    return (
        f'<div class="lehr-metrics"><p style="margin:4px 0"><b>{escape(one_line(title))}</b></p>'
        f'<table style="{TABLE}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>{rest}</div>'
    )


def _row(name: str, numbers: Metrics | ClassMetrics) -> str:
    values = (numbers.precision, numbers.recall, numbers.f1, numbers.map50, numbers.map)
    cells = "".join(f'<td style="{RIGHT}">{text}</td>' for text in (numbers.instances, *map(_number, values)))
    return f'<tr><td style="{LEFT}">{escape(one_line(name))}</td>{cells}</tr>'


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
