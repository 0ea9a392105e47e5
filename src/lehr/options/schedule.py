"""Options of the optimizer, of the learning rates and of their course over the run."""

from __future__ import annotations

import contextlib
import math
from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from lehr.options.base import ADDED_LATER, MAX_COUNT, ON_RESUME, OnResume, Options
from lehr.options.help_groups import HelpGroup

MAX_EPOCHS = 100_000
OptimizerName = Literal["auto", "SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"]


class ScheduleOptions(Options):
    """Optimizer, learning rates and their course over the run."""

    fixed_because = "the optimizer's moments and the course of the rates belong to the run's own values"
    help_group = HelpGroup.RATES

    epochs: Annotated[int | None, OnResume("more"), HelpGroup.BASICS] = Field(None, ge=1, le=MAX_EPOCHS)
    """Passes over the training images (unset: 100, for `shapes` 18, with anchors 24)."""
    optimizer: Annotated[Literal["auto", "SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"], HelpGroup.TRAINING] = (
        "auto"
    )
    """`auto`: SGD in runs above 10,000 iterations, else AdamW. Iterations: ceil(images / max(batch, 64)) * epochs."""
    lr0: Annotated[float | None, HelpGroup.TRAINING] = Field(None, gt=0)
    """Learning rate after the warmup (unset: SGD 0.01; the Adam family 0.01/(4 + classes); RMSProp a tenth of that)."""
    lr0_mult: Annotated[float | None, ADDED_LATER] = Field(None, gt=0)
    """Multiple of the automatic learning rate (unset: 1; with `auto` and known classes 0.3; with none of them up to
    3)."""
    lrf: Annotated[float, HelpGroup.TRAINING] = Field(0.01, gt=0, le=1)
    """Final learning rate, as a fraction of --lr0."""
    momentum: Annotated[float | None, HelpGroup.TRAINING] = Field(None, ge=0, lt=1)
    """Momentum, or beta1 of the Adam family (unset: 0.937; with `auto` 0.9)."""
    weight_decay: Annotated[float, HelpGroup.TRAINING] = Field(5e-4, ge=0)
    """Weight decay of weights, not of biases and norms; at the nominal batch."""
    lr_schedule: Literal["linear", "cosine", "restarts", "exponential", "constant"] | None = None
    """Shape of the learning rate from lr0 to lr0 * lrf (unset: linear)."""
    cos_lr: Annotated[bool, HelpGroup.TRAINING] = False
    """Same as --lr-schedule cosine."""
    restart_epochs: float | None = Field(None, gt=0)
    """Epochs to the first restart; --lr-schedule restarts (unset: near 10, so that a course ends with the run)."""
    restart_factor: float = Field(2.0, ge=1)
    """Factor by which each further cycle is longer."""
    warmup: Literal["gradual", "constant", "linear", "cosine", "first-epoch", "none"] = "gradual"
    """Kind of warmup: gradual for each parameter group; or one rise of all rates; or YOLOv3's."""
    warmup_epochs: Annotated[float | None, HelpGroup.TRAINING] = Field(None, ge=0)
    """Epochs of warmup, at least 100 steps; 0 is off (unset: 3, with known classes 1, less in a short run)."""
    warmup_momentum: float = Field(0.8, ge=0, lt=1)
    """Momentum at the start of the gradual warmup."""
    warmup_bias_lr: float | None = Field(None, ge=0)
    """Bias learning rate at the start of the warmup (unset: SGD 0.1, others and trained start 0)."""
    backbone_lr_mult: Annotated[float, ADDED_LATER] = Field(1.0, gt=0)
    """Multiple of the backbone's learning rates; e.g. 0.1 for trained weights; 1 is off."""
    nominal_batch: Annotated[int | None, HelpGroup.TRAINING] = Field(None, ge=1, le=MAX_COUNT)
    """Images per optimizer step; smaller batches accumulate (unset: 64; with `auto` halved in runs of few steps)."""
    clip_norm: float = Field(10.0, ge=0)
    """Largest norm of the gradient; 0 does not clip."""
    ema_decay: float = Field(0.9999, ge=0, lt=1)
    """Decay of the moving average of the weights; 0 is off."""
    ema_tau: float | Literal["auto"] | None = None
    """Updates over which that decay rises; `auto`: 0.43 of the run's, at most 2000 (unset: 2000)."""
    patience: Annotated[int, ON_RESUME, HelpGroup.TRAINING] = Field(100, ge=0, le=2**31)
    """Stop after this many epochs without improvement; 0 never stops early."""
    skip_limit: Annotated[int, HelpGroup.RECOVERY] = Field(3, ge=0, le=MAX_COUNT)
    """Non-finite optimizer steps in a row before a rollback; 0 never rolls back."""
    rollbacks: Annotated[int, HelpGroup.RECOVERY] = Field(3, ge=0, le=MAX_COUNT)
    """Rollbacks before the run stops."""
    rollback_lr: Annotated[float, HelpGroup.RECOVERY] = Field(0.5, gt=0, le=1)
    """Factor of the learning rates after each rollback."""

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
        raise ValueError("more than 0 updates, or auto")
