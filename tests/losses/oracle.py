"""The task-aligned loss once more: float64 NumPy, one object and one point at a time, as the papers tell it."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
BINS = 16


def ciou(a: Array, b: Array) -> float:
    width = max(0.0, min(a[2], b[2]) - max(a[0], b[0]))
    height = max(0.0, min(a[3], b[3]) - max(a[1], b[1]))
    inter = width * height
    aw, ah, bw, bh = a[2] - a[0], a[3] - a[1], b[2] - b[0], b[3] - b[1]
    iou = inter / (aw * ah + bw * bh - inter + 1e-7)
    cw, ch = max(a[2], b[2]) - min(a[0], b[0]), max(a[3], b[3]) - min(a[1], b[1])
    distance = ((a[0] + a[2] - b[0] - b[2]) ** 2 + (a[1] + a[3] - b[1] - b[3]) ** 2) / 4
    v = 4 / math.pi**2 * (math.atan(bw / (bh + 1e-7)) - math.atan(aw / (ah + 1e-7))) ** 2
    alpha = v / (v - iou + 1 + 1e-7)
    return iou - distance / (cw**2 + ch**2 + 1e-7) - alpha * v


def sigmoid(x: Array) -> Array:
    return 1 / (1 + np.exp(-x))


@dataclass
class Targets:
    """Of one image: the object of each point (-1 for none) and the target score of its class."""

    objects: NDArray[np.int64]
    weights: Array


def assign_image(
    scores: Array,
    predicted: Array,
    points: Array,
    boxes: Array,
    classes: NDArray[np.int64],
    topk: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
) -> Targets:
    count, objects = len(points), len(boxes)
    overlap, metric = np.zeros((objects, count)), np.zeros((objects, count))
    candidate = np.zeros((objects, count), bool)
    for o in range(objects):
        for p in range(count):
            x, y = points[p]
            x1, y1, x2, y2 = boxes[o]
            if min(x - x1, y - y1, x2 - x, y2 - y) > 1e-9:
                candidate[o, p] = True
                overlap[o, p] = max(0.0, ciou(boxes[o], predicted[p]))
                metric[o, p] = scores[p, classes[o]] ** alpha * overlap[o, p] ** beta
    taken = np.zeros((objects, count), bool)
    for o in range(objects):
        for p in np.argsort(-metric[o], kind="stable")[:topk]:
            taken[o, p] = candidate[o, p] and metric[o, p] > 0
    for p in range(count):
        if taken[:, p].sum() > 1:
            winner = int(np.argmax(overlap[:, p]))
            taken[:, p] = False
            taken[winner, p] = True
    result = Targets(np.full(count, -1), np.zeros(count))
    for o in range(objects):
        own = np.nonzero(taken[o])[0]
        if not len(own):
            continue
        largest_metric, largest_overlap = metric[o, own].max(), overlap[o, own].max()
        for p in own:
            result.objects[p] = o
            result.weights[p] = metric[o, p] * largest_overlap / (largest_metric + 1e-9)
    return result


def loss(
    distances: Array,
    logits: Array,
    points: Array,
    strides: Array,
    boxes: list[Array],
    classes: list[NDArray[np.int64]],
    gains: tuple[float, float, float],
    *,
    smoothing: float = 0.0,
    cls_pw: float = 1.0,
    gamma: float = 0.0,
    class_weights: Array | None = None,
    box_loss: Callable[[Array, Array], float] = lambda a, b: 1 - ciou(a, b),
    in_pixels: bool = False,
    factor: Callable[[float, float], float] | None = None,
) -> Array:
    """(box, cls, dfl) times the batch size; `distances` (batch, points, 64), `logits` (batch, points, classes)."""
    box_sum = cls_sum = dfl_sum = total = 0.0
    for i in range(len(distances)):
        bins = distances[i].reshape(-1, 4, BINS)
        probability = np.exp(bins - bins.max(-1, keepdims=True))
        probability /= probability.sum(-1, keepdims=True)
        sides = probability @ np.arange(BINS)
        predicted = np.concatenate((points - sides[:, :2] * strides, points + sides[:, 2:] * strides), 1)
        targets = assign_image(sigmoid(logits[i]), predicted, points, boxes[i], classes[i])
        total += targets.weights.sum()
        wanted = np.zeros_like(logits[i])
        for p in range(len(points)):
            o = targets.objects[p]
            if o < 0:
                continue
            weight = targets.weights[p]
            wanted[p] = weight * smoothing / 2
            wanted[p, classes[i][o]] = weight * (1 - smoothing / 2)
            unit = 1 if in_pixels else strides[p]
            box_sum += weight * box_loss(predicted[p] / unit, boxes[i][o] / unit)
            x1, y1, x2, y2 = boxes[i][o]
            true = np.array([points[p, 0] - x1, points[p, 1] - y1, x2 - points[p, 0], y2 - points[p, 1]]) / strides[p]
            for side in range(4):
                distance = min(max(true[side], 0.0), BINS - 1 - 0.01)
                low = int(distance)
                part = distance - low
                entropy = -(1 - part) * np.log(probability[p, side, low]) - part * np.log(probability[p, side, low + 1])
                dfl_sum += weight * entropy / 4
        probability = sigmoid(logits[i])
        entropy_of_class = -(cls_pw * wanted * np.log(probability) + (1 - wanted) * np.log(1 - probability))
        if gamma > 0:
            correct = wanted * probability + (1 - wanted) * (1 - probability)
            entropy_of_class *= (wanted * 0.25 + (1 - wanted) * 0.75) * (1 - correct) ** gamma
        if factor is not None:
            pairs = zip(probability.ravel(), wanted.ravel(), strict=True)
            entropy_of_class *= np.array([factor(p, t) for p, t in pairs]).reshape(wanted.shape)
        if class_weights is not None:
            for p in range(len(points)):
                if targets.objects[p] >= 0:
                    entropy_of_class[p] *= class_weights[classes[i][targets.objects[p]]]
        cls_sum += entropy_of_class.sum()
    total = max(total, 1.0)
    parts = np.array([box_sum / total * gains[0], cls_sum / total * gains[1], dfl_sum / total * gains[2]])
    return np.asarray(parts * len(distances))
