"""The content of a run's checkpoint: one typed, bounded description, checked before anything is built or restored.

Content stays the dictionary of the file; types apply to its keys. Names that are not here may be in it too: parts of
other versions of Lehr, and of packages that add to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, TypeAdapter, ValidationError
from torch import Tensor

from lehr.checkpoint.format import MAX_EPOCHS, MAX_STEPS, Checkpoint, DamagedCheckpoint
from lehr.evaluation.against_start import AgainstStart
from lehr.evaluation.matching import MatchRecord
from lehr.evaluation.metrics import Metrics
from lehr.runtime.invalid_values import describe_fault

HELD = {"config", "data", "images", "torch", "device", "plan", "state"}
"""Keys written by every version of Lehr, without which a run cannot resume."""

Count = Annotated[int, Field(ge=0, le=MAX_STEPS)]
Epoch = Annotated[int, Field(ge=-1, le=MAX_EPOCHS)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Seconds = Annotated[float, Field(ge=0, le=MAX_STEPS)]
Share = Annotated[float, Field(ge=0, le=1)]
Text = Annotated[str, Field(max_length=1_000)]
Tensors = dict[str, Tensor]
Cell = Annotated[int, Field(ge=-MAX_STEPS, le=MAX_STEPS)] | float | str | None
METRICS = TypeAdapter(Metrics)


def _metrics(numbers: dict[str, Any]) -> dict[str, Any]:
    """Check the numbers of an evaluation, those of earlier versions too."""
    try:
        METRICS.validate_python(asdict(Metrics.from_dict(numbers)))
    except (AttributeError, LookupError, TypeError):
        raise ValueError("the numbers of an evaluation") from None
    return numbers


def _record(numbers: dict[str, Any]) -> dict[str, Any]:
    """Check how detections of an evaluation match."""
    try:
        MatchRecord.from_state_dict(numbers)
    except (AttributeError, LookupError, RuntimeError, TypeError, ValueError):
        raise ValueError("the matches of an evaluation") from None
    return numbers


def _outcome(numbers: dict[str, Any]) -> dict[str, Any]:
    """Check the comparison of a run with its start."""
    try:
        AgainstStart.from_dict(numbers)
    except (AttributeError, LookupError, TypeError, ValueError):
        raise ValueError("a comparison with the start") from None
    return numbers


Matches = Annotated[dict[str, Any], AfterValidator(_record)]


class Part(BaseModel):
    """A part of a checkpoint's content."""

    model_config = ConfigDict(strict=True, frozen=True, arbitrary_types_allowed=True, extra="allow")


class Optimizer(Part):
    """Optimizer that a run chose."""

    name: Literal["SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"]
    lr0: Number
    momentum: Number
    warmup_bias_lr: Number
    nominal_batch: Annotated[int, Field(ge=1, le=MAX_STEPS)] = 64


class Plan(Part):
    """Settings that more epochs, or another version of Lehr, would choose differently."""

    optimizer: Optimizer
    warmup: Count
    ema_tau: Annotated[float, Field(gt=0)] | None = None
    closed: Count | None = None
    partner_window: Count | None = None
    scaled_decoding: bool | None = None


class OptimizerState(Part):
    """The optimizer's moments by the number of the parameter, and its groups."""

    state: dict[int, dict[str, Tensor | float | None]]
    param_groups: Annotated[list[dict[str, Any]], Field(min_length=1, max_length=100)]


class Average(Part):
    """The average of the weights."""

    updates: Count
    model: Tensors


class Stopping(Part):
    """Early stopping's memory."""

    best: Number
    best_epoch: Epoch


class Sums(Part):
    """Running sums of the epoch."""

    losses: Tensor
    images: Count = 0
    instances: Count = 0
    replaced: Count = 0
    skipped: Count = 0
    updates: Count = 0
    norms: float = 0.0
    clipped: Count = 0
    seconds: Seconds = 0.0


class Recovery(Part):
    """Counters of non-finite steps."""

    skipped: Count
    streak: Count
    rollbacks: Count
    lr_scale: Number


class Guard(Part):
    """Evaluations of the start and of the best epoch, and their comparison."""

    start: Matches | None
    best: Matches | None
    outcome: Annotated[dict[str, Any], AfterValidator(_outcome)] | None


class State(Part):
    """The training state."""

    model: Tensors
    optimizer: OptimizerState
    ema: Average | None
    precision: Literal["float32", "bfloat16", "float16"]
    scaler: Annotated[dict[str, Tensor | Number], Field(max_length=20)] | None
    gradients: Tensors
    stopping: Stopping
    sums: Sums
    recovery: Recovery
    step: Count
    epoch: Epoch
    last_update: Annotated[int, Field(ge=-1, le=MAX_STEPS)]
    finite: Tensor
    class_maps: list[Share]
    history: Annotated[list[dict[str, Cell]], Field(max_length=1_000_000)]
    best_metrics: Annotated[dict[str, Any], AfterValidator(_metrics)] | None
    seconds: Seconds
    finished: bool
    guard: Guard | None = None
    older_guard: Guard | None = None


class Content(Part):
    """Everything that a run's checkpoint holds."""

    config: dict[str, Any]
    data: Text
    images: Count
    torch: Text
    device: Text
    plan: Plan
    state: State
    processes: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    older: Text | None = None
    ignored: Text | None = None
    code: dict[str, str] = Field(default_factory=dict)
    callbacks: dict[str, dict[str, Any]] = Field(default_factory=dict)


def check_content(checkpoint: Checkpoint) -> None:
    """Check that a checkpoint holds the state of a run, in every part of its type and within its bounds.

    Args:
        checkpoint: with all keys of `HELD`.

    Raises:
        DamagedCheckpoint: a part is missing, or is not what Lehr writes.
    """
    try:
        Content.model_validate(checkpoint.content)
        _check_together(checkpoint)
    except (ValidationError, ValueError) as error:
        raise DamagedCheckpoint(
            f"{checkpoint.path}: holds what Lehr does not write: {describe(error)}. Do not trust this file."
        ) from None


def describe(error: ValueError) -> str:
    """Return the first error and its location."""
    if not isinstance(error, ValidationError):
        return str(error)
    first = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part)[:40] for part in first["loc"][:4])
    return f"{place} {describe_fault(first)}"


def _check_together(checkpoint: Checkpoint) -> None:
    """Check that the parts are consistent.

    Raises:
        ValueError: one contradicts another.
    """
    state: Mapping[str, Any] = checkpoint.content["state"]
    position = checkpoint.position
    if (state["epoch"], state["step"], state["finished"]) != (position.epoch, position.step, position.finished):
        raise ValueError("its state is of another position than the file's end says")
    if state["finished"] and state["best_metrics"] is None:
        raise ValueError("its run has finished without a result")
    if not all(row.get("skipped") is None or type(row["skipped"]) is int for row in state["history"]):
        raise ValueError("a row of its history has no count of steps that were skipped")
