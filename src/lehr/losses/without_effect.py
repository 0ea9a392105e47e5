"""Loss options without effect: those of a part whose gain is 0, or that a model does not learn.

With anchors, a single class is not learned at all: the objectness covers it (see `anchor_based.py`).
"""

from __future__ import annotations

from lehr.config import TrainConfig
from lehr.technique import NoEffect, Run


def gain(config: TrainConfig, part: str) -> float:
    """Return the gain of a part of the loss: the given one, else the family's.

    Args:
        config: the run's options.
        part: box, cls or obj.
    """
    given = getattr(config.loss, part)
    return float(config.family.gains[part] if given is None else given)


def why_no_class_loss(run: Run) -> str | None:
    """Return why classes add nothing to the loss of a planned run; None if they do."""
    if run.config.family.anchors and run.classes == 1:
        return f"{run.config.model.model} learns no class if there is only one"
    return "--cls is 0" if gain(run.config, "cls") == 0 else None


def why_no_score_loss(run: Run) -> str | None:
    """Return why neither classes nor objectness add to the loss of a planned run; None if one of them does."""
    why = why_no_class_loss(run)
    if why is None or not run.config.family.anchors:
        return why
    return f"--obj is 0, and {why}" if gain(run.config, "obj") == 0 else None


def gains_without_effect(run: Run) -> dict[str, NoEffect]:
    """Return which gains and weights of the loss have no effect in a planned run, and why."""
    found: dict[str, NoEffect] = {}
    if (why := why_no_class_loss(run)) is not None:
        found["cls_pw"] = NoEffect(why)
        if run.config.family.anchors and run.classes == 1:
            found["cls"] = NoEffect(why)
    if run.config.family.anchors and gain(run.config, "obj") == 0:
        found["obj_pw"] = NoEffect("--obj is 0")
    return found


def without(names: tuple[str, ...], why: str | None) -> dict[str, NoEffect]:
    """Map options to the reason why they have no effect; empty without a reason."""
    return {} if why is None else dict.fromkeys(names, NoEffect(why))
