"""The loss of YOLOv3 and YOLOv5: boxes, objectness and classes of the anchors that objects match.

- box: `1 - CIoU` of the matched anchors' boxes (Zheng et al., 2020), or another of `box_losses.py`, the mean of each
  level.
- obj: binary cross-entropy of every anchor's objectness against the CIoU its box reaches (clamped at 0), whatever the
  loss of the boxes, the mean of each level; levels weigh 4, 1 and 0.4, since the fine ones hold many more cells.
- cls: binary cross-entropy of the matched anchors' classes, the mean of each level. A single class needs none.

Focal losses apply to obj and cls.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import ClassVar, Self

import torch
from torch import Tensor

from lehr.losses.anchor_matching import match
from lehr.losses.bce import ModulatingFactor, binary_loss, modulating_factor, one_hot
from lehr.losses.box_losses import BoxLoss
from lehr.losses.iou import ciou
from lehr.losses.label_smoothing import smoothed
from lehr.losses.loss import Loss, supports_dynamic_shapes
from lehr.models.anchor_head import BOX, CLASSES, OBJECTNESS, AnchorPrediction, boxes_from_logits
from lehr.models.detection import STRIDES
from lehr.options import LossOptions

LEVEL_WEIGHTS = (4.0, 1.0, 0.4)


@dataclass(frozen=True, slots=True)
class AnchorBasedLoss(Loss):
    """Box, objectness and class loss of matched anchors.

    Attributes:
        box: gain of the box loss.
        obj: gain of the objectness loss.
        cls: gain of the class loss.
        box_loss: loss of the boxes.
        anchor_t: largest ratio of a matching object's and anchor's sides.
        smoothing: label smoothing of the classes, 0 to 1.
        cls_pw: weight of the positive term of the class loss.
        obj_pw: weight of the positive term of the objectness loss.
        factor: modulating factor of both, such as that of focal loss; None for none.
        class_weights: (classes,), factor of the class loss of the anchors that answer for objects of each class, on
            the device; None for none.
    """

    box: float = 0.05
    obj: float = 1.0
    cls: float = 0.5
    box_loss: BoxLoss = field(default_factory=BoxLoss)
    anchor_t: float = 4.0
    smoothing: float = 0.0
    cls_pw: float = 1.0
    obj_pw: float = 1.0
    factor: ModulatingFactor | None = None
    class_weights: Tensor | None = None

    parts: ClassVar[tuple[str, ...]] = ("box", "obj", "cls")

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
        """Build the loss of a run, its gains scaled to classes and image size; as `Loss.from_options`."""
        box, obj, class_gain = scaled_gains(gains["box"], options.obj, gains["cls"], classes=classes, imgsz=imgsz)
        return cls(
            box=box,
            obj=obj,
            cls=class_gain,
            box_loss=BoxLoss(options.box_loss, options.nwd_constant),
            anchor_t=options.anchor_t,
            smoothing=options.label_smoothing,
            cls_pw=options.cls_pw,
            obj_pw=options.obj_pw,
            factor=modulating_factor(options),
            class_weights=class_weights,
        )

    def sums(self, prediction: AnchorPrediction, boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute sums over the images: (9,) box, obj and cls of each level, each times its gain, and their counts."""
        picks = supports_dynamic_shapes(prediction.logits.device)
        # Off the CPU, only the used part is converted to float32; on the CPU, the rounding of gradient sums is kept.
        logits = prediction.logits.float() if picks else prediction.logits
        batch, rows, _ = logits.shape
        target = torch.zeros((batch, rows), device=logits.device)
        matched_rows, valid = match(boxes, classes, prediction.anchors, prediction.grids, STRIDES, self.anchor_t)
        box, cls, matched = self._matched(prediction, logits, boxes, classes, matched_rows, valid, target)
        obj = binary_loss(logits[..., OBJECTNESS].float(), target, self.obj_pw, self.factor)
        cells = [prediction.anchors.shape[1] * height * width for height, width in prediction.grids]
        levels = zip(LEVEL_WEIGHTS, torch.split(obj, cells, 1), strict=True)
        sums = (
            *(each * self.box for each in box),
            *(level.sum() * (weight * self.obj) for weight, level in levels),
            *(each * self.cls for each in cls),
        )
        counts = (*matched, *(target.new_full((), batch * count) for count in cells), *matched)
        return torch.stack(sums), torch.stack(counts)

    def combined(self, sums: Tensor, counts: Tensor, images: int) -> Tensor:
        """Return (3,) box, obj and cls: the means of all levels, summed, times the batch size."""
        return (sums / counts.clamp(min=1)).view(3, -1).sum(1) * images

    def _matched(
        self,
        prediction: AnchorPrediction,
        logits: Tensor,
        boxes: Tensor,
        classes: Tensor,
        rows: Tensor,
        valid: Tensor,
        target: Tensor,
    ) -> tuple[Sequence[Tensor], Sequence[Tensor], Sequence[Tensor]]:
        """Sums of the box and of the class loss of each level's matches, and their counts.

        Writes their target objectness into `target`.

        On a CPU the matches are selected, level by level; elsewhere all pairs of all levels are computed at once, and
        those that do not match have weight 0, so that no shape depends on the data.
        """
        levels = len(rows)
        if not boxes.shape[1]:
            nothing, none = logits.float().sum() * 0, target.new_zeros(())
            return [nothing] * levels, [nothing] * levels, [none] * levels
        if supports_dynamic_shapes(logits.device):
            each = zip(rows, valid, strict=True)
            found = [self._pairs(prediction, logits, boxes, classes, *level, target) for level in each]
            box, cls, weight = zip(*found, strict=True)
            return [b.sum() for b in box], [c.sum() for c in cls], [w.sum() for w in weight]
        losses = self._pairs(prediction, logits, boxes, classes, rows, valid, target)
        box, cls, weight = (loss.view(levels, -1).sum(1).unbind() for loss in losses)
        return box, cls, weight

    def _pairs(
        self,
        prediction: AnchorPrediction,
        logits: Tensor,
        boxes: Tensor,
        classes: Tensor,
        rows: Tensor,
        valid: Tensor,
        target: Tensor,
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Weighted box and class loss of pairs of object and row, and their weights, (pairs,) each.

        Args:
            prediction: of the anchors.
            logits: its logits (batch, rows, 5 + classes).
            boxes: (batch, objects, 4).
            classes: (batch, objects).
            rows: (..., batch, objects, anchors per level, 5), of one level or of several.
            valid: of the same shape, whether they match.
            target: (batch, rows), into which their objectness is written.
        """
        image = torch.arange(len(boxes), device=rows.device).view(-1, 1, 1, 1).expand_as(rows)
        gt = torch.arange(boxes.shape[1], device=rows.device).view(1, -1, 1, 1).expand_as(rows)
        rank = (torch.arange(rows.shape[-1], device=rows.device) * boxes.shape[1] + gt).int()
        if supports_dynamic_shapes(rows.device):
            image, gt, rows, rank, weight = (tensor[valid] for tensor in (image, gt, rows, rank, valid.float()))
        else:
            # Rows of non-matching pairs are spread: many at one row would be summed sequentially.
            others = torch.arange(rows.numel(), device=rows.device) % logits.shape[1]
            rows = torch.where(valid, rows, others.view(rows.shape))
            image, gt, rows, rank, weight = (tensor.flatten() for tensor in (image, gt, rows, rank, valid.float()))
        matched = logits[image, rows].float()
        predicted = boxes_from_logits(
            matched[:, BOX], prediction.cells[rows], prediction.sizes[rows], prediction.strides[rows]
        )
        strides, own_boxes = prediction.strides[rows], boxes[image, gt]
        overlap = ciou(own_boxes / strides, predicted / strides)
        _write_target(target.view(-1), image * target.shape[1] + rows, overlap.detach().clamp(min=0), rank, weight)
        of_boxes = 1 - overlap if self.box_loss.kind == "ciou" else self.box_loss(own_boxes, predicted, strides)
        box = of_boxes * weight
        names = matched.shape[1] - CLASSES.start
        if names == 1:
            return box, box * 0, weight
        class_ids = classes[image, gt]
        wanted = smoothed(one_hot(class_ids, names), self.smoothing)
        loss = binary_loss(matched[:, CLASSES], wanted, self.cls_pw, self.factor).mean(1)
        if self.class_weights is not None:
            loss = loss * self.class_weights.to(loss.device)[class_ids.clamp(min=0)]
        return box, loss * weight, weight


def _write_target(target: Tensor, indices: Tensor, values: Tensor, rank: Tensor, weight: Tensor) -> None:
    """Write values (n,) at indices (n,) of a flat target; of several at one index, the highest rank is written.

    Those of weight 0 are not. Two passes, so that the result does not depend on the order in which a device works.
    """
    rank = torch.where(weight > 0, rank + 1, 0)
    highest = torch.zeros(target.shape, dtype=rank.dtype, device=rank.device)
    highest.scatter_reduce_(0, indices, rank, "amax")
    wins = (rank > 0) & (rank == highest[indices])
    target.scatter_reduce_(0, indices, torch.where(wins, values, 0), "amax")


def scaled_gains(box: float, obj: float, cls: float, *, classes: int, imgsz: int) -> tuple[float, float, float]:
    """Gains of box, objectness and class loss for a model, from those meant for 3 levels, 80 classes and 640 pixels.

    Args:
        box: gain of the boxes; scaled by 3 / levels, which is 1 here.
        obj: gain of the objectness; scaled by (imgsz / 640)^2.
        cls: gain of the classes; scaled by classes / 80.
        classes: number of classes.
        imgsz: side of the training square, pixels.
    """
    levels = 3 / len(STRIDES)
    return box * levels, obj * (imgsz / 640) ** 2 * levels, cls * classes / 80 * levels
