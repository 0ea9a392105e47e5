"""The loss of YOLOv8: class scores, boxes and distance distributions of task-aligned anchor points.

- class: binary cross-entropy of every score against the assigned target score.
- box: `1 - CIoU` of the points that answer for an object (Zheng et al., 2020).
- dfl: cross-entropy of the two bins around the true distance, weighted by nearness (Distribution Focal Loss; Li et
  al., "Generalized Focal Loss", 2020).

Each is weighted by the target score and divided by the sum of all target scores of the batch.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lehr.losses.assign import assign
from lehr.losses.iou import ciou
from lehr.models.yolov8 import BINS, Prediction, boxes_from_distances, expected_distances

PARTS = ("box", "cls", "dfl")


@dataclass(frozen=True, slots=True)
class Gains:
    """Weights of the parts of the loss.

    Attributes:
        box: of the boxes.
        cls: of the classes.
        dfl: of the distance distributions.
    """

    box: float = 7.5
    cls: float = 0.5
    dfl: float = 1.5


def distribution_focal_loss(logits: Tensor, distances: Tensor) -> Tensor:
    """Cross-entropy of the two bins around a distance, each weighted by its nearness.

    Args:
        logits: (n, 4, BINS).
        distances: (n, 4), in strides, 0 to BINS - 1.01.

    Returns:
        (n,), the mean over the four sides.
    """
    low = distances.floor()
    above = distances - low
    log_probability = logits.log_softmax(-1)
    index = low.long().unsqueeze(-1)
    at_low = log_probability.gather(-1, index).squeeze(-1)
    at_high = log_probability.gather(-1, index + 1).squeeze(-1)
    return -(at_low * (1 - above) + at_high * above).mean(-1)


def task_aligned_loss(
    prediction: Prediction, boxes: Tensor, classes: Tensor, gains: Gains, least_side: float = 0.0
) -> Tensor:
    """The loss of a batch, part by part.

    Args:
        prediction: the head's output.
        boxes: (batch, objects, 4) xyxy in pixels.
        classes: (batch, objects); -1 for padding.
        gains: weights of the parts.
        least_side: shortest side of the box in which an object finds its candidate points, pixels.

    Returns:
        (3,) box, cls and dfl, each times its gain and times the batch size; their sum is what is minimized.
    """
    distance_logits, class_logits = prediction.distances.float(), prediction.logits.float()
    points, strides = prediction.points, prediction.strides
    predicted = boxes_from_distances(expected_distances(distance_logits), points, strides)
    assignment = assign(
        class_logits.detach().sigmoid(), predicted.detach(), points, boxes, classes, least_side=least_side
    )
    weights = assignment.weights
    total = weights.sum().clamp(min=1)

    if boxes.shape[1] == 0:
        cls = F.binary_cross_entropy_with_logits(class_logits, torch.zeros_like(class_logits), reduction="sum")
        nothing = distance_logits.sum() * 0
        parts = torch.stack((nothing, cls * gains.cls, nothing))
        return parts * len(class_logits)

    own_class = classes.clamp(min=0).gather(1, assignment.objects)
    targets = torch.zeros_like(class_logits).scatter_(2, own_class.unsqueeze(-1), weights.unsqueeze(-1))
    cls = F.binary_cross_entropy_with_logits(class_logits, targets, reduction="sum") / total

    own_boxes = boxes.gather(1, assignment.objects.unsqueeze(-1).expand(-1, -1, 4))
    box, dfl = _regression(predicted, distance_logits, own_boxes, points, strides, assignment.positive, weights)
    parts = torch.stack((box / total * gains.box, cls * gains.cls, dfl / total * gains.dfl))
    return parts * len(class_logits)


def _regression(
    predicted: Tensor,
    distance_logits: Tensor,
    own_boxes: Tensor,
    points: Tensor,
    strides: Tensor,
    positive: Tensor,
    weights: Tensor,
) -> tuple[Tensor, Tensor]:
    """Weighted sums of the box and dfl losses over the positive points.

    On a CPU the positive points are picked out; elsewhere all points are computed and the others weigh nothing, so
    that no shape depends on the data.
    """
    true_distances = torch.cat((points - own_boxes[..., :2], own_boxes[..., 2:] - points), -1) / strides
    true_distances = true_distances.clamp(0, BINS - 1 - 0.01)
    logits = distance_logits.view(*distance_logits.shape[:-1], 4, BINS)
    if predicted.device.type == "cpu":
        predicted, own_boxes, weights = predicted[positive], own_boxes[positive], weights[positive]
        logits, true_distances = logits[positive], true_distances[positive]
        strides = strides.expand(*positive.shape, 1)[positive]
    else:
        # Points without an object compare their box with itself: a finite value that weighs nothing.
        own_boxes = torch.where(positive.unsqueeze(-1), own_boxes, predicted.detach())
    box = (1 - ciou(predicted / strides, own_boxes / strides)) * weights
    dfl = distribution_focal_loss(logits.flatten(0, -3), true_distances.flatten(0, -2)) * weights.flatten()
    return box.sum(), dfl.sum()
