"""The checks that objects of every layout pass on their way in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.sample import Fault

TOLERANCE = 1.0
"""Overhang over the edge of the image that counts as rounding, not as a fault; pixels."""


def checked_objects(
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    *,
    width: int,
    height: int,
    path: Path,
    lines: Sequence[int | None],
) -> tuple[NDArray[np.float32], NDArray[np.int64], list[Fault]]:
    """The usable objects of an image, and what is wrong with the others.

    Boxes without area, wholly outside, not finite, or given twice are left out; boxes that reach outside are cut at
    the edge. Each of these is a fault; reaching out by no more than a pixel of rounding is not.

    Args:
        boxes: (n, 4) xyxy, pixels.
        classes: (n,).
        width: of the image, pixels.
        height: of the image, pixels.
        path: the label file, for messages.
        lines: (n,) the line of each object in it, from 1; None where unknown.

    Returns:
        Boxes float32 (m, 4) inside the image, classes int64 (m,), and the faults.
    """
    faults: list[Fault] = []
    kept: list[int] = []
    seen: dict[tuple[float, ...], int] = {}
    clipped = np.clip(boxes, 0, [width, height, width, height])
    reach = np.abs(boxes - clipped).max(1, initial=0)
    finite = np.all(np.isfinite(boxes), axis=1)
    area = np.all(boxes[:, 2:] > boxes[:, :2], axis=1)
    area_inside = np.all(clipped[:, 2:] > clipped[:, :2], axis=1)
    for i, line in enumerate(lines):
        key = (int(classes[i]), *boxes[i].tolist())
        if not finite[i]:
            faults.append(
                Fault("malformed-line", path, "a coordinate is not a finite number; the box is skipped", line)
            )
        elif not area[i]:
            faults.append(
                Fault("box-without-area", path, f"the box {_text(boxes[i])} has no area; it is skipped", line)
            )
        elif not area_inside[i]:
            message = f"the box {_text(boxes[i])} lies outside the image of {width}x{height}; it is skipped"
            faults.append(Fault("box-outside-image", path, message, line))
        elif key in seen:
            message = f"the same box as {_position(lines[seen[key]], seen[key])} once more; it is skipped"
            faults.append(Fault("duplicate-box", path, message, line))
        else:
            if reach[i] > TOLERANCE:
                message = (
                    f"the box {_text(boxes[i])} reaches outside the image of {width}x{height}; it is cut at the edge"
                )
                faults.append(Fault("box-outside-image", path, message, line))
            seen[key] = i
            kept.append(i)
    return clipped[kept].astype(np.float32), classes[kept].astype(np.int64), faults


def no_objects() -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Boxes (0, 4) and classes (0,) of an image with nothing in it."""
    return np.zeros((0, 4), np.float32), np.zeros(0, np.int64)


def _text(box: NDArray[np.float64]) -> str:
    return ", ".join(f"{value:g}" for value in box)


def _position(line: int | None, index: int) -> str:
    return f"object {index + 1}" if line is None else f"line {line}"
