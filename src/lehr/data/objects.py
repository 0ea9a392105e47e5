"""Checks of objects, for every layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.sample import Fault

TOLERANCE = 1.0
"""Overhang beyond the image edge that counts as rounding, not as a fault; pixels."""

_HASH = np.array([0x9E3779B97F4A7C15, 0xC2B2AE3D27D4EB4F, 0x165667B19E3779F9, 0xD6E8FEB86659FD93], np.uint64)


@dataclass(frozen=True, slots=True, eq=False)
class CheckedObjects:
    """The usable objects of many images.

    Attributes:
        boxes: float32 (m, 4), xyxy in pixels, inside the images.
        classes: int64 (m,).
        kept: (m,), index of each among those that were checked.
        faults: what is wrong with the others, each with the index of its object.
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    kept: NDArray[np.intp]
    faults: list[tuple[int, Fault]]


def checked_objects(
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    *,
    width: int,
    height: int,
    path: Path,
    lines: Sequence[int | None],
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[Fault]]:
    """The usable objects of an image, and what is wrong with the others; see `check_objects`.

    Args:
        boxes: (n, 4) xyxy, pixels.
        classes: (n,).
        width: of the image, pixels.
        height: of the image, pixels.
        path: the label file, for messages.
        lines: (n,) the line of each object in it, from 1; None if unknown.

    Returns:
        Boxes float32 (m, 4) inside the image, classes int64 (m,), and the faults.
    """
    checked = check_objects(
        boxes,
        classes,
        images=np.zeros(len(boxes), np.int64),
        sizes=np.array([[width, height]], np.float64),
        paths=(path,),
        lines=np.array([line or 0 for line in lines], np.int64),
    )
    return checked.boxes, checked.classes, [fault for _, fault in checked.faults]


def check_objects(
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    *,
    images: NDArray[np.int64],
    sizes: NDArray[np.float64],
    paths: Sequence[Path],
    lines: NDArray[np.int64],
) -> CheckedObjects:
    """Check the objects of many images at once.

    Boxes without area, wholly outside, not finite, or given twice are skipped; boxes that reach outside are clipped.
    Each of these is a fault; reaching out by at most a pixel of rounding is not.

    Args:
        boxes: (n, 4) xyxy, pixels.
        classes: (n,).
        images: (n,) index of each one's image, ascending.
        sizes: (images, 2) width and height, pixels.
        paths: the label file of each image, for messages.
        lines: (n,) the line of each object in it, from 1; 0 if unknown.
    """
    limits = np.tile(sizes[images], 2)
    clipped = np.clip(boxes, 0, limits)
    finite = np.all(np.isfinite(boxes), axis=1)
    area = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    area_inside = np.all(clipped[:, 2:] > clipped[:, :2], axis=1)
    usable = finite & area & area_inside
    first = _first_of_equals(boxes, classes, images, usable)
    twice = usable & (first != np.arange(len(boxes)))
    outside = np.zeros(len(boxes), np.bool_)
    outside[usable] = np.abs(boxes[usable] - clipped[usable]).max(1, initial=0) > TOLERANCE
    kept = np.flatnonzero(usable & ~twice)
    starts = np.searchsorted(images, images, side="left")
    faults = []
    for i in np.flatnonzero(~usable | twice | outside).tolist():
        path, line = paths[images[i]], int(lines[i]) or None
        width, height = sizes[images[i]].astype(int).tolist()
        if not finite[i]:
            kind, message = "malformed-line", "a coordinate is not a finite number; the box is skipped"
        elif not area[i]:
            kind, message = "box-without-area", f"the box {_text(boxes[i])} has no area; it is skipped"
        elif not area_inside[i]:
            kind = "box-outside-image"
            message = f"the box {_text(boxes[i])} is outside the image of {width}x{height}; it is skipped"
        elif twice[i]:
            other = first[i]
            position = f"line {lines[other]}" if lines[other] else f"object {other - starts[i] + 1}"
            kind, message = "duplicate-box", f"the same box as {position} once more; it is skipped"
        else:
            kind = "box-outside-image"
            message = f"the box {_text(boxes[i])} reaches outside the image of {width}x{height}; it is clipped"
        faults.append((i, Fault(kind, path, message, line)))
    return CheckedObjects(clipped[kept].astype(np.float32), classes[kept].astype(np.int64), kept, faults)


def no_objects() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes (0, 4) and classes (0,) of an image with nothing in it."""
    return np.zeros((0, 4), np.float32), np.zeros(0, np.int64)


def _first_of_equals(
    boxes: NDArray[np.float64], classes: NDArray[np.int64], images: NDArray[np.int64], usable: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Index of the first usable object of the same image, class and box, (n,)."""
    first = np.arange(len(boxes))
    rows = np.flatnonzero(usable)
    if len(rows) < 2:
        return first
    # Sorting one hash of each object is ten times quicker than sorting its six numbers.
    bits = np.ascontiguousarray(boxes[rows] + 0.0).view(np.uint64) * _HASH  # -0.0 + 0.0 is 0.0
    keys = bits.sum(1, dtype=np.uint64)
    keys = (keys ^ (keys >> np.uint64(29))) * _HASH[0]
    keys += images[rows].astype(np.uint64) * _HASH[1] + classes[rows].astype(np.uint64) * _HASH[2]
    order = np.argsort(keys, kind="stable")
    same = keys[order][1:] == keys[order][:-1]
    suspects = np.union1d(order[1:][same], order[:-1][same])
    seen: dict[tuple[float, ...], int] = {}
    for row in rows[suspects].tolist():
        key = (int(images[row]), int(classes[row]), *boxes[row].tolist())
        first[row] = seen.setdefault(key, row)
    return first


def _text(box: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:g}" for value in box)
