"""Options of the loss: gains of its parts, and variations."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from lehr.options.base import ADDED_LATER, Options

BoxLossName = Literal["ciou", "diou", "giou", "siou", "eiou", "wiou", "nwd"]


class LossOptions(Options):
    """Gains of the loss's parts, and its variations."""

    fixed_because = "the losses before and after could not be compared"

    box: float | None = Field(None, ge=0)
    """Gain of the box loss (unset: YOLOv8 7.5, with anchors 0.05)."""
    cls: float | None = Field(None, ge=0)
    """Gain of the class loss (unset: 0.5, for `shapes` with anchors 1)."""
    box_loss: Annotated[BoxLossName, ADDED_LATER] = "ciou"
    """Loss of the boxes; wiou is Wise-IoU's version 1, nwd the normalized Wasserstein distance for tiny objects."""
    nwd_constant: Annotated[float, ADDED_LATER] = Field(12.8, gt=0)
    """Constant C of the normalized Wasserstein distance, pixels: the mean size of the objects, sqrt(width height)."""
    dfl: float = Field(1.5, ge=0)
    """Gain of the distribution focal loss, YOLOv8."""
    obj: float = Field(1.0, ge=0)
    """Gain of the objectness loss, families with anchors."""
    cls_pw: float = Field(1.0, gt=0)
    """Weight of the positive term of the class loss."""
    obj_pw: float = Field(1.0, gt=0)
    """Weight of the positive term of the objectness loss, families with anchors."""
    fl_gamma: float = Field(0.0, ge=0, le=10)
    """Exponent of the focal loss of classes and objectness, e.g. 1.5; 0 is off."""
    fl_alpha: Annotated[float, ADDED_LATER] = Field(0.25, ge=0, le=1)
    """Weight of positives against negatives in the focal loss."""
    cls_loss: Annotated[Literal["bce", "qfl", "vfl"], ADDED_LATER] = "bce"
    """Loss of the scores: cross-entropy, quality focal loss or varifocal loss; with anchors of the objectness, too."""
    qfl_beta: Annotated[float, ADDED_LATER] = Field(2.0, ge=1, le=10)
    """Exponent of the quality focal loss."""
    vfl_alpha: Annotated[float, ADDED_LATER] = Field(0.75, ge=0, le=10)
    """Weight of what is no object in the varifocal loss."""
    vfl_gamma: Annotated[float, ADDED_LATER] = Field(2.0, ge=0, le=10)
    """Exponent of what is no object in the varifocal loss."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share by which class targets are pulled towards the middle, e.g. 0.1; 0 is off."""
    class_weights: float = Field(0.0, ge=0, le=2)
    """Power of the inverse class frequency that weighs the class loss: 0 is off, 0.5 mild, 1 full."""
    anchor_t: float = Field(4.0, gt=1)
    """Largest ratio of an object's and a matching anchor's sides, families with anchors."""
    least_side: float = Field(0.0, ge=0)
    """Objects with shorter sides find candidate points as if these were this long, pixels, YOLOv8; 0 is off."""
    tal_topk: Annotated[int, ADDED_LATER] = Field(10, ge=1, le=100)
    """Points that answer for an object at most, YOLOv8."""
    tal_alpha: Annotated[float, ADDED_LATER] = Field(0.5, ge=0, le=10)
    """Exponent of the score in the alignment that chooses an object's points, YOLOv8."""
    tal_beta: Annotated[float, ADDED_LATER] = Field(6.0, gt=0, le=20)
    """Exponent of the overlap in the alignment that chooses an object's points, YOLOv8."""
