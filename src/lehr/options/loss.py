"""Options of the loss: gains of its parts, and variations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lehr.options.base import ADDED_LATER, Options
from lehr.options.help_groups import HelpGroup

BoxLossName = Literal["ciou", "diou", "giou", "siou", "eiou", "wiou", "nwd"]


class LossOptions(Options):
    """Gains of the loss's parts, and its variations."""

    fixed_because = "the losses before and after could not be compared"
    help_group = HelpGroup.LOSS

    box: float | None = Field(None, ge=0)
    """Gain of the box loss (unset: YOLOv8 7.5, with anchors 0.05)."""
    cls: float | None = Field(None, ge=0)
    """Gain of the class loss (unset: 0.5, for `shapes` with anchors 1)."""
    box_loss: Annotated[BoxLossName, ADDED_LATER] = "ciou"
    """Loss of the boxes; wiou is Wise-IoU's version 1. nwd, a Wasserstein distance, suits tiny objects."""
    nwd_constant: Annotated[float, ADDED_LATER] = Field(12.8, gt=0)
    """Constant C of nwd: the objects' mean size, pixels."""
    dfl: float = Field(1.5, ge=0)
    """Gain of the distribution focal loss, YOLOv8."""
    obj: float = Field(1.0, ge=0)
    """Gain of the objectness loss, models with anchors."""
    cls_pw: float = Field(1.0, gt=0)
    """Weight of the positive term of the class loss."""
    obj_pw: float = Field(1.0, gt=0)
    """Weight of the positive term of the objectness loss; models with anchors."""
    fl_gamma: float = Field(0.0, ge=0, le=10)
    """Exponent of the focal loss, e.g. 1.5; 0 is off."""
    fl_alpha: Annotated[float, ADDED_LATER] = Field(0.25, ge=0, le=1)
    """Weight of positives against negatives in focal loss."""
    cls_loss: Annotated[Literal["bce", "qfl", "vfl"], ADDED_LATER] = "bce"
    """Cross-entropy, quality focal or varifocal loss; with anchors, of the objectness, too."""
    qfl_beta: Annotated[float, ADDED_LATER] = Field(2.0, ge=1, le=10)
    """Exponent of the quality focal loss."""
    vfl_alpha: Annotated[float, ADDED_LATER] = Field(0.75, ge=0, le=10)
    """Weight of the negatives in the varifocal loss."""
    vfl_gamma: Annotated[float, ADDED_LATER] = Field(2.0, ge=0, le=10)
    """Exponent of the negatives in the varifocal loss."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share by which class targets are smoothed, e.g. 0.1; 0 is off."""
    class_weights: float = Field(0.0, ge=0, le=2)
    """Weigh classes by inverse frequency to this power; 0 is off, 0.5 mild, 1 full."""
    anchor_t: float = Field(4.0, gt=1)
    """Largest ratio of the sides of an object and its anchor."""
    least_side: float = Field(0.0, ge=0)
    """Match smaller objects as if they had this side, pixels; YOLOv8; 0 is off."""
    tal_topk: Annotated[int, ADDED_LATER] = Field(10, ge=1, le=100)
    """Most points that are matched to an object, YOLOv8."""
    tal_alpha: Annotated[float, ADDED_LATER] = Field(0.5, ge=0, le=10)
    """Exponent of the score in the matching, YOLOv8."""
    tal_beta: Annotated[float, ADDED_LATER] = Field(6.0, gt=0, le=20)
    """Exponent of the overlap in the matching, YOLOv8."""
