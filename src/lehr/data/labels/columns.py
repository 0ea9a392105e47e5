"""The columns of label rows, recognised over a whole data set: boxes, confidences, track ids, keypoints, polygons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from lehr.data.labels.keypoints import Long, are_parallelograms, are_with_visibilities, classify_long, continues_a_box
from lehr.data.labels.table import LabelTable, Rows
from lehr.data.labels.units import BEYOND
from lehr.data.labels.words import FORM
from lehr.sample import Fault, Severity

BOX_NUMBERS = 5
"""Numbers of a box's row: class, centre x, centre y, width, height."""

POLYGON_NUMBERS = 7
"""Fewest numbers of a polygon's row: the class and three corners."""

POLYGON_TASKS = ("segment", "segmentation", "instance-segmentation", "obb")
"""Tasks, as data YAMLs name them, whose labels are polygons or corners."""

RARE = 20
"""Boxes for each longer row from which longer rows are exceptions, which may have come about by accident."""

CERTAIN = 0.02
"""Share of an image by which a box may reach outside before another order of its numbers is thought of."""


class Kind(IntEnum):
    """Kind of a row."""

    UNUSABLE = 0
    BOX = 1
    POLYGON = 2


@dataclass(frozen=True, slots=True)
class Declared:
    """The statements of a data YAML about its label files.

    Attributes:
        names: the class names.
        keypoints: number of keypoints and numbers of each, 2 or 3 (`kpt_shape`); None if not stated.
        task: "detect", "segment", "pose" or "obb"; None if not stated.
    """

    names: Sequence[str]
    keypoints: tuple[int, int] | None = None
    task: str | None = None


@dataclass(slots=True)
class Columns:
    """The kinds of all rows, and what was noticed on the way.

    Attributes:
        kinds: int8 (rows,), a `Kind` each; the first five numbers of a box are class and box, the others are ignored.
        skipped: rows that cannot be understood, each with the cause.
        faults: notes on how rows were read, and refusals.
    """

    kinds: NDArray[np.int8]
    skipped: list[tuple[int, str]] = field(default_factory=list)
    faults: list[Fault] = field(default_factory=list)

    def note(self, table: LabelTable, rows: Rows, kind: str, message: str, severity: Severity = Severity.NOTE) -> None:
        """Note how rows were read; `{}` becomes their number."""
        self.faults.append(table.fault(int(rows[0]), kind, message.format(table.count(rows)), severity))

    def refuse(self, table: LabelTable, rows: Rows, message: str) -> None:
        """Refuse ambiguous rows; `{}` becomes their number."""
        self.kinds[rows] = Kind.UNUSABLE
        self.note(table, rows, "doubtful-labels", message, Severity.ERROR)

    def skip(self, rows: Rows, cause: str) -> None:
        """Skip meaningless rows."""
        self.kinds[rows] = Kind.UNUSABLE
        self.skipped += [(row, cause) for row in rows.tolist()]


def find_columns(table: LabelTable, declared: Declared) -> Columns:
    """Recognise the columns of each row by the shape of all of them."""
    columns = Columns(np.zeros(len(table), np.int8))
    if not len(table):
        return columns
    finite = _finite_rows(table)
    columns.skip(np.flatnonzero(~finite), "a value is not a finite number")
    lengths = np.where(finite, table.lengths, 0)
    boxes = np.flatnonzero(lengths == BOX_NUMBERS)
    columns.kinds[boxes] = Kind.BOX
    _check_class_column(table, boxes, columns)
    short = np.flatnonzero((lengths > 0) & (lengths < BOX_NUMBERS))
    columns.skip(short[lengths[short] != BOX_NUMBERS - 1], "numbers are missing")
    columns.skip(short[lengths[short] == BOX_NUMBERS - 1], "a number is missing; each line must begin with the class")
    _read_sixth(table, np.flatnonzero(lengths == BOX_NUMBERS + 1), columns)
    _read_long(table, np.flatnonzero(lengths >= POLYGON_NUMBERS), declared, columns)
    return columns


def _finite_rows(table: LabelTable) -> NDArray[np.bool_]:
    """Return which rows have finite numbers alone."""
    finite = np.ones(len(table), np.bool_)
    wrong = np.flatnonzero(~np.isfinite(table.values))
    order = np.argsort(table.starts, kind="stable")
    finite[order[np.searchsorted(table.starts[order], wrong, side="right") - 1]] = False
    return finite


def _check_class_column(table: LabelTable, rows: Rows, columns: Columns) -> None:
    """Refuse boxes whose class does not come first, if that is so in most rows."""
    values = table.columns(rows, 0, BOX_NUMBERS)
    fractional = values[:, 0] != np.floor(values[:, 0])
    if fractional.sum() >= 2 and fractional.mean() > 0.5:
        last = bool((values[:, 4] == np.floor(values[:, 4])).all())
        cause = "the class seems to come last" if last else "the first number is not a class"
        columns.refuse(table, rows[fractional], f"{{}} do not begin with a class id: {cause}. Write '{FORM}'")


def _read_sixth(table: LabelTable, rows: Rows, columns: Columns) -> None:
    """Read rows of six numbers: a box and a confidence or a track id."""
    if not len(rows):
        return
    values = table.columns(rows, 0, 6)
    last = values[:, 5]
    whole = values == np.floor(values)
    relative = bool((np.abs(values[:, 1:5]) <= BEYOND).all())
    shares = np.asarray((values >= 0) & (values <= 1))
    if whole[:, 0].mean() < 0.99:
        cause = (
            "the first could be a confidence"
            if shares[:, 0].all() and whole[:, 1].all()
            else "the first is not a class"
        )
        columns.refuse(table, rows, f"{{}} have six numbers, and {cause}. Write '{FORM}'")
    elif _reach(values[:, 1:5]) > 0 and _reach(values[:, 2:6]) == 0:
        cause = "the box seems to begin at the third, behind a confidence or an index"
        columns.refuse(table, rows, f"{{}} have six numbers, and {cause}. Write '{FORM}'")
    elif shares[:, 5].all():
        columns.kinds[rows] = Kind.BOX
        columns.note(
            table, rows, "extra-column", "{} have a sixth number from 0 to 1, taken for a confidence and ignored"
        )
    elif relative and whole[:, 5].all() and last.min() >= -1:
        columns.kinds[rows] = Kind.BOX
        columns.note(
            table, rows, "extra-column", "{} have a whole sixth number, taken for the id of a track and ignored"
        )
    else:
        angle = np.abs(last).max() <= 360 and not whole[:, 5].all()
        cause = "the sixth could be the angle of a turned box" if angle else "the meaning of the sixth is unknown"
        columns.refuse(table, rows, f"{{}} have six numbers, and {cause}. Write '{FORM}'")


def _reach(boxes: NDArray[np.float64]) -> float:
    """Share of boxes, centre and size as shares of the image, that reach outside it."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    outside = np.any((centre - half < -CERTAIN) | (centre + half > 1 + CERTAIN) | (half <= 0), axis=1)
    return float(outside.mean())


def _read_long(table: LabelTable, rows: Rows, declared: Declared, columns: Columns) -> None:
    """Read rows of seven and more numbers: polygons, or boxes with keypoints."""
    if not len(rows):
        return
    lengths = table.lengths[rows]
    if declared.keypoints is not None:
        count, numbers = declared.keypoints
        wanted = BOX_NUMBERS + count * numbers
        _take_keypoints(table, rows, wanted, f"kpt_shape in the data YAML is [{count}, {numbers}]", columns)
        return
    most = int(np.bincount(lengths).argmax())
    same = rows[lengths == most]
    if declared.task == "pose":
        _take_keypoints(table, rows, most, "'task' in the data YAML is pose", columns)
        return
    if declared.task in POLYGON_TASKS:
        _take_polygons(table, rows, columns)
        return
    seen = _length_with_visibilities(table, rows)
    if seen is not None:
        _take_keypoints(table, rows, seen, "each third number behind the box is a visibility", columns)
        return
    if RARE * len(rows) < (columns.kinds == Kind.BOX).sum():
        rows = _skip_joined(table, rows, columns)
        same = rows[table.lengths[rows] == most]
    if len(same) < 0.9 * len(rows) or not len(same):
        _take_polygons(table, rows, columns)
        return
    lengths = table.lengths[rows]
    meaning = classify_long(table.columns(same, 1, most), table.image_sizes(same))
    if meaning is Long.KEYPOINTS:
        _take_keypoints(table, rows, most, "the others are taken for keypoints and ignored", columns)
    elif meaning is Long.TRACK:
        columns.kinds[same] = Kind.BOX
        columns.note(table, same, "extra-column", "{} have a confidence and the id of a track behind the box, ignored")
        _take_polygons(table, rows[lengths != most], columns)
    elif meaning is Long.DOUBTFUL:
        columns.refuse(
            table,
            same,
            f"{{}} have {most} numbers: a polygon, or a box with keypoints? Write 'task: segment', or 'task: pose' and "
            "kpt_shape, in the data YAML",
        )
        columns.skip(rows[lengths != most], f"most other lines have {most} numbers")
    else:
        _take_polygons(table, rows, columns)


def _length_with_visibilities(table: LabelTable, rows: Rows) -> int | None:
    """Length of the rows that have visibilities of 2, which no polygon has, at each third number; None without any."""
    lengths, counts = np.unique(table.lengths[rows], return_counts=True)
    for length in lengths[np.argsort(-counts)].tolist():
        if (length - BOX_NUMBERS) % 3 == 0:
            same = rows[table.lengths[rows] == length]
            flags = table.columns(same, 1, length)[:, 6::3]
            if flags.max() == 2 and are_with_visibilities(table.columns(same, 1, length), table.image_sizes(same)):
                return int(length)
    return None


def _skip_joined(table: LabelTable, rows: Rows, columns: Columns) -> Rows:
    """Skip rows among boxes that are boxes and more, as where a line lacked its end; return the other rows."""
    lengths = table.lengths[rows]
    joined = np.zeros(len(rows), np.bool_)
    for length in (7, 9):
        of_length = lengths == length
        joined[of_length] = continues_a_box(table.columns(rows[of_length], 1, length))
    columns.skip(rows[joined], "a box and more, as where two lines run together, while most other lines are boxes")
    return rows[~joined]


def _take_keypoints(table: LabelTable, rows: Rows, wanted: int, reason: str, columns: Columns) -> None:
    """Take the first numbers of rows as boxes with keypoints."""
    right = table.lengths[rows] == wanted
    if right.any():
        columns.kinds[rows[right]] = Kind.BOX
        columns.note(table, rows[right], "keypoints", f"{{}} are of a pose data set; their boxes are used ({reason})")
    columns.skip(rows[~right], f"with keypoints it must have {wanted} numbers ({reason})")


def _take_polygons(table: LabelTable, rows: Rows, columns: Columns) -> None:
    """Take rows as polygons; those of an even length have a confidence at the end, where all are so."""
    if not len(rows):
        return
    lengths = table.lengths[rows]
    even = np.asarray(lengths % 2 == 0)
    if even.all() and _end_in_confidences(table, rows):
        table.lengths[rows] -= 1
        message = "{} have a number behind the polygon, taken for a confidence and ignored"
        columns.note(table, rows, "extra-column", message)
        even = np.zeros_like(even)
    columns.skip(rows[even], "a polygon has a class and two numbers for each corner")
    polygons = rows[~even]
    if len(polygons):
        columns.kinds[polygons] = Kind.POLYGON
        corners = "four corners" if (table.lengths[polygons] == 9).all() else "polygons"
        columns.note(
            table, polygons, "polygon", f"{{}} hold {corners}; their bounding boxes are used", Severity.WARNING
        )


def _end_in_confidences(table: LabelTable, rows: Rows) -> bool:
    """Return whether rows of even lengths are polygons of several lengths, or four corners, and a confidence."""
    lengths = table.lengths[rows]
    last = table.values[table.starts[rows] + lengths - 1]
    if not ((last >= 0) & (last <= 1)).all():
        return False
    if len(np.unique(lengths)) > 1:
        return True
    return lengths[0] == 10 and are_parallelograms(table.columns(rows, 1, 9).reshape(-1, 4, 2))
