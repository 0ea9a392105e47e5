"""The anchor-based loss once more: float64 NumPy, one object, anchor and cell at a time."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from tests.losses.oracle import ciou, sigmoid

Array = NDArray[np.float64]
STRIDES = (8, 16, 32)
LEVELS = (4.0, 1.0, 0.4)


def cells_of(x: float, y: float, width: int, height: int) -> list[tuple[int, int]]:
    """The cell of a centre, and the nearest neighbours that are in the grid, in the order left, above, right, below."""
    own = (int(x), int(y))
    found = [own]
    if x % 1 < 0.5 and x > 1:
        found.append((own[0] - 1, own[1]))
    if y % 1 < 0.5 and y > 1:
        found.append((own[0], own[1] - 1))
    if (width - x) % 1 < 0.5 and width - x > 1:
        found.append((own[0] + 1, own[1]))
    if (height - y) % 1 < 0.5 and height - y > 1:
        found.append((own[0], own[1] + 1))
    return found


def bce(
    logit: float,
    target: float,
    positive: float,
    gamma: float,
    factor: Callable[[float, float], float] | None = None,
) -> float:
    p = 1 / (1 + np.exp(-logit))
    loss = -(positive * target * np.log(p) + (1 - target) * np.log(1 - p))
    if factor is not None:
        return float(loss * factor(p, target))
    correct = target * p + (1 - target) * (1 - p)
    alpha = target * 0.25 + (1 - target) * 0.75
    return float(loss * alpha * (1 - correct) ** gamma) if gamma > 0 else float(loss)


def loss(
    levels: list[Array],
    anchors: Array,
    boxes: list[Array],
    classes: list[NDArray[np.int64]],
    gains: tuple[float, float, float],
    *,
    anchor_t: float = 4.0,
    smoothing: float = 0.0,
    cls_pw: float = 1.0,
    obj_pw: float = 1.0,
    gamma: float = 0.0,
    class_weights: Array | None = None,
    box_loss: Callable[[Array, Array], float] = lambda a, b: 1 - ciou(a, b),
    in_pixels: bool = False,
    factor: Callable[[float, float], float] | None = None,
) -> Array:
    """(box, obj, cls) times the batch size; `levels` (batch, anchors, h, w, 5 + classes) each, `anchors` in pixels."""
    batch, names = len(levels[0]), levels[0].shape[-1] - 5
    weights = np.ones(names) if class_weights is None else class_weights
    total = np.zeros(3)
    for level, logits in enumerate(levels):
        stride, (height, width) = STRIDES[level], logits.shape[2:4]
        target = np.zeros(logits.shape[:-1])
        box_losses, class_losses = [], []
        for place in range(5):  # the published order: what is written later wins
            for image in range(batch):
                for box, number in zip(boxes[image], classes[image], strict=True):
                    w, h = box[2:] - box[:2]
                    x, y = (box[:2] + box[2:]) / 2 / stride
                    places = named_cells(x, y, width, height)
                    if place not in places:
                        continue
                    column, line = places[place]
                    for a, (aw, ah) in enumerate(anchors[level]):
                        if max(w / aw, aw / w, h / ah, ah / h) >= anchor_t:
                            continue
                        row = logits[image, a, line, column]
                        twice = 2 * sigmoid(row[:4])
                        centre = (twice[:2] - 0.5 + (column, line)) * stride
                        half = twice[2:] ** 2 * (aw, ah) / 2
                        predicted = np.concatenate((centre - half, centre + half))
                        overlap = ciou(box / stride, predicted / stride)
                        unit = 1 if in_pixels else stride
                        box_losses.append(box_loss(predicted / unit, box / unit))
                        target[image, a, line, column] = max(overlap, 0)
                        for c in range(names):
                            wanted = (1 - smoothing / 2) if c == number else smoothing / 2
                            class_losses.append(weights[number] * bce(row[5 + c], wanted, cls_pw, gamma, factor))
        if box_losses:
            total[0] += np.mean(box_losses)
            total[2] += np.mean(class_losses) if names > 1 else 0
        pairs = zip(logits[..., 4].ravel(), target.ravel(), strict=True)
        objectness = [bce(o, t, obj_pw, gamma, factor) for o, t in pairs]
        total[1] += LEVELS[level] * np.mean(objectness)
    return np.asarray(total * np.array(gains) * batch)


def named_cells(x: float, y: float, width: int, height: int) -> dict[int, tuple[int, int]]:
    """The cells by place: 0 own, 1 left, 2 above, 3 right, 4 below."""
    own = (int(x), int(y))
    steps = {own: 0, (own[0] - 1, own[1]): 1, (own[0], own[1] - 1): 2, (own[0] + 1, own[1]): 3, (own[0], own[1] + 1): 4}
    return {steps[cell]: cell for cell in cells_of(x, y, width, height)}
