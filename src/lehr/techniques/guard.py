"""Guard: a fine-tuning evaluates its start before the first step, and the start is the best until an epoch is better.

Only if all classes of the data start from the weights is the start a complete detector that can be compared with the
trained one. At the end the run reports the change, with an interval (`lehr.evaluation.bootstrap`).
"""

from __future__ import annotations

from collections.abc import Sequence

from lehr.config import TrainConfig
from lehr.technique import NoEffect, Run, Section, State, Technique
from lehr.techniques.pretrained_start import expected_transfer
from lehr.weights.transfer import Transfer


def is_guarded(config: TrainConfig, transfer: Transfer | None) -> bool:
    """Return whether a new run evaluates its start.

    Args:
        config: its options.
        transfer: what was loaded from weights; None for a random start.
    """
    return _obstacle(transfer) is None and config.run.guard == "auto"


def knows(config: TrainConfig, transfer: Transfer | None, names: Sequence[str]) -> bool:
    """Return whether the start of a new run is evaluated on older data, since all of their classes come from weights.

    Args:
        config: its options.
        transfer: what was loaded from weights; None for a random start.
        names: classes of the older data, as the run names them.
    """
    if transfer is None or not transfer.is_most or config.run.guard == "off":
        return False
    return set(names) <= set(transfer.classes.carried)


def _obstacle(transfer: Transfer | None) -> str | None:
    """Return why a start cannot be compared with the trained model; None if it can."""
    if transfer is None:
        return "no --weights are given"
    if not transfer.is_most:
        return "most of the model does not start from the weights"
    if transfer.classes.fresh or not transfer.classes.carried:
        return "not all classes start from the weights"
    return None


def _seen(run: Run) -> str | None:
    if run.config.model.weights is None or run.dataset is None:
        return None if run.config.model.weights is not None else _obstacle(None)
    transfer = expected_transfer(run.config, run.dataset.names)
    return None if transfer is None else _obstacle(transfer)  # unreadable weights: the run itself reports them


def _without_effect(run: Run) -> dict[str, NoEffect]:
    why = _seen(run)
    return {} if why is None else {"guard": NoEffect(why)}


def _state(run: Run) -> State:
    if run.config.run.guard == "off" or run.config.model.weights is None:
        return State(False, change="" if run.config.model.weights is not None else "--weights FILE")
    return State(True, "the start is the best until an epoch is better")


TECHNIQUE = Technique(
    name="guard",
    page="guard",
    section=Section.COURSE,
    order=82,
    options=("guard",),
    without_effect=_without_effect,
    why="the best of a fine-tuning is never worse than its start",
    state=_state,
    turn_on="--guard auto",
    turn_off="--guard off",
    code=("engine/guard.py", "evaluation/bootstrap.py", "evaluation/against_start.py"),
)
