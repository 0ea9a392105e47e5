"""The table of classes that an evaluation prints."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.cells import cell_len, set_cell_size

from lehr.evaluation.metrics import ClassMetrics, Metrics
from lehr.runtime.plain_text import one_line

SHORTEST_NAME = 12
"""Cells that a class's name keeps at least where a terminal is narrow, if it has as many."""
FIRST_TO_GO = ("F1", "P", "R")
"""Columns that go, in this order, where a terminal is too narrow even for shortened names."""


def class_table(metrics: Metrics, width: int | None = None) -> str:
    """Return each class's numbers, one line each, under all together.

    The averages over all detections that were kept have columns if they are not COCO's.

    Args:
        metrics: of the evaluation.
        width: columns of the terminal; names are shortened, then columns dropped, as needed. None for whole lines.
    """
    classes = [(one_line(name), each) for name, each in metrics.classes.items()]
    every: list[tuple[str, Metrics | ClassMetrics]] = [("all", metrics), *classes]
    coco = {"mAP50": [each.map50 for _, each in every], "mAP50-95": [each.map for _, each in every]}
    averages = [each.map50_max_det for _, each in every], [each.map_max_det for _, each in every]
    kept = dict(zip(names_kept(metrics.max_det), averages, strict=True))
    columns = {
        "P": [each.precision for _, each in every],
        "R": [each.recall for _, each in every],
        "F1": [each.f1 for _, each in every],
        **coco,
        **({} if _texts(kept) == _texts(coco) else kept),
    }
    names = ["class", *(name for name, _ in every)]
    longest = max(cell_len(name) for name in names)
    shortest = min(longest, SHORTEST_NAME)
    for title in FIRST_TO_GO if width is not None else ():
        if shortest + _cells(columns) <= (width or 0):
            break
        del columns[title]
    room = longest if width is None else min(longest, max(shortest, width - _cells(columns)))
    instances = ["instances", *(str(each.instances) for _, each in every)]
    rows = []
    for place, name in enumerate(names):
        cells = [_shortened(name, room), right(instances[place], len("instances"))]
        for title, values in columns.items():
            cells.append(right(share_text(values[place - 1]) if place else title, max(6, len(title))))
        rows.append(" ".join(cells))
    return "\n".join(rows)


def names_kept(max_det: int) -> tuple[str, str]:
    """Return the names of the averages over all detections that are kept."""
    return f"mAP50_{max_det}", f"mAP50-95_{max_det}"


def share_text(value: float | None) -> str:
    """Return a share with three digits, "-" if there is none."""
    return "-" if value is None else f"{value:.3f}"


def right(text: str, width: int) -> str:
    """Return a text moved to the right end of some cells, wide characters counted as two."""
    return " " * (width - cell_len(text)) + text


def _shortened(name: str, room: int) -> str:
    """A name in exactly so many cells, the middle of a longer one as two dots."""
    if cell_len(name) <= room:
        return set_cell_size(name, room)
    end = name
    while cell_len(end) > (room - 2) // 2:
        end = end[1:]
    start = set_cell_size(name, room - 2 - cell_len(end))
    return f"{start}..{end}"


def _cells(columns: Mapping[str, Sequence[float | None]]) -> int:
    """Cells of all columns but the names."""
    return 1 + len("instances") + sum(1 + max(6, len(title)) for title in columns)


def _texts(columns: Mapping[str, Sequence[float | None]]) -> list[list[str]]:
    """The numbers of some columns as they are shown."""
    return [[share_text(value) for value in column] for column in columns.values()]
