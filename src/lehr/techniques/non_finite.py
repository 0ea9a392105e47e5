"""Non-finite steps: skipped and counted; after several in a row the run rolls back and continues at a lower rate.

A loss or gradient that is infinite or NaN would ruin every weight permanently. Such an optimizer step is skipped, as
mixed precision does with overflowing steps (Micikevicius et al., "Mixed Precision Training", 2018), and so are the
BatchNorm statistics of the batch. One bad batch costs one step. Several in a row mean that the training has diverged:
then it returns to its last good state and continues with smaller steps, as is done by hand in large runs (Chowdhery et
al., "PaLM", 2022, section 5.1).

Finiteness is determined on the device; the host reads the result once it has arrived, and never waits for it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lehr.technique import NoEffect, Run, Section, State, Technique

ALIGNED = 16
"""Alignment of statistics, in numbers: 64 bytes, more than any kernel reads at once."""


class Statistics:
    """BatchNorm statistics of a model in one block, so that a batch's change to them can be undone at once.

    Args:
        model: on its device; its running means and variances become views of the block, each aligned like a separate
            tensor.

    Attributes:
        block: all of them in sequence, with 0 between.
    """

    def __init__(self, model: nn.Module) -> None:
        norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
        buffers = [(norm, name) for norm in norms for name in ("running_mean", "running_var")]
        values = [getattr(norm, name) for norm, name in buffers]
        widths = [-(-len(value) // ALIGNED) * ALIGNED for value in values]
        padded = [F.pad(value, (0, width - len(value))) for value, width in zip(values, widths, strict=True)]
        self.block = torch.cat(padded) if values else torch.zeros(0)
        for (norm, name), value, view in zip(buffers, values, torch.split(self.block, widths), strict=True):
            setattr(norm, name, view[: len(value)])
        self._before = self.block.clone()

    def remember(self) -> None:
        """Record the statistics before a batch."""
        self._before.copy_(self.block)

    def keep_if(self, finite: Tensor) -> None:
        """Undo the change since `remember` unless the batch was finite, without waiting for the device.

        Args:
            finite: (), bool, on the device.
        """
        self.block.copy_(torch.where(finite, self.block, self._before))


@dataclass(frozen=True, slots=True)
class StepStatus:
    """Outcome of a batch.

    Attributes:
        step: the batch, counted over the run from 0.
        images: the indices of its images in the training split.
        losses: each part of the loss, summed over the images.
        norm: the norm of the gradient of the optimizer step that this batch completed; None if it completed none.
        finite: whether the batch was finite; for a batch that completed a step, whether the step was.
        scale: loss scale in float16; None in other precisions.
        flags: the numbers of `StepFlags` that came with it; empty in one process.
    """

    step: int
    images: Sequence[int]
    losses: tuple[float, ...]
    norm: float | None
    finite: bool
    scale: float | None = None
    flags: tuple[float, ...] = ()

    @property
    def updated(self) -> bool:
        """True if an optimizer step was due."""
        return self.norm is not None

    @property
    def overflowed(self) -> bool:
        """True if only the scaled gradient overflowed float16: the scale is reduced, and nothing else is wrong."""
        at_work = self.scale is not None and self.scale > 1
        return at_work and not self.finite and all(map(math.isfinite, self.losses))


class StepStatusQueue:
    """Copies outcomes of batches from the device to the host, without waiting for it.

    Args:
        behind: deliver a batch exactly when this many more have been posted, so that all processes see the same at the
            same step; None delivers whatever has arrived.
    """

    def __init__(self, behind: int | None = None) -> None:
        self._behind = behind
        self._under_way: deque[tuple[int, Sequence[int], Tensor, Any, bool, bool, int]] = deque()

    def post(
        self,
        step: int,
        images: Sequence[int],
        losses: Tensor,
        norm: Tensor | None,
        finite: Tensor,
        scale: Tensor | None = None,
        flags: Tensor | None = None,
    ) -> None:
        """Start copying a batch's outcome.

        Args:
            step: the batch, counted over the run from 0.
            images: the indices of its images.
            losses: (parts,), on the device.
            norm: () of the gradient, if an optimizer step was due.
            finite: (), bool.
            scale: () of the loss, in float16.
            flags: (n,), the numbers of `StepFlags`, to send along.
        """
        nothing = losses.new_zeros(())
        last = (nothing if norm is None else norm, nothing if scale is None else scale)
        values = torch.stack((*losses.detach(), finite.to(losses.dtype), *last))
        if flags is not None:
            values = torch.cat((values, flags.to(values.dtype)))
        event = None
        if values.device.type == "cuda":
            device = values.device
            values = torch.empty_like(values, device="cpu", pin_memory=True).copy_(values, non_blocking=True)
            event = _recorded(device)
        extra = 0 if flags is None else len(flags)
        self._under_way.append((step, images, values, event, norm is not None, scale is not None, extra))

    def arrived(self, wait: bool = False) -> list[StepStatus]:
        """Return the outcomes that have arrived since the last call, oldest first.

        Args:
            wait: wait for all pending ones.
        """
        observations = []
        while self._under_way:
            step, images, values, event, updated, scaled, extra = self._under_way[0]
            due = wait or (self._behind is not None and len(self._under_way) > self._behind)
            if not due and (self._behind is not None or (event is not None and not event.query())):
                break
            if event is not None:
                event.synchronize()
            self._under_way.popleft()
            numbers = values.tolist()
            flags = tuple(numbers[len(numbers) - extra :])
            *losses, finite, norm, scale = numbers[: len(numbers) - extra]
            observations.append(
                StepStatus(
                    step,
                    images,
                    tuple(losses),
                    norm if updated else None,
                    bool(finite),
                    scale if scaled else None,
                    flags,
                )
            )
        return observations


def _recorded(device: torch.device) -> Any:
    """Record an event that completes when all work queued so far is done."""
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    return event


def step_if_finite(optimizer: torch.optim.Optimizer, finite: Tensor) -> bool:
    """Step the optimizer; leave everything unchanged unless the gradient is finite.

    On CUDA that is decided on the device: by torch's fused optimizers themselves, and for the others by undoing the
    step. Elsewhere the host decides, which waits for the flag; so does the first step: SGD creates its moments in it,
    and would leave them uninitialized.

    Args:
        optimizer: the optimizer.
        finite: (), bool, on the device.

    Returns:
        False if the step was skipped; True if it was made, or if the device decides.
    """
    on_device = finite.device.type == "cuda" and bool(optimizer.state)
    if on_device and optimizer.defaults.get("fused"):
        optimizer.found_inf = (~finite).float()  # type: ignore[attr-defined]  # as torch.amp.GradScaler passes it
        try:
            optimizer.step()
        finally:  # a later step without it, such as the first after a rollback, would otherwise obey it too
            del optimizer.found_inf  # type: ignore[attr-defined]
        return True
    if on_device and all(group.get("capturable") for group in optimizer.param_groups):
        step_or_take_back(optimizer, finite)
        return True
    if bool(finite):
        optimizer.step()
        return True
    return False


@torch.no_grad()
def step_or_take_back(optimizer: torch.optim.Optimizer, finite: Tensor) -> None:
    """Step an optimizer, and undo the step unless the gradient is finite, without waiting for the device.

    Parameters, moments and counts are blended with their previous values by factors 1 and 0, or 0 and 1, with a few
    operations for all of them. So the result is exactly that of a step, or of none.

    Args:
        optimizer: its whole state is in tensors; non-finite gradients become 0.
        finite: (), bool, on the device.
    """
    parameters = [each for group in optimizer.param_groups for each in group["params"] if each.grad is not None]
    for parameter in parameters:
        parameter.grad.masked_fill_(~finite, 0.0)
    kept = parameters + [
        value for each in parameters for value in optimizer.state[each].values() if isinstance(value, Tensor)
    ]
    made = finite.to(torch.float32)
    before = torch._foreach_mul(kept, 1 - made)
    optimizer.step()
    torch._foreach_mul_(kept, made)
    torch._foreach_add_(kept, before)


def describe(observation: StepStatus, parts: Sequence[str], batches: int) -> str:
    """Describe a non-finite batch for a message.

    Args:
        observation: a non-finite batch.
        parts: the names of the loss's parts.
        batches: batches per epoch.
    """
    bad = [f"{part} {loss}" for part, loss in zip(parts, observation.losses, strict=True) if not math.isfinite(loss)]
    what = f"loss {', '.join(bad)}" if bad else f"norm of the gradient {observation.norm}"
    return f"epoch {observation.step // batches + 1}, batch {observation.step % batches + 1}: {what}"


def _without_effect(run: Run) -> dict[str, NoEffect]:
    options = run.config.schedule
    if options.skip_limit == 0:
        return dict.fromkeys(("rollbacks", "rollback_lr"), NoEffect("--skip-limit is 0"))
    return {} if options.rollbacks else {"rollback_lr": NoEffect("--rollbacks is 0")}


def _state(run: Run) -> State:
    options = run.config.schedule
    back = f"; {options.skip_limit} in a row: rollback to a checkpoint, rates times {options.rollback_lr:g}"
    return State(True, "left out" + (back if options.skip_limit else ""))


TECHNIQUE = Technique(
    name="non-finite steps",
    page="non-finite-steps",
    section=Section.COURSE,
    order=60,
    options=("skip_limit", "rollbacks", "rollback_lr"),
    without_effect=_without_effect,
    why="no batch can ruin the weights, and a diverging run is rolled back",
    state=_state,
    code=("engine/divergence.py",),
)
