"""Bounding boxes of COCO's segmentations: polygons, and masks as runs (RLE), compressed or not."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class Outline(NamedTuple):
    """The bounding box of a segmentation, xyxy in pixels; of a mask also its size, else 0."""

    x1: float
    y1: float
    x2: float
    y2: float
    width: int = 0
    height: int = 0


def outline_of(segmentation: Any) -> Outline | None:
    """Compute the bounding box of a COCO segmentation.

    Args:
        segmentation: polygons as lists of x, y, x, y, ... or of pairs, one or several; or a mask with `counts` and
            `size`.

    Returns:
        The box; None if the segmentation is empty or damaged.
    """
    if isinstance(segmentation, dict):
        return _of_runs(segmentation)
    xs: list[float] = []
    ys: list[float] = []
    try:
        _gather(segmentation, xs, ys, 0)
        if not xs or not math.isfinite(sum(xs) + sum(ys)):
            return None
        return Outline(float(min(xs)), float(min(ys)), float(max(xs)), float(max(ys)))
    except (TypeError, ValueError, OverflowError, KeyError, IndexError):
        return None


def _gather(part: Any, xs: list[float], ys: list[float], depth: int) -> None:
    if not isinstance(part, list) or depth > 3:
        raise TypeError
    if part and isinstance(part[0], int | float):
        if len(part) % 2:
            raise ValueError
        xs += part[0::2]
        ys += part[1::2]
        return
    for each in part:
        _gather(each, xs, ys, depth + 1)


def _of_runs(mask: dict[str, Any]) -> Outline | None:
    try:
        height, width = (int(side) for side in mask["size"])
        counts = mask["counts"]
        runs = _decoded(counts) if isinstance(counts, str) else np.array(counts, np.int64)
    except (KeyError, TypeError, ValueError, OverflowError):
        return None
    if height < 1 or width < 1 or runs.ndim != 1 or runs.sum() != height * width or (runs < 0).any():
        return None
    ends = np.cumsum(runs)
    starts = ends - runs
    starts, ends = starts[1::2], ends[1::2]  # runs of zeros and ones take turns, zeros first
    filled = ends > starts
    if not filled.any():
        return None
    starts, ends = starts[filled], ends[filled] - 1
    # Runs go down the columns; one that continues in the next column has both the first and the last row.
    first_column, last_column = starts // height, ends // height
    spans = last_column > first_column
    top = np.where(spans, 0, starts % height)
    bottom = np.where(spans, height - 1, ends % height)
    return Outline(
        float(first_column.min()),
        float(top.min()),
        float(last_column.max() + 1),
        float(bottom.max() + 1),
        width,
        height,
    )


def _decoded(text: str) -> NDArray[np.int64]:
    """Decode the runs of a compressed mask: 5 bits a character with a sign, each less the one two before.

    Raises:
        ValueError: the text is damaged.
    """
    codes = np.frombuffer(text.encode("ascii", "replace"), np.uint8).astype(np.int64) - 48
    if not len(codes) or codes.min() < 0 or codes.max() > 63 or codes[-1] & 32:
        raise ValueError("damaged")
    last = (codes & 32) == 0
    number = np.concatenate(([0], np.cumsum(last)[:-1]))  # which number a character belongs to
    begins = np.concatenate(([0], np.flatnonzero(last)[:-1] + 1))
    place = np.arange(len(codes)) - begins[number]
    if place.max() > 10:
        raise ValueError("damaged")
    values = np.zeros(int(last.sum()), np.int64)
    np.add.at(values, number, (codes & 31) << (5 * place))
    negative = (codes[last] & 16) != 0
    values[negative] -= np.int64(1) << (5 * (place[last][negative] + 1))
    values[1::2] = np.cumsum(values[1::2])
    values[2::2] = np.cumsum(values[2::2])
    return values
