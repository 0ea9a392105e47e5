"""The box losses once more: float64, one pair of boxes at a time, as the papers write them.

`held` is the box that parts without a gradient are computed from: the predicted box itself for a value, the box about
which one differentiates for a difference quotient.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
NWD_CONSTANT = 12.8


def iou(a: Array, b: Array) -> float:
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    inter = width * height if width > 0 and height > 0 else 0.0
    return float(inter / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - inter))


def around(a: Array, b: Array) -> tuple[float, float]:
    """Width and height of the smallest box around both."""
    return max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])


def centre(a: Array) -> tuple[float, float]:
    return (a[0] + a[2]) / 2, (a[1] + a[3]) / 2


def distance(a: Array, b: Array) -> float:
    return math.dist(centre(a), centre(b))


def ciou(a: Array, b: Array, held: Array) -> float:
    def difference(box: Array) -> float:
        ours = math.atan((box[2] - box[0]) / (box[3] - box[1]))
        return 4 / math.pi**2 * (math.atan((b[2] - b[0]) / (b[3] - b[1])) - ours) ** 2

    v = difference(held)
    alpha = v / ((1 - iou(held, b)) + v) if v > 0 else 0.0
    return diou(a, b, held) + alpha * difference(a)


def diou(a: Array, b: Array, held: Array) -> float:
    return 1 - iou(a, b) + distance(a, b) ** 2 / math.hypot(*around(a, b)) ** 2


def giou(a: Array, b: Array, held: Array) -> float:
    width, height = around(a, b)
    areas = (a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1])
    union = areas / (1 + iou(a, b))
    return 1 - (iou(a, b) - (width * height - union) / (width * height))


def eiou(a: Array, b: Array, held: Array) -> float:
    width, height = around(a, b)
    of_width = ((a[2] - a[0]) - (b[2] - b[0])) ** 2 / width**2
    of_height = ((a[3] - a[1]) - (b[3] - b[1])) ** 2 / height**2
    return diou(a, b, held) + of_width + of_height


def siou(a: Array, b: Array, held: Array) -> float:
    (x, y), (x_true, y_true) = centre(a), centre(b)
    sigma = distance(a, b)
    sine = abs(y_true - y) / sigma if sigma > 0 else 0.0
    angle_cost = 1 - 2 * math.sin(math.asin(min(sine, 1.0)) - math.pi / 4) ** 2
    gamma = 2 - angle_cost
    width, height = around(a, b)
    distance_cost = sum(
        1 - math.exp(-gamma * rho) for rho in (((x_true - x) / width) ** 2, ((y_true - y) / height) ** 2)
    )
    shape_cost = 0.0
    for side in (0, 1):
        ours, true = a[side + 2] - a[side], b[side + 2] - b[side]
        shape_cost += (1 - math.exp(-abs(ours - true) / max(ours, true))) ** 4
    return 1 - iou(a, b) + (distance_cost + shape_cost) / 2


def wiou(a: Array, b: Array, held: Array) -> float:
    width, height = around(held, b)
    return math.exp(distance(a, b) ** 2 / (width**2 + height**2)) * (1 - iou(a, b))


def nwd(a: Array, b: Array, held: Array) -> float:
    """Of Gaussians with the boxes' centres and half their sides as deviations."""
    ours = np.array([*centre(a), (a[2] - a[0]) / 2, (a[3] - a[1]) / 2])
    true = np.array([*centre(b), (b[2] - b[0]) / 2, (b[3] - b[1]) / 2])
    return 1 - math.exp(-float(np.linalg.norm(ours - true)) / NWD_CONSTANT)


ORACLES: dict[str, Callable[[Array, Array, Array], float]] = {
    "ciou": ciou,
    "diou": diou,
    "giou": giou,
    "siou": siou,
    "eiou": eiou,
    "wiou": wiou,
    "nwd": nwd,
}
