"""Boxes of COCO annotations as arrays, in pixels of the image as the JSON states it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.data.formats.coco_box_form import Outlines, refuse_other_forms, refuse_shares
from lehr.data.formats.coco_ids import shown
from lehr.data.formats.coco_json import Annotations, CocoFile, Record
from lehr.runtime.counted import counted
from lehr.sample import Fault, Severity

OBJECT, CROWD, IGNORED = 0, 1, 2
"""Uses of an annotation: an object; a region of many; an object that an evaluation is to ignore."""


@dataclass(slots=True)
class Boxes:
    """Boxes of a COCO JSON.

    Attributes:
        xyxy: float64 (n, 4), pixels; NaN if an annotation has none.
        use: int8 (n,), OBJECT, CROWD or IGNORED.
        usable: bool (n,), False if a fault says why not.
        faults: what is wrong with them, and how they were read.
    """

    xyxy: NDArray[np.float64]
    use: NDArray[np.int8]
    usable: NDArray[np.bool_]
    faults: list[Fault]


def annotation_name(annotations: Annotations, position: int) -> str:
    """Name an annotation in a message: by its id, or its place in the list."""
    given = annotations.ids[position]
    return f"annotation {shown(given)}" if given is not None else f"annotation number {position + 1}"


def read_boxes(file: CocoFile, sizes: NDArray[np.float64]) -> Boxes:
    """Read the boxes of all annotations.

    A box is x, y, width, height in pixels. Where there is none, or one without area, the segmentation's bounding box
    is taken.

    Args:
        file: as parsed.
        sizes: (n, 2), stated width and height of each annotation's image, pixels; NaN if unknown.

    Raises:
        InputError: the boxes seem to be corners, or shares of the image: nothing says which, so none is read.
    """
    annotations = file.annotations
    given = np.array(annotations.boxes, np.float64).reshape(-1, 4)
    use = np.zeros(len(given), np.int8)
    usable = np.ones(len(given), np.bool_)
    are_corners = np.zeros(len(given), np.bool_)
    rotations: dict[int, float] = {}
    faults: list[Fault] = []
    said: Counter[str] = Counter()
    for position, record in annotations.unusual.items():
        try:
            use[position] = _use_of(record, said)
            given[position], are_corners[position] = _numbers_of(record, given[position], said)
        except ValueError as error:
            usable[position] = False
            faults.append(_malformed(file, position, str(error)))
        rotation = _rotation_of(record)
        if rotation:
            rotations[position] = rotation
    xyxy = given.copy()
    xyxy[~are_corners, 2:] += given[~are_corners, :2]
    outlines = _outlines_of(annotations)
    _take_outlines(outlines, xyxy, usable, sizes, said)
    for mask, problem in (
        (np.isnan(xyxy).any(1), "has no 'bbox' of four numbers and no usable segmentation"),
        ((xyxy[:, 2:] < xyxy[:, :2]).any(1), "has a negative width or height"),
    ):
        for position in np.flatnonzero(usable & mask).tolist():
            usable[position] = False
            faults.append(_malformed(file, position, problem))
    areas = np.array(annotations.areas, np.float64)
    refuse_shares(file.path, xyxy[usable], sizes[usable])
    faults += refuse_other_forms(file.path, given, usable & ~are_corners, areas, outlines, sizes)
    for position, rotation in rotations.items():
        xyxy[position] = _around_rotated(xyxy[position], rotation)
        said["rotated"] += 1
    faults += [_SAID[kind](file.path, number) for kind, number in said.items()]
    return Boxes(xyxy, use, usable, faults)


def _malformed(file: CocoFile, position: int, problem: str) -> Fault:
    subject = annotation_name(file.annotations, position)
    return Fault("malformed-line", file.path, f"{subject} {problem}; it is skipped")


def _told(
    kind: str, one: str, many: str, message: str, severity: Severity = Severity.NOTE
) -> Callable[[Path, int], Fault]:
    return lambda path, number: Fault(kind, path, f"{counted(number, one, many)} {message}", severity=severity)


_SAID: dict[str, Callable[[Path, int], Fault]] = {
    "outline": _told(
        "polygon", "annotation has", "annotations have", "no box; the bounding box of their segmentation is taken"
    ),
    "text": _told("unusual-box", "box is", "boxes are", "given as text and read as numbers"),
    "named": _told("unusual-box", "box is", "boxes are", "given with named sides and read by these names"),
    "corners": _told("unusual-box", "box is", "boxes are", "given as corners ('bbox_mode' is 0) and read as such"),
    "rotated": _told(
        "rotated-box",
        "box has",
        "boxes have",
        "a rotation; the upright box around the rotated one is taken",
        Severity.WARNING,
    ),
    "crowd-text": _told(
        "crowd", "time", "times", "'iscrowd' is not a number; it is read by its meaning (\"0\" is not a crowd)"
    ),
}


def _use_of(record: Record, said: Counter[str]) -> int:
    """Read `iscrowd` and `ignore`.

    Raises:
        ValueError: `iscrowd` means neither yes nor no.
    """
    crowd = record.get("iscrowd")
    meaning = _TRUTH.get(str(crowd).strip().lower())
    if meaning is None:
        raise ValueError(f"has an 'iscrowd' of {shown(crowd)}, which is neither 0 nor 1")
    if isinstance(crowd, str):
        said["crowd-text"] += 1
    if meaning:
        return CROWD
    return IGNORED if _TRUTH.get(str(record.get("ignore")).strip().lower()) else OBJECT


def _numbers_of(record: Record, numbers: NDArray[np.float64], said: Counter[str]) -> tuple[NDArray[np.float64], bool]:
    """Read a box that may be of text or of named sides, and whether its numbers are corners.

    Raises:
        ValueError: it is not four numbers, or a `bbox_mode` is of neither kind.
    """
    given, corners = record.get("bbox"), False
    if np.isnan(numbers).all() and given:
        numbers, corners = _read_box(given, said)
    mode = record.get("bbox_mode", 1)
    if mode == 0 and isinstance(given, list):
        corners = True
        said["corners"] += 1
    elif mode not in (0, 1):
        raise ValueError(f"has the 'bbox_mode' {shown(mode)}, which is neither 0 (corners) nor 1 (x, y, width, height)")
    return numbers, corners


def _rotation_of(record: Record) -> float:
    attributes = record.get("attributes")
    rotation = attributes.get("rotation") if isinstance(attributes, dict) else None
    if isinstance(rotation, int | float) and math.isfinite(rotation):
        return float(rotation % 180)
    return 0.0


_TRUTH = dict.fromkeys(("", "none", "null", "0", "0.0", "false", "no"), False)
_TRUTH |= dict.fromkeys(("1", "1.0", "true", "yes"), True)


def _read_box(given: Any, said: Counter[str]) -> tuple[NDArray[np.float64], bool]:
    """Read a box of named sides, or of numbers as text, and whether its numbers are corners.

    Raises:
        ValueError: it is not four numbers.
    """
    kind, sides, corners = "text", given, False
    if isinstance(given, dict):
        names = next((names for names in _NAMED if set(names) <= given.keys()), ())
        kind, sides, corners = "named", [given[name] for name in names], names[2:3] not in ((), ("width",), ("w",))
    elif isinstance(given, str):
        sides = given.strip().strip("[]()").replace(",", " ").split()
    try:
        numbers = np.array([float(side) for side in sides if not isinstance(side, bool)])
    except (TypeError, ValueError, OverflowError):
        numbers = np.zeros(0)
    if numbers.shape != (4,):
        raise ValueError(f"has a 'bbox' that is not four numbers ({shown(given)})")
    said[kind] += 1
    return numbers, corners


_NAMED = [
    ("x", "y", "width", "height"),
    ("x", "y", "w", "h"),
    ("left", "top", "width", "height"),
    ("xmin", "ymin", "xmax", "ymax"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("x1", "y1", "x2", "y2"),
    ("left", "top", "right", "bottom"),
]


def _around_rotated(box: NDArray[np.float64], degrees: float) -> NDArray[np.float64]:
    """The upright box around one that is rotated about its centre, as CVAT writes it; xyxy."""
    cosine, sine = abs(math.cos(math.radians(degrees))), abs(math.sin(math.radians(degrees)))
    width, height = box[2:] - box[:2]
    half = np.array([width * cosine + height * sine, width * sine + height * cosine]) / 2
    centre = (box[:2] + box[2:]) / 2
    return np.concatenate((centre - half, centre + half))


def _outlines_of(annotations: Annotations) -> Outlines:
    known = {position: outline for position, outline in annotations.outlines.items() if outline is not None}
    table = np.array(list(known.values()), np.float64).reshape(-1, 6)
    return Outlines(np.array(list(known), np.int64), table[:, :4], table[:, 4:])


def _take_outlines(
    outlines: Outlines,
    xyxy: NDArray[np.float64],
    usable: NDArray[np.bool_],
    sizes: NDArray[np.float64],
    said: Counter[str],
) -> None:
    """Give annotations without a box, or with one without area, the bounding box of their segmentation."""
    boxes, stated = xyxy[outlines.positions], sizes[outlines.positions]
    without = np.isnan(boxes).all(1) | ((boxes[:, 2:] >= boxes[:, :2]).all(1) & (boxes[:, 2:] == boxes[:, :2]).any(1))
    # A mask of another size than the image belongs to another image.
    fits = (outlines.sizes == 0).all(1) | np.isnan(stated).any(1) | (outlines.sizes == stated).all(1)
    taken = usable[outlines.positions] & without & fits & (outlines.xyxy[:, 2:] > outlines.xyxy[:, :2]).all(1)
    xyxy[outlines.positions[taken]] = outlines.xyxy[taken]
    if taken.any():
        said["outline"] = int(taken.sum())
