"""The loss of task-aligned points in a pass forward and a pass backward: twin of `lehr.losses.task_aligned`.

Cross-entropy with its factors, CIoU and distribution focal loss of all points. Forward reads the class logits of all
points and the distances of those that answer for an object, and writes sums of blocks of points, which one program sums
in a fixed order. Backward recomputes the same and writes both gradients in the dtypes of their inputs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

from lehr.kernels.assign import Assigned, assigned, decoded, expected_distance, side_logits, target_score
from lehr.kernels.geometry import ciou, ciou_gradient
from lehr.kernels.scores import score_loss, score_slope


@dataclass(frozen=True, slots=True)
class Settings:
    """Settings of the loss.

    Attributes:
        gains: of box, class and dfl.
        topk: most points that an object takes.
        alpha: exponent of the score in the alignment.
        beta: exponent of the overlap.
        least_side: shortest side of the box in which candidates are looked for, pixels.
        smoothing: label smoothing, 0 to 1.
        positive_weight: weight of the positive term of the class loss.
        factor: kind and two numbers of its modulating factor, as `lehr.kernels.scores` has them.
    """

    gains: tuple[float, float, float]
    topk: int
    alpha: float
    beta: float
    least_side: float
    smoothing: float
    positive_weight: float
    factor: tuple[str, float, float]


@triton.jit
def _points(owners, metrics, state, classes, class_weights, row, here, rows, anchors, objects, WEIGHED: tl.constexpr):
    """Object of points (its place among all), whether there is one, target score, class, factor of the class loss."""
    owner = tl.load(owners + row, mask=here, other=-1).to(tl.int64)
    positive = owner >= 0
    gt = (row // anchors) * objects + tl.where(positive, owner, 0)
    weight = target_score(tl.load(metrics + row, mask=here, other=0.0), gt, state, rows, positive)
    class_id = tl.maximum(tl.load(classes + gt, mask=positive, other=0), 0)
    factor = weight * 0 + 1
    if WEIGHED:
        factor = tl.load(class_weights + class_id, mask=positive, other=1.0)
    return gt, positive, weight, class_id, factor


@triton.jit
def _class_logits(logits, row, here, first, NAMES: tl.constexpr, COLUMNS: tl.constexpr):
    """Class logits (n, COLUMNS) from a column on, their columns, places, and which of them exist."""
    column = first + tl.arange(0, COLUMNS)
    exists = here[:, None] & (column < NAMES)[None, :]
    place = row[:, None] * NAMES + column[None, :]
    return tl.load(logits + place, mask=exists, other=0.0).to(tl.float32), column, place, exists


@triton.jit
def _target(column, class_id, weight, SMOOTHING: tl.constexpr):
    """Targets (n, COLUMNS) of class scores."""
    target = tl.where(column[None, :] == class_id[:, None], weight[:, None], 0.0)
    if SMOOTHING > 0:
        target = target * (1 - SMOOTHING) + weight[:, None] * (SMOOTHING / 2)
    return target


@triton.jit
def _centre_and_box(points, strides, boxes, gt, row, here, positive, anchors):
    """Anchor points and their objects' boxes, all in strides."""
    point = row % anchors
    stride = tl.load(strides + point, mask=here, other=1.0)
    x = tl.load(points + 2 * point, mask=here, other=0.0) / stride
    y = tl.load(points + 2 * point + 1, mask=here, other=0.0) / stride
    x1 = tl.load(boxes + gt * 4, mask=positive, other=0.0) / stride
    y1 = tl.load(boxes + gt * 4 + 1, mask=positive, other=0.0) / stride
    x2 = tl.load(boxes + gt * 4 + 2, mask=positive, other=0.0) / stride
    y2 = tl.load(boxes + gt * 4 + 3, mask=positive, other=0.0) / stride
    return x, y, x1, y1, x2, y2


@triton.jit
def _share(distance):
    """Shares (n, 16) of the bins at true distances in strides, by nearness: two of them above 0."""
    within = tl.minimum(tl.maximum(distance, 0.0), 14.99)
    return tl.maximum(1 - tl.abs(tl.arange(0, 16).to(tl.float32)[None, :] - within[:, None]), 0.0)


@triton.jit
def _side_loss(distances, row, side, positive, true_distance):
    """Expected distance and distribution focal loss of a side, (n,) each."""
    logits = side_logits(distances, row, side, positive)
    _, expected, normalizer = expected_distance(logits)
    return expected, tl.sum(_share(true_distance) * (normalizer[:, None] - logits), 1)


@triton.jit
def _forward(
    distances, logits, points, strides, boxes, classes, class_weights, owners, metrics, state, partial,
    rows, anchors, objects, positive_weight,
    SMOOTHING: tl.constexpr, WEIGHED: tl.constexpr, NAMES: tl.constexpr,
    KIND: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr, UNROLL: tl.constexpr,
):  # fmt: skip
    block = tl.program_id(0)
    row = block.to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = row < rows
    gt, positive, weight, class_id, factor = _points(
        owners, metrics, state, classes, class_weights, row, here, rows, anchors, objects, WEIGHED
    )
    of_class = tl.zeros([BLOCK, COLUMNS], tl.float32)
    for first in tl.range(0, NAMES, COLUMNS, loop_unroll_factor=UNROLL):
        logit, column, _, exists = _class_logits(logits, row, here, first, NAMES, COLUMNS)
        target = _target(column, class_id, weight, SMOOTHING)
        loss = score_loss(logit, target, positive_weight, KIND, FIRST, SECOND)
        of_class += tl.where(exists, loss, 0.0)
    tl.store(partial + block * 4 + 1, tl.sum(tl.sum(of_class, 1) * factor, 0))
    tl.store(partial + block * 4 + 3, tl.sum(weight, 0))
    of_box, of_distance = 0.0, 0.0
    if tl.max(positive.to(tl.int32), 0) > 0:
        x, y, x1, y1, x2, y2 = _centre_and_box(points, strides, boxes, gt, row, here, positive, anchors)
        left, loss_left = _side_loss(distances, row, 0, positive, x - x1)
        top, loss_top = _side_loss(distances, row, 1, positive, y - y1)
        right, loss_right = _side_loss(distances, row, 2, positive, x2 - x)
        bottom, loss_bottom = _side_loss(distances, row, 3, positive, y2 - y)
        overlap = ciou(x - left, y - top, x + right, y + bottom, x1, y1, x2, y2)
        of_sides = (loss_left + loss_top + loss_right + loss_bottom) / 4
        of_box = tl.sum(tl.where(positive, (1 - overlap) * weight, 0.0), 0)
        of_distance = tl.sum(tl.where(positive, of_sides * weight, 0.0), 0)
    tl.store(partial + block * 4, of_box)
    tl.store(partial + block * 4 + 2, of_distance)


@triton.jit
def _total(partial, sums, count, blocks, box_gain, class_gain, dfl_gain, BLOCK: tl.constexpr):
    column = tl.arange(0, 4)
    total = tl.zeros([BLOCK, 4], tl.float32)
    for first in range(0, blocks, BLOCK):
        row = first + tl.arange(0, BLOCK)
        total += tl.load(partial + row[:, None] * 4 + column[None, :], mask=(row < blocks)[:, None], other=0.0)
    gain = tl.where(column == 0, box_gain, tl.where(column == 1, class_gain, tl.where(column == 2, dfl_gain, 1.0)))
    found = tl.sum(total, 0) * gain
    tl.store(sums + column, found, mask=column < 3)
    tl.store(count + column - 3, found, mask=column == 3)


@triton.jit
def _side(distances, row, side, positive):
    """Probabilities of a side's bins and their expected distance."""
    probability, expected, _ = expected_distance(side_logits(distances, row, side, positive))
    return probability, expected


@triton.jit
def _store_side(gradient, row, side, here, positive, weight, true_distance, probability, expected, of_expected, of_dfl):
    """Write the gradient of a side's logits: of the box by way of the expected distance, and of the distribution."""
    bins = tl.arange(0, 16)
    by_box = of_expected[:, None] * probability * (bins.to(tl.float32)[None, :] - expected[:, None])
    by_share = (of_dfl * weight)[:, None] * (probability - _share(true_distance))
    found = tl.where(positive[:, None], by_box + by_share, 0.0)
    place = row[:, None] * 64 + side * 16 + bins[None, :]
    tl.store(gradient + place, found.to(gradient.dtype.element_ty), mask=here[:, None])


@triton.jit
def _backward(
    distances, logits, points, strides, boxes, classes, class_weights, owners, metrics, state, upstream,
    of_distances, of_logits,
    rows, anchors, objects, positive_weight, box_gain, class_gain, dfl_gain,
    SMOOTHING: tl.constexpr, WEIGHED: tl.constexpr, NAMES: tl.constexpr,
    KIND: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr,
    BLOCK: tl.constexpr, COLUMNS: tl.constexpr, UNROLL: tl.constexpr,
):  # fmt: skip
    row = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    here = row < rows
    gt, positive, weight, class_id, factor = _points(
        owners, metrics, state, classes, class_weights, row, here, rows, anchors, objects, WEIGHED
    )
    of_class = tl.load(upstream + 1) * class_gain
    for first in tl.range(0, NAMES, COLUMNS, loop_unroll_factor=UNROLL):
        logit, column, place, exists = _class_logits(logits, row, here, first, NAMES, COLUMNS)
        target = _target(column, class_id, weight, SMOOTHING)
        found = score_slope(logit, target, positive_weight, KIND, FIRST, SECOND) * (factor * of_class)[:, None]
        tl.store(of_logits + place, found.to(of_logits.dtype.element_ty), mask=exists)
    if tl.max(positive.to(tl.int32), 0) > 0:
        of_box, of_dfl = tl.load(upstream) * box_gain, tl.load(upstream + 2) * dfl_gain / 4
        x, y, x1, y1, x2, y2 = _centre_and_box(points, strides, boxes, gt, row, here, positive, anchors)
        bins_l, left = _side(distances, row, 0, positive)
        bins_t, top = _side(distances, row, 1, positive)
        bins_r, right = _side(distances, row, 2, positive)
        bins_b, bottom = _side(distances, row, 3, positive)
        to_l, to_t, to_r, to_b = ciou_gradient(x - left, y - top, x + right, y + bottom, x1, y1, x2, y2)
        scale = weight * of_box  # of 1 - CIoU; left and top grow against their distances
        _store_side(
            of_distances, row, 0, here, positive, weight, x - x1, bins_l, left, scale * to_l, of_dfl
        )  # fmt: skip
        _store_side(
            of_distances, row, 1, here, positive, weight, y - y1, bins_t, top, scale * to_t, of_dfl
        )  # fmt: skip
        _store_side(
            of_distances, row, 2, here, positive, weight, x2 - x, bins_r, right, -scale * to_r, of_dfl
        )  # fmt: skip
        _store_side(
            of_distances, row, 3, here, positive, weight, y2 - y, bins_b, bottom, -scale * to_b, of_dfl
        )  # fmt: skip
    else:
        whole_rows = row[:, None] * 64 + tl.arange(0, 64)[None, :]
        nothing = tl.zeros([BLOCK, 64], of_distances.dtype.element_ty)
        tl.store(of_distances + whole_rows, nothing, mask=here[:, None])


def _tile(names: int) -> dict[str, int]:
    """Points and classes that a program handles at once, by how many warps, and how far its loop is unrolled."""
    columns = min(triton.next_power_of_2(names), 16)
    turns = triton.cdiv(names, columns)
    return {
        "NAMES": names,
        "BLOCK": 32,
        "COLUMNS": columns,
        "UNROLL": turns if turns <= 8 else 4,
        "num_warps": 4 if columns == 16 else 2,
    }


class _LossSums(torch.autograd.Function):
    """Sums of the parts, and of the target scores, of assigned points."""

    @staticmethod
    def forward(
        ctx: Any,
        distances: Tensor,
        logits: Tensor,
        points: Tensor,
        strides: Tensor,
        boxes: Tensor,
        classes: Tensor,
        class_weights: Tensor | None,
        found: Assigned,
        settings: Settings,
    ) -> tuple[Tensor, Tensor]:
        batch, anchors, names = logits.shape
        rows, tile = batch * anchors, _tile(names)
        blocks = triton.cdiv(rows, tile["BLOCK"])
        partial = torch.empty((blocks, 4), dtype=torch.float32, device=logits.device)
        sums = torch.empty(3, dtype=torch.float32, device=logits.device)
        count = torch.empty(1, dtype=torch.float32, device=logits.device)
        weights = boxes if class_weights is None else class_weights  # any pointer if there are none
        tensors = (distances, logits, points, strides, boxes, classes, weights, *found)
        numbers = (rows, anchors, boxes.shape[1], settings.positive_weight)
        factor = dict(zip(("KIND", "FIRST", "SECOND"), settings.factor, strict=True))
        constants = {"SMOOTHING": settings.smoothing, "WEIGHED": class_weights is not None, **factor, **tile}
        with torch.cuda.device_of(logits):
            _forward[(blocks,)](*tensors, partial, *numbers, **constants)
            _total[(1,)](partial, sums, count, blocks, *settings.gains, BLOCK=2048, num_warps=16)
        ctx.save_for_backward(*tensors)
        ctx.numbers, ctx.constants, ctx.blocks = (*numbers, *settings.gains), constants, blocks
        ctx.mark_non_differentiable(count)
        return sums, count

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, upstream: Tensor, _: Tensor) -> tuple[Tensor | None, ...]:
        distances, logits = ctx.saved_tensors[:2]
        of_distances, of_logits = torch.empty_like(distances), torch.empty_like(logits)
        with torch.cuda.device_of(logits):
            _backward[(ctx.blocks,)](
                *ctx.saved_tensors, upstream.contiguous(), of_distances, of_logits, *ctx.numbers, **ctx.constants
            )
        return of_distances, of_logits, None, None, None, None, None, None, None


def loss_sums(
    distances: Tensor,
    logits: Tensor,
    points: Tensor,
    strides: Tensor,
    boxes: Tensor,
    classes: Tensor,
    class_weights: Tensor | None,
    settings: Settings,
) -> tuple[Tensor, Tensor]:
    """Assign points to objects and compute the sums of the loss.

    Args:
        distances: (batch, anchors, 64) logits of the sides' distances, float32, float16 or bfloat16.
        logits: (batch, anchors, classes) class logits, likewise.
        points: float32 (anchors, 2), pixels.
        strides: float32 (anchors, 1), pixels.
        boxes: float32 (batch, objects, 4) xyxy, pixels; 1 object or more.
        classes: int64 (batch, objects); -1 for padding.
        class_weights: float32 (classes,), or None.
        settings: gains and exponents.

    Returns:
        (3,) box, class and dfl, each times its gain, with their graph; and (1,) the target scores.
    """
    distances, logits, boxes, classes = (t.contiguous() for t in (distances, logits, boxes, classes))
    found = assigned(
        logits, decoded(distances, points, strides), points, boxes, classes,
        topk=settings.topk, alpha=settings.alpha, beta=settings.beta, least_side=settings.least_side, logits=True,
    )  # fmt: skip
    sums: tuple[Tensor, Tensor] = _LossSums.apply(
        distances, logits, points, strides, boxes, classes, class_weights, found, settings
    )
    return sums
