"""Options of the model, and of the start of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import Field, field_validator

from lehr.options.base import Options


class ModelOptions(Options):
    """Model, and the start of its weights."""

    fixed_because = "the weights and the optimizer's moments belong to the run's model"

    model: str = "yolov8n"
    """Model name: yolov8 or yolov5 with n, s, m, l or x; or yolov3-spp."""
    depth: float | None = Field(None, gt=0, le=10)
    """Multiple of the blocks' repeats (unset: that of the model's name)."""
    width: float | None = Field(None, gt=0, le=10)
    """Multiple of the channels (unset: that of the model's name)."""
    weights: Path | None = None
    """Weights to start from, a .safetensors file; layers that fit are taken (unset: random weights)."""
    freeze: str | None = None
    """Layers that stay as they are: the count of first layers, or names such as model.0,model.4.cv1 (unset: none)."""
    autoanchor: bool = True
    """Fit the anchors to the data where fewer than 98% of the objects have one of like shape."""
    anchors: int = Field(3, ge=1, le=20)
    """Anchors a level, for families that have anchors."""
    frequency_bias: bool = False
    """Start the class biases at each class's share of the objects instead of all alike."""

    @field_validator("freeze", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """YAML and Python may give a count or a list."""
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value
