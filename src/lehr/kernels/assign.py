"""Task-aligned assignment without a value for each pair: the twin of `lehr.losses.task_aligned_assigner.assign`.

1. `_candidates`, a warp per object: visits the blocks of anchor points that its box reaches, measures those inside,
keeps
   its best in registers and claims them. Each pair that overlaps also bids for its point.
2. `_resolve`, a program per block of points: the one claimant, or of several the highest bidder, is the point's object.
   The largest metric and overlap of each object are collected.
3. `_targets` writes the fields of an.

Claims are counted, and bids and maxima taken, by atomic operations on integers whose order changes nothing: the bits of
non-negative floats are ordered like the floats. Of equal bids the lowest object wins, as `argmax` has it; of equal
metrics the lowest point, an order that `torch.topk` does not promise.

A non-finite box has weight NaN, so that the loss is not finite either.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import triton
import triton.language as tl
from torch import Tensor

from lehr.kernels.geometry import ciou, power

POINTS = 128
"""Anchor points that a warp measures at once."""


class Assigned(NamedTuple):
    """Points and what they answer for.

    Attributes:
        owners: int32 (batch, anchors), the object in the image; -1 if none.
        metrics: float32 (batch, anchors), 0 if none.
        state: int64, bids and claims of all points, then the bits of the largest metric and overlap of all objects.
    """

    owners: Tensor
    metrics: Tensor
    state: Tensor


@triton.jit
def _bits(x):
    """Bits of non-negative floats, which are ordered like the floats."""
    return x.to(tl.int32, bitcast=True)


@triton.jit
def _corner(boxes, row, side, rows, mask, PLANAR: tl.constexpr):
    """A side of boxes, (4, rows) or (rows, 4)."""
    return tl.load(boxes + (side * rows + row if PLANAR else row * 4 + side), mask=mask, other=0.0)


@triton.jit
def _score(scores, row, class_id, names, mask, LOGITS: tl.constexpr):
    """Probability of a class at points."""
    score = tl.load(scores + row * names + class_id, mask=mask, other=0.0).to(tl.float32)
    if LOGITS:
        score = 1.0 / (1.0 + tl.exp(-score))
    return score


@triton.jit
def _bounds(points, bounds, anchors, COUNT: tl.constexpr, BLOCK: tl.constexpr):
    """Left, top, right and bottom of each block of points, (4, COUNT)."""
    block = tl.program_id(0)
    index = block * BLOCK + tl.arange(0, BLOCK)
    here = index < anchors
    for axis in tl.static_range(2):
        smallest = tl.min(tl.load(points + 2 * index + axis, mask=here, other=float("inf")), 0)
        largest = tl.max(tl.load(points + 2 * index + axis, mask=here, other=float("-inf")), 0)
        tl.store(bounds + axis * COUNT + block, smallest)
        tl.store(bounds + (axis + 2) * COUNT + block, largest)


@triton.jit
def _candidates(
    scores, predicted, points, bounds, boxes, classes, state,
    rows, anchors, objects, names, least_side,
    TOPK: tl.constexpr, SLOTS: tl.constexpr, ALPHA: tl.constexpr, BETA: tl.constexpr,
    LOGITS: tl.constexpr, PLANAR: tl.constexpr, COUNT: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    gt = tl.program_id(0)
    class_id = tl.load(classes + gt)
    if class_id >= 0:
        image = gt // objects
        number = gt - image * objects
        first = image.to(tl.int64) * anchors
        x1, y1 = tl.load(boxes + gt * 4), tl.load(boxes + gt * 4 + 1)
        x2, y2 = tl.load(boxes + gt * 4 + 2), tl.load(boxes + gt * 4 + 3)
        missing_w = tl.maximum(least_side - (x2 - x1), 0.0) / 2
        missing_h = tl.maximum(least_side - (y2 - y1), 0.0) / 2
        left, right = x1 - missing_w + 1e-9, x2 + missing_w - 1e-9
        top, bottom = y1 - missing_h + 1e-9, y2 + missing_h - 1e-9
        # The best points: bits of the metric and index of each. Unused slots are never the worst.
        slots = tl.arange(0, SLOTS)
        bests, places = tl.where(slots < TOPK, 0, 2147483647), -1 - slots
        worst = tl.min(bests, 0)
        blocks = tl.arange(0, COUNT)
        reached = (tl.load(bounds + blocks) < right) & (tl.load(bounds + 2 * COUNT + blocks) > left)
        reached &= (tl.load(bounds + COUNT + blocks) < bottom) & (tl.load(bounds + 3 * COUNT + blocks) > top)
        ahead = tl.where(reached, blocks, COUNT)
        block = tl.min(ahead, 0)
        while block < COUNT:
            index = block * BLOCK + tl.arange(0, BLOCK)
            x = tl.load(points + 2 * index, mask=index < anchors, other=float("nan"))
            y = tl.load(points + 2 * index + 1, mask=index < anchors, other=float("nan"))
            inside = (x > left) & (x < right) & (y > top) & (y < bottom)
            row = first + index
            overlap = ciou(
                x1, y1, x2, y2,
                _corner(predicted, row, 0, rows, inside, PLANAR), _corner(predicted, row, 1, rows, inside, PLANAR),
                _corner(predicted, row, 2, rows, inside, PLANAR), _corner(predicted, row, 3, rows, inside, PLANAR),
            )  # fmt: skip
            overlap = tl.where(inside & (overlap > 0), overlap, 0.0)
            metric = power(_score(scores, row, class_id, names, inside, LOGITS), ALPHA) * power(overlap, BETA)
            bid = (_bits(overlap).to(tl.int64) << 32) | (2147483647 - number)
            tl.atomic_max(state + row, bid, mask=overlap > 0, sem="relaxed")
            bits = _bits(tl.where((metric > 0) & (overlap > 0), metric, 0.0))
            highest = tl.max(bits, 0)
            while highest > worst:
                place = tl.min(tl.where(bits == highest, index, 2147483647), 0)
                loser = tl.max(tl.where(bests == worst, places, -2147483648), 0)
                replaced = (bests == worst) & (places == loser)
                bests, places = tl.where(replaced, highest, bests), tl.where(replaced, place, places)
                bits = tl.where(index == place, 0, bits)
                highest, worst = tl.max(bits, 0), tl.min(bests, 0)
            ahead = tl.where(blocks == block, COUNT, ahead)
            block = tl.min(ahead, 0)
        claim = tl.zeros([SLOTS], tl.int64) + 4294967296 + number
        tl.atomic_add(state + rows + first + places, claim, mask=places >= 0, sem="relaxed")


@triton.jit
def _resolve(
    scores, predicted, boxes, classes, state, owners, metrics,
    rows, anchors, objects, names,
    ALPHA: tl.constexpr, BETA: tl.constexpr, LOGITS: tl.constexpr, PLANAR: tl.constexpr, BLOCK: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = row < rows
    claim = tl.load(state + rows + row, mask=here, other=0)
    positive, contested = claim > 0, claim >= 8589934592
    bid = tl.load(state + row, mask=contested, other=0)
    owner = tl.where(contested, 2147483647 - (bid & 4294967295), claim & 4294967295)
    gt = (row // anchors) * objects + owner
    px1, py1 = _corner(predicted, row, 0, rows, here, PLANAR), _corner(predicted, row, 1, rows, here, PLANAR)
    px2, py2 = _corner(predicted, row, 2, rows, here, PLANAR), _corner(predicted, row, 3, rows, here, PLANAR)
    finite = (tl.abs(px1) + tl.abs(py1) + tl.abs(px2) + tl.abs(py2)) < float("inf")
    overlap = ciou(
        tl.load(boxes + gt * 4, mask=positive, other=0.0), tl.load(boxes + gt * 4 + 1, mask=positive, other=0.0),
        tl.load(boxes + gt * 4 + 2, mask=positive, other=0.0), tl.load(boxes + gt * 4 + 3, mask=positive, other=0.0),
        px1, py1, px2, py2,
    )  # fmt: skip
    overlap = tl.where(positive & (overlap > 0), overlap, 0.0)
    class_id = tl.load(classes + gt, mask=positive, other=0)
    metric = power(_score(scores, row, class_id, names, positive, LOGITS), ALPHA) * power(overlap, BETA)
    metric = tl.where(overlap > 0, metric, 0.0)
    largest = state + 2 * rows + 2 * gt
    tl.atomic_max(largest, _bits(metric).to(tl.int64), mask=metric > 0, sem="relaxed")
    tl.atomic_max(largest + 1, _bits(overlap).to(tl.int64), mask=overlap > 0, sem="relaxed")
    tl.store(owners + row, tl.where(positive, owner, -1).to(tl.int32), mask=here)
    tl.store(metrics + row, tl.where(finite, metric, float("nan")), mask=here)


@triton.jit
def target_score(metric, gt, state, rows, positive):
    """Metric of points, scaled so that their object's best one gets its largest overlap; unchanged for others."""
    largest_metric = tl.load(state + 2 * rows + 2 * gt, mask=positive, other=0).to(tl.int32)
    largest_overlap = tl.load(state + 2 * rows + 2 * gt + 1, mask=positive, other=0).to(tl.int32)
    scale = largest_overlap.to(tl.float32, bitcast=True) / (largest_metric.to(tl.float32, bitcast=True) + 1e-9)
    return tl.where(positive, metric * scale, metric)


@triton.jit
def _targets(owners, metrics, state, objects_of, positives, weights, rows, anchors, objects, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = row < rows
    owner = tl.load(owners + row, mask=here, other=-1).to(tl.int64)
    positive = owner >= 0
    metric = tl.load(metrics + row, mask=here, other=0.0)
    weight = target_score(metric, (row // anchors) * objects + owner, state, rows, positive)
    tl.store(objects_of + row, tl.where(positive, owner, 0), mask=here)
    tl.store(positives + row, positive, mask=here)
    tl.store(weights + row, weight, mask=here)


@triton.jit
def expected_distance(logits):
    """Softmax of 16 bins (n, 16), its expectation (n,) and the logarithm of its denominator (n,)."""
    largest = tl.max(logits, 1)
    unscaled = tl.exp(logits - largest[:, None])
    total = tl.sum(unscaled, 1)
    scale = 1.0 / total
    bins = tl.arange(0, 16).to(tl.float32)
    return unscaled * scale[:, None], tl.sum(unscaled * bins[None, :], 1) * scale, largest + tl.log(total)


@triton.jit
def side_logits(distances, row, side, mask):
    """Logits of a side's 16 bins, (n, 16) of distances (rows, 64)."""
    place = row[:, None] * 64 + side * 16 + tl.arange(0, 16)[None, :]
    return tl.load(distances + place, mask=mask[:, None], other=0.0).to(tl.float32)


@triton.jit
def _decode(distances, points, strides, boxes, rows, anchors, BLOCK: tl.constexpr):
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = row < rows
    point = row % anchors
    stride = tl.load(strides + point, mask=here, other=1.0)
    x, y = tl.load(points + 2 * point, mask=here, other=0.0), tl.load(points + 2 * point + 1, mask=here, other=0.0)
    for side in tl.static_range(4):
        distance = expected_distance(side_logits(distances, row, side, here))[1] * stride
        centre = y if side % 2 else x
        tl.store(boxes + side * rows + row, centre + distance if side > 1 else centre - distance, mask=here)


def decoded(distances: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Decode boxes from distributions of distances.

    Args:
        distances: (batch, anchors, 64) logits, in a row.
        points: float32 (anchors, 2), pixels.
        strides: float32 (anchors, 1), pixels.

    Returns:
        float32 (4, batch, anchors): left, top, right and bottom, pixels.
    """
    batch, anchors, _ = distances.shape
    boxes = torch.empty((4, batch, anchors), dtype=torch.float32, device=distances.device)
    rows = batch * anchors
    with torch.cuda.device_of(distances):
        _decode[(triton.cdiv(rows, 64),)](distances, points, strides, boxes, rows, anchors, BLOCK=64)
    return boxes


def assigned(
    scores: Tensor,
    predicted: Tensor,
    points: Tensor,
    boxes: Tensor,
    classes: Tensor,
    *,
    topk: int,
    alpha: float,
    beta: float,
    least_side: float,
    logits: bool,
) -> Assigned:
    """Assign anchor points to objects; all tensors contiguous.

    Args:
        scores: (batch, anchors, classes) probabilities, or their logits.
        predicted: float32 (batch, anchors, 4) xyxy in pixels, or (4, batch, anchors) as `decoded` gives them.
        points: float32 (anchors, 2), pixels.
        boxes: float32 (batch, objects, 4) xyxy, pixels; 1 to 32,768 objects, so that no sum of claims
            overflows.
        classes: int64 (batch, objects); -1 for padding.
        topk: most points that an object takes, 1 to 64, which are kept in registers.
        alpha: exponent of the score.
        beta: exponent of the overlap.
        least_side: shortest side of the box in which candidates are looked for, pixels.
        logits: whether the scores are logits.
    """
    batch, anchors, names = scores.shape
    objects, rows = boxes.shape[1], batch * anchors
    planar = predicted.shape != (batch, anchors, 4)
    state = torch.zeros(2 * (rows + batch * objects), dtype=torch.int64, device=scores.device)
    count = triton.next_power_of_2(triton.cdiv(anchors, POINTS))
    bounds = torch.empty((4, count), dtype=torch.float32, device=scores.device)
    owners = torch.empty((batch, anchors), dtype=torch.int32, device=scores.device)
    metrics = torch.empty((batch, anchors), dtype=torch.float32, device=scores.device)
    shared = {"ALPHA": float(alpha), "BETA": float(beta), "LOGITS": logits, "PLANAR": planar}
    with torch.cuda.device_of(scores):
        _bounds[(count,)](points, bounds, anchors, COUNT=count, BLOCK=POINTS)
        _candidates[(batch * objects,)](
            scores, predicted, points, bounds, boxes, classes, state,
            rows, anchors, objects, names, float(least_side),
            TOPK=topk, SLOTS=max(32, triton.next_power_of_2(topk)), COUNT=count, BLOCK=POINTS, num_warps=1, **shared,
        )  # fmt: skip
        _resolve[(triton.cdiv(rows, 256),)](
            scores, predicted, boxes, classes, state, owners, metrics, rows, anchors, objects, names,
            BLOCK=256, **shared,
        )  # fmt: skip
    return Assigned(owners, metrics, state)


def assignment(
    scores: Tensor,
    predicted: Tensor,
    points: Tensor,
    boxes: Tensor,
    classes: Tensor,
    *,
    topk: int,
    alpha: float,
    beta: float,
    least_side: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Compute objects, positive and weights of an `Assignment`; arguments as of `assigned`, with probabilities."""
    found = assigned(
        scores, predicted, points, boxes, classes,
        topk=topk, alpha=alpha, beta=beta, least_side=least_side, logits=False,
    )  # fmt: skip
    rows, anchors = found.owners.numel(), found.owners.shape[1]
    objects = torch.empty_like(found.owners, dtype=torch.int64)
    positive, weights = torch.empty_like(found.owners, dtype=torch.bool), torch.empty_like(found.metrics)
    with torch.cuda.device_of(scores):
        _targets[(triton.cdiv(rows, 256),)](
            *found, objects, positive, weights, rows, anchors, boxes.shape[1], BLOCK=256
        )
    return objects, positive, weights
