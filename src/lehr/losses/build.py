"""The loss that belongs to a model, from the options."""

from __future__ import annotations

from torch import Tensor

from lehr.losses.anchor_based import AnchorBasedLoss, scaled_gains
from lehr.losses.loss import Loss
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.build import anchor_head
from lehr.models.detection import DetectionModel
from lehr.options import LossOptions


def build_loss(model: DetectionModel, options: LossOptions, imgsz: int, class_weights: Tensor | None = None) -> Loss:
    """The loss of a model's family.

    Args:
        model: decides the kind of loss.
        options: gains and variations; gains that are unset are those of the family.
        imgsz: side of the training square, pixels.
        class_weights: (classes,), a factor for each class, on the model's device; None for none.
    """
    classes = len(model.names)
    if anchor_head(model) is None:
        default = TaskAlignedLoss()
        return TaskAlignedLoss(
            box=default.box if options.box is None else options.box,
            cls=default.cls if options.cls is None else options.cls,
            dfl=options.dfl,
            least_side=options.least_side,
            smoothing=options.label_smoothing,
            cls_pw=options.cls_pw,
            gamma=options.fl_gamma,
            class_weights=class_weights,
        )
    base = AnchorBasedLoss()
    box, obj, cls = scaled_gains(
        base.box if options.box is None else options.box,
        options.obj,
        base.cls if options.cls is None else options.cls,
        classes=classes,
        imgsz=imgsz,
    )
    return AnchorBasedLoss(
        box=box,
        obj=obj,
        cls=cls,
        anchor_t=options.anchor_t,
        smoothing=options.label_smoothing,
        cls_pw=options.cls_pw,
        obj_pw=options.obj_pw,
        gamma=options.fl_gamma,
        class_weights=class_weights,
    )
