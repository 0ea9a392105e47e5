"""Task-aligned assignment: which anchor points answer for which object, and how strongly.

Method (Feng et al., "TOOD: Task-aligned One-stage Object Detection", 2021, there with alpha 1, beta 6, 13 points;
the defaults here are YOLOv8's):

1. An anchor point is a candidate of an object when it is strictly inside the object's box. Sides shorter than
   `least_side` are extended to it here, so that an object smaller than a cell has candidates too.
2. Each candidate is measured by `score^alpha * IoU^beta`: the probability it gives the object's class, and how well
   its predicted box covers the object (CIoU clamped at 0).
3. Each object takes its best `topk` candidates that overlap it at all; a point taken by several objects goes to the one
   it overlaps most.
4. The class target of a point is its metric, scaled so that an object's best point gets the object's largest IoU.

On a CPU, where reading the data is free, only the candidates are measured. Elsewhere shapes are fixed, so that nothing
waits for the host: on CUDA a kernel visits the points of each object, and without it every (object, point) pair is
measured, for as many images at once as `CHUNK` allows.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from lehr.kernels.support import usable
from lehr.losses.iou import ciou
from lehr.losses.loss import supports_dynamic_shapes
from lehr.technique import Run, Section, State, Switch, Technique

INSIDE_EPS = 1e-9
"""A point is inside a box when it is further than this from every side, pixels."""
CHUNK = 1 << 24
"""Maximum number of (object, point) pairs measured at once if all are: 64 MiB for each of about ten tensors."""
KERNEL_TOPK, KERNEL_OBJECTS = 64, 1 << 15
"""Most points that an object may take, and most objects that an image may hold, for the kernels."""


class Assignment(NamedTuple):
    """Targets of the anchor points.

    Attributes:
        objects: int64 (batch, anchors), the object in the image that the point answers for; 0 if none.
        positive: bool (batch, anchors), whether the point answers for an object.
        weights: float (batch, anchors), target score of the object's class, 0 to 1; 0 if none.
    """

    objects: Tensor
    positive: Tensor
    weights: Tensor


def inside(points: Tensor, boxes: Tensor) -> Tensor:
    """Mask of the points that lie strictly inside boxes.

    Args:
        points: (anchors, 2) x, y in pixels.
        boxes: (batch, objects, 4) xyxy in pixels.

    Returns:
        bool (batch, objects, anchors).
    """
    x, y = points[:, 0], points[:, 1]
    x1, y1, x2, y2 = (side.unsqueeze(-1) for side in boxes.unbind(-1))
    return (x > x1 + INSIDE_EPS) & (x < x2 - INSIDE_EPS) & (y > y1 + INSIDE_EPS) & (y < y2 - INSIDE_EPS)


def enlarged(boxes: Tensor, least_side: float) -> Tensor:
    """Boxes (..., 4) xyxy with sides of at least `least_side` pixels, about the same centre."""
    left_top, right_bottom = boxes[..., :2], boxes[..., 2:]
    missing = (least_side - (right_bottom - left_top)).clamp_(min=0) / 2
    return torch.cat((left_top - missing, right_bottom + missing), -1)


@torch.no_grad()
def assign(
    scores: Tensor,
    predicted: Tensor,
    points: Tensor,
    boxes: Tensor,
    classes: Tensor,
    *,
    topk: int = 10,
    alpha: float = 0.5,
    beta: float = 6.0,
    least_side: float = 0.0,
    eps: float = 1e-9,
) -> Assignment:
    """Assign anchor points to objects by task alignment.

    Args:
        scores: (batch, anchors, classes) predicted probabilities.
        predicted: (batch, anchors, 4) predicted boxes, xyxy in pixels.
        points: (anchors, 2) anchor points, pixels.
        boxes: (batch, objects, 4) the objects' boxes, xyxy in pixels.
        classes: (batch, objects) the objects' classes; -1 for padding.
        topk: most points that an object takes, 1 or more.
        alpha: exponent of the score, 0 or more.
        beta: exponent of the overlap, above 0: at 0 points that overlap nothing would count.
        least_side: shortest side of the box in which candidates are looked for, pixels; 0 leaves boxes unchanged.
        eps: guard of divisions.
    """
    batch, anchors, _ = scores.shape
    if boxes.shape[1] == 0:
        nothing = torch.zeros((batch, anchors), dtype=torch.int64, device=scores.device)
        return Assignment(nothing, nothing.bool(), torch.zeros_like(scores[..., 0]))
    if kernels_suit(scores, boxes, topk) and predicted.dtype == torch.float32:
        from lehr.kernels.assign import assignment

        tensors = (tensor.contiguous() for tensor in (scores, predicted, points, boxes, classes))
        return Assignment(*assignment(*tensors, topk=topk, alpha=alpha, beta=beta, least_side=least_side))
    parts = [
        _assign_all(points, *of_images, topk=min(topk, anchors), alpha=alpha, beta=beta, least_side=least_side, eps=eps)
        for of_images in _chunks((scores, predicted, boxes, classes), boxes.shape[1] * anchors)
    ]
    return parts[0] if len(parts) == 1 else Assignment(*(torch.cat(each) for each in zip(*parts, strict=True)))


def kernels_suit(scores: Tensor, boxes: Tensor, topk: int) -> bool:
    """Return whether kernels can assign points here.

    Args:
        scores: (batch, anchors, classes).
        boxes: (batch, objects, 4).
        topk: most points that an object takes.
    """
    half_or_single = scores.dtype in (torch.float32, torch.float16, torch.bfloat16) and boxes.dtype == torch.float32
    suits = half_or_single and topk <= KERNEL_TOPK and 0 < boxes.shape[1] <= KERNEL_OBJECTS
    return suits and usable(scores.device)


def _chunks(of_batch: tuple[Tensor, ...], pairs: int) -> list[tuple[Tensor, ...]]:
    """Split tensors of a batch into groups of as many images as their (object, point) pairs allow.

    One group on a CPU, which only measures candidates, and when compiled, which fuses the large intermediates.

    Args:
        of_batch: (batch, ...) each.
        pairs: of an image.
    """
    if supports_dynamic_shapes(of_batch[0].device) or torch.compiler.is_compiling():
        return [of_batch]
    images = max(1, CHUNK // pairs)
    starts = range(0, len(of_batch[0]), images)
    return [tuple(tensor[start : start + images] for tensor in of_batch) for start in starts]


def _assign_all(
    points: Tensor,
    scores: Tensor,
    predicted: Tensor,
    boxes: Tensor,
    classes: Tensor,
    *,
    topk: int,
    alpha: float,
    beta: float,
    least_side: float,
    eps: float,
) -> Assignment:
    """As `assign`, for all images at once."""
    candidate = inside(points, enlarged(boxes, least_side)) & (classes >= 0).unsqueeze(-1)
    measure, take = (
        (_measure_candidates, _take_picked) if supports_dynamic_shapes(scores.device) else (_measure_all, _take_dense)
    )
    overlap, metric = measure(scores, predicted, boxes, classes.clamp(min=0), candidate, alpha, beta)
    return take(overlap, metric, topk, eps)


def _take_dense(overlap: Tensor, metric: Tensor, topk: int, eps: float) -> Assignment:
    """Select each object's best points, and one object for each point, with fixed shapes.

    Args:
        overlap: (batch, objects, anchors), 0 if a point is not a candidate.
        metric: of the same shape.
        topk: most points that an object takes.
        eps: guard of divisions.
    """
    best = metric.topk(topk, dim=-1)
    taken = torch.zeros_like(metric, dtype=torch.bool).scatter_(-1, best.indices, True) & (metric > 0)
    # A point that several objects claim goes to the one it overlaps most, also among objects that did not claim it.
    rival = torch.zeros_like(taken).scatter_(1, overlap.argmax(1, keepdim=True), True)
    taken = torch.where(taken.sum(1, keepdim=True) > 1, rival, taken)

    metric = metric * taken
    largest_metric = metric.amax(-1, keepdim=True)
    largest_overlap = (overlap * taken).amax(-1, keepdim=True)
    weights = (metric * (largest_overlap / (largest_metric + eps))).amax(1)
    return Assignment(taken.to(torch.uint8).argmax(1), taken.any(1), weights)


def _take_picked(overlap: Tensor, metric: Tensor, topk: int, eps: float) -> Assignment:
    """The same as `_take_dense`, for claimed points only: the shapes depend on the data."""
    batch, objects, anchors = metric.shape
    best = metric.topk(topk, dim=-1)
    image, which, rank = (best.values > 0).nonzero(as_tuple=True)
    point = best.indices[image, which, rank]

    wanted = torch.zeros(batch, anchors, dtype=torch.int64, device=metric.device)
    wanted.index_put_((image, point), torch.ones_like(point), accumulate=True)
    owner = torch.zeros_like(wanted)
    owner[image, point] = which  # any of several: these are resolved next
    contested = (wanted > 1).nonzero(as_tuple=True)
    owner[contested] = overlap[contested[0], :, contested[1]].argmax(1)

    positive = wanted > 0
    image, point = positive.nonzero(as_tuple=True)
    which = owner[image, point]
    own_metric, own_overlap = metric[image, which, point], overlap[image, which, point]
    largest = torch.zeros(2, batch * objects, dtype=metric.dtype, device=metric.device)
    gt_index = image * objects + which
    largest[0].scatter_reduce_(0, gt_index, own_metric, "amax")
    largest[1].scatter_reduce_(0, gt_index, own_overlap, "amax")
    weights = (metric.sum() * 0).expand(batch, anchors).clone()  # zeros, unless a value is not finite
    weights[image, point] = own_metric * (largest[1] / (largest[0] + eps))[gt_index]
    return Assignment(owner, positive, weights)


def _measure_all(
    scores: Tensor, predicted: Tensor, boxes: Tensor, classes: Tensor, candidate: Tensor, alpha: float, beta: float
) -> tuple[Tensor, Tensor]:
    """Overlap and metric (batch, objects, anchors) of every pair; zero if a point is not a candidate."""
    index = classes.unsqueeze(1).expand(-1, scores.shape[1], -1)
    score = scores.gather(2, index).transpose(1, 2)
    overlap = ciou(boxes.unsqueeze(2), predicted.unsqueeze(1)).clamp_(min=0) * candidate
    return overlap, score.pow(alpha) * overlap.pow(beta)


def _measure_candidates(
    scores: Tensor, predicted: Tensor, boxes: Tensor, classes: Tensor, candidate: Tensor, alpha: float, beta: float
) -> tuple[Tensor, Tensor]:
    """The same as `_measure_all`, for candidates only: the shapes depend on the data."""
    image, which, point = candidate.nonzero(as_tuple=True)
    of_pair = ciou(boxes[image, which], predicted[image, point]).clamp_(min=0)
    score = scores[image, point, classes[image, which]]
    overlap = torch.zeros(candidate.shape, dtype=of_pair.dtype, device=of_pair.device)
    metric = torch.zeros_like(overlap)
    overlap[image, which, point] = of_pair
    metric[image, which, point] = score.pow(alpha) * of_pair.pow(beta)
    return overlap, metric


def _state(run: Run) -> State:
    loss = run.config.loss
    sides = f", sides of at least {loss.least_side:g}" if loss.least_side > 0 else ""
    alignment = f"score^{loss.tal_alpha:g} IoU^{loss.tal_beta:g}"
    return State(True, f"the {loss.tal_topk} best points of each object by {alignment}{sides}")


TECHNIQUE = Technique(
    name="task-aligned assignment",
    page="task-aligned-assignment",
    section=Section.LOSS,
    order=10,
    options=("least_side", "tal_topk", "tal_alpha", "tal_beta"),
    why="points that score and overlap well answer for the object",
    state=_state,
    switches=(
        Switch(
            "tood_alignment",
            {"tal_topk": 13, "tal_alpha": 1.0, "tal_beta": 6.0},
            {"tal_topk": 10, "tal_alpha": 0.5, "tal_beta": 6.0},
            one_of_several=True,
        ),
    ),
    suits=lambda family: "least_side" in family.options,
    family="a family without anchors, such as yolov8n",
)
