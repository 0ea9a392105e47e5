"""Objects from the rows of all label files of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.data.labels.columns import Columns, Declared, Kind, find_columns
from lehr.data.labels.table import LabelTable, Rows
from lehr.data.labels.units import Form, Units, find_polygon_units, find_units, to_corners
from lehr.data.labels.words import FORM
from lehr.sample import Fault, Severity


@dataclass(frozen=True, slots=True, eq=False)
class FoundObjects:
    """The objects of a data set before their boxes are checked.

    Attributes:
        rows: (n,), the row of each, ascending.
        boxes: (n, 4), xyxy, pixels.
        classes: (n,), ids that the data set names.
        row_faults: what is wrong with single rows, each with its row.
        faults: how the rows of the data set were read, and refusals.
    """

    rows: Rows
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    row_faults: list[tuple[int, Fault]]
    faults: list[Fault]


def find_objects(table: LabelTable, declared: Declared) -> FoundObjects:
    """Recognise what the rows of a data set mean, and convert them."""
    columns = find_columns(table, declared)
    boxes = np.zeros((len(table), 4))
    _convert_boxes(table, np.flatnonzero(columns.kinds == Kind.BOX), columns, boxes)
    _convert_polygons(table, np.flatnonzero(columns.kinds == Kind.POLYGON), columns, boxes)
    row_faults = [(row, table.fault(row, "malformed-line", _skipped(table, row, why))) for row, why in columns.skipped]
    rows = np.flatnonzero(columns.kinds != Kind.UNUSABLE)
    ids = table.values[table.starts[rows]]
    named = (ids == np.floor(ids)) & (ids >= 0) & (ids < len(declared.names))
    row_faults += _out_of_range(table, rows[~named], ids, declared.names)
    rows = rows[named]
    return FoundObjects(rows, boxes[rows], ids[named].astype(np.int64), row_faults, columns.faults)


def _convert_boxes(table: LabelTable, rows: Rows, columns: Columns, boxes: NDArray[np.float64]) -> None:
    values, sizes = table.columns(rows, 1, 5), table.image_sizes(rows)
    units = find_units(values, sizes)
    boxes[rows] = to_corners(units.form, values, sizes)
    if units.form is not Form.SHARES:
        message = f"{{}} hold {units.form.value}, as all of the data set show; they are read so"
        columns.note(table, rows, "box-form", message, Severity.WARNING)
    _leave_out(table, rows, units, columns)


def _convert_polygons(table: LabelTable, rows: Rows, columns: Columns, boxes: NDArray[np.float64]) -> None:
    if not len(rows):
        return
    numbers = table.lengths[rows] - 1
    ends = np.cumsum(numbers)
    offsets = np.arange(ends[-1]) - np.repeat(ends - numbers, numbers)
    points = table.values[np.repeat(table.starts[rows] + 1, numbers) + offsets].reshape(-1, 2)
    first = (ends - numbers) // 2
    corners = np.concatenate((np.minimum.reduceat(points, first), np.maximum.reduceat(points, first)), 1)
    sizes = table.image_sizes(rows)
    units = find_polygon_units(corners, sizes)
    boxes[rows] = to_corners(units.form, corners, sizes)
    if units.form is Form.CORNER_PIXELS:
        message = "{} hold polygons in pixels instead of shares of the image; they are read so"
        columns.note(table, rows, "box-form", message, Severity.WARNING)
    _leave_out(table, rows, units, columns)


def _leave_out(table: LabelTable, rows: Rows, units: Units, columns: Columns) -> None:
    """Skip the rows that are doubtful or absurd."""
    if units.doubtful.any():
        columns.refuse(table, rows[units.doubtful], units.reason)
    if units.absurd is not None:
        columns.skip(rows[units.absurd], "a value is far beyond the edge of the image, which is 1")


def _skipped(table: LabelTable, row: int, cause: str) -> str:
    start = table.starts[row]
    numbers = table.values[start : start + min(int(table.lengths[row]), 12)]
    shown = " ".join(f"{number:g}" for number in numbers)
    more = " ..." if table.lengths[row] > len(numbers) else ""
    return f"'{shown}{more}' is not '{FORM}': {cause}; the line is skipped"


def _out_of_range(
    table: LabelTable, rows: Rows, ids: NDArray[np.float64], names: Sequence[str]
) -> list[tuple[int, Fault]]:
    """Faults of rows whose class is not one of the names; `ids` are those of all rows."""
    count = len(names)
    hint = ""
    if len(rows) and ids.min() == 1 and ids.max() == count:
        hint = (
            ". No line has class 0, so ids seem to count from 1: subtract 1 from each, or begin 'names' with a class 0"
        )
    return [
        (
            row,
            table.fault(
                row,
                "class-out-of-range",
                f"class {table.values[table.starts[row]]:g} is out of range: the data set names {count} "
                f"(0 to {count - 1}){hint}",
            ),
        )
        for row in rows.tolist()
    ]
