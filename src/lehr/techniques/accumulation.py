"""Gradient accumulation: several batches make one optimizer step, so that small cards learn as large ones do.

The hyperparameters belong to a nominal batch of 64 images. With smaller batches, gradients add up over
`max(round(64 / batch), 1)` of them before the optimizer steps, and the weight decay is scaled by how closely that
meets 64.
"""

from __future__ import annotations

from lehr.technique import Run, Section, State, Switch, Technique


def accumulation(batch: int, nominal_batch: int) -> int:
    """Batches an optimizer step: `max(round(nominal / batch), 1)`."""
    return max(round(nominal_batch / batch), 1)


def scaled_weight_decay(weight_decay: float, batch: int, nominal_batch: int) -> float:
    """Weight decay for the images that an optimizer step really sees: `decay * batch * accumulation / nominal`."""
    return weight_decay * batch * accumulation(batch, nominal_batch) / nominal_batch


def _state(run: Run) -> State:
    batches, nominal = run.plan.accumulate, run.plan.optimizer.nominal_batch
    return State(batches > 1, f"{batches} batches an optimizer step (nominal batch {nominal})")


TECHNIQUE = Technique(
    name="accumulation",
    page="accumulation",
    section=Section.COURSE,
    order=40,
    options=("nominal_batch",),
    why="small batches learn as large ones do; few images need each batch as a step",
    state=_state,
    switches=(Switch("accumulation", {"nominal_batch": None}, {"nominal_batch": 1}, aliases=("nominal_batch",)),),
    turn_on="--nominal-batch 64",
    code=("techniques/auto.py",),
)
