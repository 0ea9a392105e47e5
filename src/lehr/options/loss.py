"""Options of the loss: gains of its parts, and variations."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from lehr.options.base import ADDED_LATER, Options


class LossOptions(Options):
    """Gains of the loss's parts, and its variations."""

    fixed_because = "the losses before and after could not be compared"

    box: float | None = Field(None, ge=0)
    """Gain of the box loss (unset: YOLOv8 7.5, with anchors 0.05)."""
    cls: float | None = Field(None, ge=0)
    """Gain of the class loss (unset: 0.5, for `shapes` with anchors 1)."""
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
