"""Distinguishing boxes with keypoints from polygons, by the shape of all rows of one length."""

from __future__ import annotations

from enum import Enum, auto

import numpy as np
from numpy.typing import NDArray

ENOUGH = 6
"""Rows from which chance can be ruled out: a polygon's first corners rarely look like a box around the others."""


class Long(Enum):
    """Meaning of rows with more numbers than a box has."""

    POLYGON = auto()
    KEYPOINTS = auto()
    TRACK = auto()
    DOUBTFUL = auto()


def classify_long(values: NDArray[np.float64], sizes: NDArray[np.float64]) -> Long:
    """Decide what rows of one length mean.

    Keypoints are certain where each third number after the box is a visibility, 0, 1 or 2; or where the first four
    numbers of all rows are a box inside the image that has all further points in it, and no outline of an object
    would run so. Polygons are certain where corners form parallelograms or close, or where such a box is not there.

    Args:
        values: (n, numbers), the rows without their class.
        sizes: (n, 2), width and height of the images, pixels.
    """
    n, numbers = values.shape
    if numbers == 6 and _is_track(values):
        return Long.TRACK
    unit = _unit(values, sizes)
    boxed = _is_box(values[:, :4] / np.tile(unit, 2))
    if (numbers - 4) % 3 == 0 and are_with_visibilities(values, sizes):
        return Long.KEYPOINTS
    if numbers % 2:  # no polygon, unless there is a confidence at the end
        if (numbers - 4) % 3 == 0:
            fits = boxed & _in_box(values[:, :4], values[:, 4:].reshape(n, -1, 3)[:, :, :2])
            if fits.mean() >= 0.95:
                return Long.KEYPOINTS if n >= ENOUGH else Long.DOUBTFUL
        return Long.POLYGON
    corners = (values / np.tile(unit, numbers // 2)).reshape(n, -1, 2)
    fits = boxed & _in_box(values[:, :4], values[:, 4:].reshape(n, -1, 2))
    if (numbers - 4) % 3 == 0:  # or keypoints with a confidence each
        with_confidence = boxed & _in_box(values[:, :4], values[:, 4:].reshape(n, -1, 3)[:, :, :2])
        if with_confidence.mean() >= 0.95:
            return Long.KEYPOINTS if n >= ENOUGH and fits.mean() < 0.5 else Long.DOUBTFUL
    if _is_closed(corners) or are_parallelograms(corners, 0.03 if fits.mean() > 0.5 else 0.3):
        return Long.POLYGON
    strange = ~_is_outline(corners)
    if fits.mean() >= 0.95:
        triangles = numbers == 6  # may have one corner far from the others
        share, rows = (0.5, 2 * ENOUGH) if triangles else (0.15, ENOUGH)
        proven = n >= rows and strange.mean() >= share and strange.sum() > 1
        return Long.KEYPOINTS if proven else Long.DOUBTFUL
    return Long.DOUBTFUL if fits.mean() > 0.5 and strange.mean() >= 0.1 else Long.POLYGON


def are_with_visibilities(values: NDArray[np.float64], sizes: NDArray[np.float64]) -> bool:
    """Return whether rows are a box and keypoints, the third number of each a visibility: 0, 1 or 2.

    Args:
        values: (n, 4 + 3k), the rows without their class.
        sizes: (n, 2), width and height of the images, pixels.
    """
    boxed = _is_box(values[:, :4] / np.tile(_unit(values, sizes), 2))
    return bool(np.isin(values[:, 6::3], (0.0, 1.0, 2.0)).all()) and bool(boxed.mean() >= 0.95)


def _unit(values: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Width and height of the images where rows hold pixels, else ones, (n, 2)."""
    in_pixels = (np.abs(values[:, :4]) > 2).any(1).mean() > 0.95
    return sizes if in_pixels else np.ones_like(sizes)


def continues_a_box(values: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are a box and more rather than three or four corners, as where two lines ran together.

    Args:
        values: (n, 6 or 8), the rows without their class, shares of the image.
    """
    boxed = _is_box(values[:, :4])
    if values.shape[1] == 8:
        corners = values.reshape(-1, 4, 2)
        boxed &= _is_box(values[:, 4:]) & ~_parallelograms(corners, 0.1)[0]
    return boxed


def _is_track(values: NDArray[np.float64]) -> bool:
    """Return whether a confidence and the id of a track follow a box, in any order."""
    low, high = values[:, 4:].min(1), values[:, 4:].max(1)
    whole = bool((high == np.floor(high)).all()) and bool(high.max() > 1)
    return whole and bool(((low >= 0) & (low <= 1)).all()) and bool((np.abs(values[:, :4]) <= 2).all())


def _is_box(boxes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows are centre and size, as shares, of a box inside the image."""
    centre, half = boxes[:, :2], boxes[:, 2:] / 2
    return np.asarray(((half > 0) & (centre - half >= -0.02) & (centre + half <= 1.02)).all(1))


def _in_box(boxes: NDArray[np.float64], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return in which rows nine of ten points (n, k, 2) are in the box (a tenth larger); points at 0, 0 are absent."""
    reach = boxes[:, None, 2:] * 0.55 + 1e-3 * np.abs(boxes[:, None, :2])
    inside = (np.abs(points - boxes[:, None, :2]) <= reach).all(2)
    absent = (points == 0).all(2)
    return np.asarray((inside | absent).mean(1) >= 0.9)


def _is_outline(corners: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which rows could be outlines: the second corner is no further from the others than these are apart."""
    others = np.delete(corners, 1, axis=1)
    extent = (others.max(1) - others.min(1)).max(1)
    distance = np.abs(corners[:, 1] - others.mean(1)).max(1)
    return np.asarray(distance <= 1.5 * extent)


def _is_closed(corners: NDArray[np.float64]) -> bool:
    """Return whether outlines end where they begin."""
    return corners.shape[1] > 3 and bool((np.abs(corners[:, 0] - corners[:, -1]).max(1) < 1e-6).mean() >= 0.95)


def are_parallelograms(corners: NDArray[np.float64], tolerance: float = 0.03) -> bool:
    """Return whether corners (n, 4, 2) are those of parallelograms, in whatever order.

    Args:
        corners: of each row.
        tolerance: how far a corner may be off, as a share of the extent.
    """
    if corners.shape[1] != 4:
        return False
    return any(is_one.mean() >= 0.95 for is_one in _parallelograms(corners, tolerance))


def _parallelograms(corners: NDArray[np.float64], tolerance: float) -> NDArray[np.bool_]:
    """Return which corners (n, 4, 2) form parallelograms in each of the three orders that there are, (3, n)."""
    extent = (corners.max(1) - corners.min(1)).max(1)
    orders = ((1, -1, 1, -1), (1, -1, -1, 1), (1, 1, -1, -1))
    off = [np.abs(np.tensordot(corners, np.array(signs, float), axes=(1, 0))).max(1) for signs in orders]
    return np.asarray(np.stack(off) <= tolerance * extent)
