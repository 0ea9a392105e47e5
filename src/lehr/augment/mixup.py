"""Mixup: two canvases blended, with the objects of both.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; for detection Zhang et al., "Bag of Freebies", 2019.
"""

from __future__ import annotations

import numpy as np

from lehr.augment.mosaic import why_single
from lehr.augment.tiles import Plan
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique


def mixup(plan: Plan, other: Plan, rng: np.random.Generator, beta: float = 32.0) -> Plan:
    """Blend `r a + (1 - r) b`, r from Beta(beta, beta), with the objects of both at full weight.

    Args:
        plan: a.
        other: b.
        rng: draws r.
        beta: both parameters of the distribution, above 0; the larger, the closer to half and half.
    """
    share = float(rng.beta(beta, beta))
    boxes = np.concatenate((plan.boxes, other.boxes))
    classes = np.concatenate((plan.classes, other.classes))
    return Plan(plan.tiles, boxes, classes, blend=(other, share))


def _without_effect(run: Run) -> dict[str, NoEffect]:
    if (why := why_single(run)) is not None:
        return {"mixup": NoEffect(why), "mixup_beta": NoEffect(why)}
    return {} if run.config.augment.mixup else {"mixup_beta": NoEffect("--mixup is 0")}


def _state(run: Run) -> State:
    augment = run.config.augment
    value = f"probability {augment.mixup:g}, shares from Beta({augment.mixup_beta:g}, {augment.mixup_beta:g})"
    return State(augment.mixup > 0, value)


TECHNIQUE = Technique(
    name="mixup",
    page="mixup",
    section=Section.AUGMENTATION,
    order=20,
    options=("mixup", "mixup_beta"),
    without_effect=_without_effect,
    why="blends regularize; for large models",
    state=_state,
    switches=(Switch("mixup", {"mixup": 0.1}, {"mixup": 0.0}),),
)
