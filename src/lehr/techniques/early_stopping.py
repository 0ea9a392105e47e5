"""Early stopping: the run ends when the result has not improved for `patience` epochs (Prechelt, 1998).

Counted from the first epoch with a result: a detector may need many epochs until its first object is found.
"""

from __future__ import annotations

from dataclasses import dataclass

from lehr.runtime.counted import counted
from lehr.technique import NoEffect, Run, Section, State, Technique


@dataclass(slots=True)
class EarlyStopping:
    """Record of the best result and how long ago it was.

    Attributes:
        patience: epochs without a better result before the run stops; 0 never stops it.
        best: the best fitness so far; -1 before the first.
        best_epoch: the epoch of the best fitness, from 0; -1 before the first.
    """

    patience: int
    best: float = -1.0
    best_epoch: int = -1

    def update(self, epoch: int, fitness: float | None) -> bool:
        """Record an epoch's fitness; return whether it is the best so far.

        Args:
            epoch: from 0.
            fitness: None if there were no objects to measure on: the last such epoch is the best until one has a
                fitness.
        """
        if fitness is None:
            if self.best >= 0:
                return False
            self.best_epoch = epoch
            return True
        better = fitness > self.best
        if better:
            self.best, self.best_epoch = fitness, epoch
        return better

    def should_stop(self, epoch: int) -> bool:
        """Return whether `patience` epochs passed without a better result, after one above 0."""
        return 0 < self.patience <= epoch - self.best_epoch and self.best > 0


def _without_effect(run: Run) -> dict[str, NoEffect]:
    patience, epochs = run.config.schedule.patience, run.plan.epochs
    if patience == 0 or patience < epochs - 1:
        return {}
    count = f"{epochs} epochs" if epochs > 1 else "one epoch"
    return {"patience": NoEffect(f"the run has {count}, and ends before that", acts_as=0)}


def _state(run: Run) -> State:
    patience, epochs = run.config.schedule.patience, run.plan.epochs
    if patience > 0 and not _without_effect(run):
        return State(
            True, f"after {counted(patience, 'epoch')} without a better result, counted from the first above 0"
        )
    return State(False, change=f"--patience N, N below {epochs - 1}" if epochs > 2 else "more --epochs")


TECHNIQUE = Technique(
    name="early stopping",
    page="early-stopping",
    section=Section.COURSE,
    order=80,
    options=("patience",),
    without_effect=_without_effect,
    why="time is not spent on what no longer improves",
    state=_state,
    turn_off="--patience 0",
)
