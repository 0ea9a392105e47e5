"""Planar geometry: 3x3 matrices on pixel coordinates, and boxes under them.

Coordinates are continuous: the first pixel reaches from 0 to 1, its centre is at 0.5.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def translation(x: float, y: float) -> Matrix:
    """Shift by x and y, pixels."""
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1]], np.float64)


def scaling(x: float, y: float) -> Matrix:
    """Scale by x and y about the origin."""
    return np.array([[x, 0, 0], [0, y, 0], [0, 0, 1]], np.float64)


def rotation(degrees: float) -> Matrix:
    """Turn about the origin, counter-clockwise as seen on screen."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return np.array([[c, s, 0], [-s, c, 0], [0, 0, 1]], np.float64)


def shearing(x_degrees: float, y_degrees: float) -> Matrix:
    """Slant along x and y by angles."""
    x, y = math.tan(math.radians(x_degrees)), math.tan(math.radians(y_degrees))
    return np.array([[1, x, 0], [y, 1, 0], [0, 0, 1]], np.float64)


def tilting(x: float, y: float) -> Matrix:
    """Perspective: the further along x and y, the smaller; per pixel."""
    return np.array([[1, 0, 0], [0, 1, 0], [x, y, 1]], np.float64)


def to_indices(matrix: Matrix) -> Matrix:
    """The same map between pixel indices, whose centres are at whole numbers, as OpenCV counts."""
    return translation(-0.5, -0.5) @ matrix @ translation(0.5, 0.5)


def transform_points(points: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """Points (..., 2) under a matrix."""
    mapped = points @ matrix[:2, :2].T + matrix[:2, 2]
    if matrix[2, 0] == 0 and matrix[2, 1] == 0:
        return np.asarray(mapped / matrix[2, 2])
    return np.asarray(mapped / (points @ matrix[2, :2] + matrix[2, 2])[..., None])


def corners(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """The four corners (..., 4, 2) of boxes (..., 4) xyxy, in order."""
    return boxes[..., [0, 1, 2, 1, 2, 3, 0, 3]].reshape(*boxes.shape[:-1], 4, 2)


def transform_boxes(boxes: NDArray[np.float64], matrix: Matrix) -> NDArray[np.float64]:
    """The upright boxes around transformed boxes: (n, 4) xyxy to (n, 4) xyxy."""
    moved = transform_points(corners(boxes), matrix)
    return np.concatenate((moved.min(-2), moved.max(-2)), -1)
