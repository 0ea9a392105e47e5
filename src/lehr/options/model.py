"""Options of the model, and of the start of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError, field_validator

from lehr.options.base import ADDED_LATER, Options
from lehr.options.help_groups import HelpGroup

MAX_SCALE, MAX_ANCHORS = 10, 20
"""Largest multiple of depth and width, and most anchors a level: of options, and of weights that are read."""


class ModelOptions(Options):
    """Model, and the start of its weights."""

    fixed_because = "the weights and the optimizer's moments belong to the run's model"
    help_group = HelpGroup.MODEL

    model: Annotated[str, HelpGroup.BASICS] = "yolov8n"
    """yolov8 or yolov5 with n, s, m, l or x; or yolov3-spp."""
    depth: float | None = Field(None, gt=0, le=MAX_SCALE, allow_inf_nan=False)
    """Multiple of the blocks' repeats (unset: that of the model's name)."""
    width: float | None = Field(None, gt=0, le=MAX_SCALE, allow_inf_nan=False)
    """Multiple of the channels (unset: that of the model's name)."""
    weights: Annotated[Path | None, HelpGroup.BASICS] = None
    """Weights to start from: .safetensors, .pt or .onnx. Tensors that fit are taken (unset: random weights)."""
    reset_head: Annotated[bool, ADDED_LATER] = False
    """Start class layers from scratch, not from --weights."""
    freeze: Annotated[str | None, HelpGroup.TRAINING] = None
    """Number of first layers to freeze; or names such as model.0,model.4.cv1 (unset: none)."""
    autoanchor: Literal["auto", "always", "off"] | bool = "auto"
    """Fit anchors where fewer than 98% of the objects match. `always` fits them in any case."""
    anchors: int = Field(3, ge=1, le=MAX_ANCHORS)
    """Anchors per level, for models with anchors."""
    frequency_bias: bool = False
    """Start the class biases at the class frequencies."""

    @field_validator("autoanchor", mode="before")
    @classmethod
    def _choice(cls, value: Any) -> Any:
        """Take the familiar forms too: true and --autoanchor for auto, false and --no-autoanchor for off."""
        if value in ("auto", "always", "off"):
            return value
        try:
            return "auto" if TypeAdapter(bool).validate_python(value) else "off"
        except ValidationError:
            raise ValueError("auto, always or off") from None

    @field_validator("freeze", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """YAML and Python may give a count or a list."""
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
