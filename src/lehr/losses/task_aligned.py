"""The loss of YOLOv8: class scores, boxes and distance distributions of task-aligned anchor points.

- class: binary cross-entropy of every score against the assigned target score, or a focal loss.
- box: `1 - CIoU` of the points that answer for an object (Zheng et al., 2020), or another of `box_losses.py`.
- dfl: cross-entropy of the two bins around the true distance, weighted by nearness (Distribution Focal Loss; Li et
  al., "Generalized Focal Loss", 2020).

Each is weighted by the target score and divided by the sum of all target scores of the batch.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from lehr.losses.bce import ModulatingFactor, binary_loss, modulating_factor
from lehr.losses.box_losses import BoxLoss
from lehr.losses.focal import FocalFactor
from lehr.losses.label_smoothing import smoothed
from lehr.losses.loss import Loss, supports_dynamic_shapes
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor
from lehr.losses.task_aligned_assigner import assign, kernels_suit
from lehr.models.dfl_head import BINS, DFLPrediction, boxes_from_distances, expected_distances
from lehr.options import LossOptions


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
    if not supports_dynamic_shapes(logits.device):  # no gather, whose backward sums sequentially
        bins = torch.arange(BINS, dtype=distances.dtype, device=distances.device)
        nearness = (1 - (bins - distances.unsqueeze(-1)).abs()).clamp(min=0)
        return -(log_probability * nearness).sum(-1).mean(-1)
    index = low.long().unsqueeze(-1)
    at_low = log_probability.gather(-1, index).squeeze(-1)
    at_high = log_probability.gather(-1, index + 1).squeeze(-1)
    return -(at_low * (1 - above) + at_high * above).mean(-1)


def _regression(
    distance_logits: Tensor,
    own_boxes: Tensor,
    points: Tensor,
    strides: Tensor,
    positive: Tensor,
    weights: Tensor,
    box_loss: BoxLoss,
) -> tuple[Tensor, Tensor]:
    """Weighted sums of the box and dfl losses over the positive points.

    On a CPU the positive points are selected; elsewhere all points are computed and the others have weight 0, so that
    no shape depends on the data.
    """
    if supports_dynamic_shapes(distance_logits.device):
        own_boxes, weights, distance_logits = own_boxes[positive], weights[positive], distance_logits[positive]
        anchor_index = positive.nonzero()[:, 1]
        points, strides = points[anchor_index], strides[anchor_index]
    predicted = boxes_from_distances(expected_distances(distance_logits), points, strides)
    true_distances = torch.cat((points - own_boxes[..., :2], own_boxes[..., 2:] - points), -1) / strides
    true_distances = true_distances.clamp(0, BINS - 1 - 0.01)
    logits = distance_logits.view(*distance_logits.shape[:-1], 4, BINS)
    if not supports_dynamic_shapes(distance_logits.device):
        # Points without an object compare their box with itself: a finite value of weight 0.
        own_boxes = torch.where(positive.unsqueeze(-1), own_boxes, predicted.detach())
    box = box_loss(predicted, own_boxes, strides) * weights
    dfl = distribution_focal_loss(logits.flatten(0, -3), true_distances.flatten(0, -2)) * weights.flatten()
    return box.sum(), dfl.sum()


def _factor_numbers(factor: ModulatingFactor | None) -> tuple[str, float, float] | None:
    """Return a modulating factor in the form of the kernels; None for one that they do not support."""
    match factor:
        case None:
            return "plain", 0.0, 0.0
        case FocalFactor():
            return "focal", factor.gamma, factor.alpha
        case QualityFocalFactor():
            return "quality", factor.beta, 0.0
        case VarifocalFactor():
            return "varifocal", factor.alpha, factor.gamma
    return None


@dataclass(frozen=True, slots=True)
class TaskAlignedLoss(Loss):
    """Box, class and distribution loss of task-aligned anchor points.

    Attributes:
        box: gain of the box loss.
        cls: gain of the class loss.
        dfl: gain of the distribution focal loss.
        box_loss: loss of the boxes.
        tal_topk: most points that answer for an object.
        tal_alpha: exponent of the score in the alignment.
        tal_beta: exponent of the overlap in the alignment.
        least_side: shortest side of the box in which an object finds its candidate points, pixels; 0 is off.
        smoothing: label smoothing at the points that answer for an object, 0 to 1.
        cls_pw: weight of the positive term of the class loss.
        factor: modulating factor of the class loss, such as that of focal loss; None for none.
        class_weights: (classes,), factor of the class loss of the points that answer for objects of each class, on the
            device; None for none.
    """

    box: float = 7.5
    cls: float = 0.5
    dfl: float = 1.5
    box_loss: BoxLoss = field(default_factory=BoxLoss)
    tal_topk: int = 10
    tal_alpha: float = 0.5
    tal_beta: float = 6.0
    least_side: float = 0.0
    smoothing: float = 0.0
    cls_pw: float = 1.0
    factor: ModulatingFactor | None = None
    class_weights: Tensor | None = None

    parts: ClassVar[tuple[str, ...]] = ("box", "cls", "dfl")

    @classmethod
    def from_options(
        cls,
        options: LossOptions,
        gains: Mapping[str, float],
        *,
        classes: int,
        imgsz: int,
        class_weights: Tensor | None = None,
    ) -> Self:
        """Build the loss of a run; as `Loss.from_options`."""
        return cls(
            box=gains["box"],
            cls=gains["cls"],
            dfl=options.dfl,
            box_loss=BoxLoss(options.box_loss, options.nwd_constant),
            tal_topk=options.tal_topk,
            tal_alpha=options.tal_alpha,
            tal_beta=options.tal_beta,
            least_side=options.least_side,
            smoothing=options.label_smoothing,
            cls_pw=options.cls_pw,
            factor=modulating_factor(options),
            class_weights=class_weights,
        )

    def sums(self, prediction: DFLPrediction, boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute sums over the images: (3,) box, cls and dfl, each times its gain, and (1,) the target scores."""
        if self._kernels_suit(prediction, boxes):
            return self._sums_by_kernels(prediction, boxes, classes)
        distance_logits, class_logits = prediction.distances.float(), prediction.logits.float()
        points, strides = prediction.points, prediction.strides
        if boxes.shape[1] == 0:
            nothing = distance_logits.sum() * 0
            cls = binary_loss(class_logits, torch.zeros_like(class_logits), self.cls_pw, self.factor).sum()
            return torch.stack((nothing, cls * self.cls, nothing)), class_logits.new_zeros(1)

        predicted = boxes_from_distances(expected_distances(distance_logits.detach()), points, strides)
        assignment = assign(
            class_logits.detach().sigmoid(),
            predicted,
            points,
            boxes,
            classes,
            topk=self.tal_topk,
            alpha=self.tal_alpha,
            beta=self.tal_beta,
            least_side=self.least_side,
        )
        weights = assignment.weights
        own_class = classes.clamp(min=0).gather(1, assignment.objects)
        targets = torch.zeros_like(class_logits).scatter_(2, own_class.unsqueeze(-1), weights.unsqueeze(-1))
        targets = smoothed(targets, self.smoothing, weights.unsqueeze(-1))
        of_classes = binary_loss(class_logits, targets, self.cls_pw, self.factor)
        if self.class_weights is not None:  # of whole points; background keeps 1
            of_points = torch.where(assignment.positive, self.class_weights.to(own_class.device)[own_class], 1.0)
            of_classes = of_classes * of_points.unsqueeze(-1)
        cls = of_classes.sum()

        own_boxes = boxes.gather(1, assignment.objects.unsqueeze(-1).expand(-1, -1, 4))
        box, dfl = _regression(distance_logits, own_boxes, points, strides, assignment.positive, weights, self.box_loss)
        return torch.stack((box * self.box, cls * self.cls, dfl * self.dfl)), weights.sum().view(1)

    def _kernels_suit(self, prediction: DFLPrediction, boxes: Tensor) -> bool:
        """Return whether kernels compute this loss here."""
        known = self.box_loss.kind == "ciou" and _factor_numbers(self.factor) is not None
        alike = prediction.distances.dtype == prediction.logits.dtype
        return known and alike and kernels_suit(prediction.logits, boxes, self.tal_topk)

    def _sums_by_kernels(self, prediction: DFLPrediction, boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        from lehr.kernels.aligned_loss import Settings, loss_sums

        factor = _factor_numbers(self.factor)
        assert factor is not None
        settings = Settings(
            (self.box, self.cls, self.dfl),
            topk=self.tal_topk,
            alpha=self.tal_alpha,
            beta=self.tal_beta,
            least_side=self.least_side,
            smoothing=self.smoothing,
            positive_weight=self.cls_pw,
            factor=factor,
        )
        tensors = (prediction.distances, prediction.logits, prediction.points, prediction.strides)
        weights = None if self.class_weights is None else self.class_weights.to(boxes.device)
        return loss_sums(*tensors, boxes, classes, weights, settings)

    def combined(self, sums: Tensor, counts: Tensor, images: int) -> Tensor:
        """Return (3,) box, cls and dfl over the sum of the target scores, times the batch size."""
        return sums / counts.clamp(min=1) * images
