"""Gradient accumulation: several batches make one optimizer step, so that small cards learn as large ones do.

The hyperparameters belong to a nominal batch of 64 images. With smaller batches, gradients add up over
`max(round(64 / batch), 1)` of them before the optimizer steps, and the weight decay is scaled by how closely that meets
64. A nominal batch below the batch turns accumulation off and leaves the decay unchanged.
"""

from __future__ import annotations

from lehr.runtime.counted import counted
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique
from lehr.techniques.auto import NOMINAL_BATCH


def accumulation(batch: int, nominal_batch: int) -> int:
    """Batches per optimizer step: `max(round(nominal / batch), 1)`."""
    return max(round(nominal_batch / batch), 1)


def scaled_weight_decay(weight_decay: float, batch: int, nominal_batch: int) -> float:
    """Weight decay for the actual number of images per optimizer step: `decay * batch * accumulation / meant`.

    `meant` is the nominal batch, but not less than the batch up to 64 images. So accumulation can be switched off by a
    small nominal batch without a change of the decay.

    Args:
        weight_decay: at the nominal batch.
        batch: images per batch.
        nominal_batch: images per optimizer step, as requested.
    """
    meant = max(nominal_batch, min(batch, NOMINAL_BATCH))
    return weight_decay * batch * accumulation(batch, nominal_batch) / meant


def _without_effect(run: Run) -> dict[str, NoEffect]:
    batch, nominal = run.plan.batch, run.plan.optimizer.nominal_batch
    if run.plan.accumulate > 1 or nominal > min(batch, NOMINAL_BATCH):  # a part of a batch changes the decay
        return {}
    return {
        "nominal_batch": NoEffect(f"a batch has {counted(batch, 'image')}, and is an optimizer step already", acts_as=1)
    }


def _state(run: Run) -> State:
    batches, nominal = run.plan.accumulate, run.plan.optimizer.nominal_batch
    return State(batches > 1, f"{counted(batches, 'batch')} an optimizer step (nominal batch {nominal})")


TECHNIQUE = Technique(
    name="accumulation",
    page="accumulation",
    section=Section.COURSE,
    order=40,
    options=("nominal_batch",),
    without_effect=_without_effect,
    why="small batches learn like large ones; on few images every batch is a step",
    state=_state,
    switches=(Switch("accumulation", {"nominal_batch": None}, {"nominal_batch": 1}, aliases=("nominal_batch",)),),
    turn_on="--nominal-batch 64",
    code=("techniques/auto.py",),
)
