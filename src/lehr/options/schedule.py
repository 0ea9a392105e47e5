"""Options of the optimizer, of the learning rates and of their course over the run."""

from __future__ import annotations

import contextlib
import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lehr.options.base import ADDED_LATER, MAX_COUNT, ON_RESUME, OnResume, Options

MAX_EPOCHS = 100_000


class ScheduleOptions(Options):
    """Optimizer, learning rates and their course over the run."""

    fixed_because = "the optimizer's moments and the course of the rates belong to the run's own values"

    epochs: Annotated[int | None, OnResume("more")] = Field(None, ge=1, le=MAX_EPOCHS)
    """Epochs (unset: 100, for `shapes` 18, with anchors 24)."""
    optimizer: Literal["auto", "SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"] = "auto"
    """`auto`: SGD where ceil(images / max(batch, 64)) * epochs is above 10,000, else AdamW."""
    lr0: float | None = Field(None, gt=0)
    """Learning rate after warmup (unset: SGD 0.01, the Adam family 0.01/(4 + classes), RMSProp a tenth of that)."""
    lr0_mult: Annotated[float | None, ADDED_LATER] = Field(None, gt=0)
    """Multiple of that rate if not given (unset: 1; with `auto` and a start with all classes 0.3, none: up to 3)."""
    lrf: float = Field(0.01, gt=0, le=1)
    """Final learning rate, as a fraction of lr0."""
    momentum: float | None = Field(None, ge=0, lt=1)
    """Momentum, or beta1 of the Adam family (unset: 0.937; with `auto` 0.9)."""
    weight_decay: float = Field(5e-4, ge=0)
    """Weight decay of the weights (not of biases and norms), at the nominal batch."""
    lr_schedule: Literal["linear", "cosine", "restarts", "exponential", "constant"] | None = None
    """Course of the learning rate from lr0 to lr0 * lrf (unset: linear)."""
    cos_lr: bool = False
    """The familiar name of --lr-schedule cosine."""
    restart_epochs: float | None = Field(None, gt=0)
    """Epochs to the first restart of --lr-schedule restarts (unset: near 10, so that a course ends with the run)."""
    restart_factor: float = Field(2.0, ge=1)
    """Factor by which each further course is longer, of --lr-schedule restarts."""
    warmup: Literal["gradual", "constant", "linear", "cosine", "first-epoch", "none"] = "gradual"
    """Kind of warmup: each group by itself; a rise of all rates that then holds or falls; YOLOv3's first epoch."""
    warmup_epochs: float | None = Field(None, ge=0)
    """Epochs of warmup, at least 100 steps; 0 turns it off (unset: 3, with known classes 1, less in a short run)."""
    warmup_momentum: float = Field(0.8, ge=0, lt=1)
    """Momentum at the start of the gradual warmup."""
    warmup_bias_lr: float | None = Field(None, ge=0)
    """Learning rate of the biases at the start of the gradual warmup (unset: SGD 0.1, others and trained start 0)."""
    backbone_lr_mult: Annotated[float, ADDED_LATER] = Field(1.0, gt=0)
    """Multiple of the learning rates for the backbone's layers, e.g. 0.1 when starting from weights; 1 is off."""
    nominal_batch: int | None = Field(None, ge=1, le=MAX_COUNT)
    """Images an optimizer step: gradients accumulate to it (unset: 64; with `auto` halved in runs of few steps)."""
    clip_norm: float = Field(10.0, ge=0)
    """Largest norm of the gradient; 0 is no bound."""
    ema_decay: float = Field(0.9999, ge=0, lt=1)
    """Decay of the moving average of the weights; 0 turns it off."""
    ema_tau: float | Literal["auto"] | None = None
    """Updates over which that decay rises; `auto`: 0.43 of the run's, at most 2000 (unset: 2000)."""
    patience: Annotated[int, ON_RESUME] = Field(100, ge=0, le=2**31)
    """Epochs without a better result before the run stops; 0 never stops early."""
    skip_limit: int = Field(3, ge=0, le=MAX_COUNT)
    """Optimizer steps in a row that may be skipped, not being finite, before the run is rolled back; 0 never is."""
    rollbacks: int = Field(3, ge=0, le=MAX_COUNT)
    """Times that a run goes back so before it stops."""
    rollback_lr: float = Field(0.5, gt=0, le=1)
    """Factor of the learning rates each time it has gone back."""

    @field_validator("ema_tau", mode="before")
    @classmethod
    def _updates_or_auto(cls, value: Any) -> Any:
        """A number of updates, `auto`, or None."""
        if value is None or value == "auto":
            return value
        with contextlib.suppress(TypeError, ValueError):
            number = float(value)
            if number > 0 and math.isfinite(number):
                return number
        raise ValueError("a number of updates greater than 0, or auto")
