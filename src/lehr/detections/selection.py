"""Some of an image's detections: by index, by mask, or in another order."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Order: TypeAlias = Literal["score", "area", "class", "x", "y"]
"""Keys to sort detections by; `x` and `y` are the left and the upper edge."""
DESCENDING = frozenset({"score", "area"})
"""Orders whose largest value comes first unless another direction is asked for."""


def selected(which: Any, count: int) -> NDArray[np.int64]:
    """Indices of the detections that an index with several elements asks for.

    Args:
        which: a slice, a mask of `count` booleans, or indices, those below 0 counted from the end.
        count: number of detections.

    Raises:
        IndexError: an index is out of range, or a mask has another length.
        TypeError: it is neither.
    """
    every: NDArray[np.int64] = np.arange(count)
    if isinstance(which, slice):
        return every[which]
    if isinstance(which, str):
        raise TypeError(f"Detections are indexed by number. For a class, use detections.filter(classes={which!r}).")
    chosen = np.asarray(which)
    if chosen.size == 0 and chosen.dtype != np.bool_:
        chosen = chosen.astype(np.int64)
    if chosen.ndim != 1 or chosen.dtype.kind not in "biu":
        raise TypeError(
            f"Detections are indexed by a number, a slice, a mask or a list of numbers, not {type(which).__name__}."
        )
    if chosen.dtype == np.bool_ and len(chosen) != count:
        raise IndexError(f"The mask has {len(chosen)} elements for {count} detections.")
    try:
        return np.asarray(every[chosen])
    except IndexError:
        raise IndexError(f"There are {count} detections, which {chosen.tolist()} goes beyond.") from None


def order_of(
    by: Order,
    boxes: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    descending: bool | None,
) -> NDArray[np.int64]:
    """Indices that sort detections; equal ones keep their order.

    Args:
        by: score, area, class, x or y.
        boxes: (n, 4), xyxy.
        scores: (n,).
        classes: (n,).
        descending: whether the largest value comes first; None for score and area only.

    Raises:
        ValueError: there is no such order.
    """
    keys: dict[str, NDArray[Any]] = {
        "score": scores,
        "area": (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1]),
        "class": classes,
        "x": boxes[:, 0],
        "y": boxes[:, 1],
    }
    if by not in keys:
        raise ValueError(f"by={by!r}: detections are sorted by {', '.join(keys)}.")
    key = np.asarray(keys[by])
    turned = by in DESCENDING if descending is None else descending
    return np.argsort(-key if turned else key, kind="stable")
