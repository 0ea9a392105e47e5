"""Mixup: two canvases over each other, with the objects of both.

Zhang et al., "mixup: Beyond Empirical Risk Minimization", 2018; for detection Zhang et al., "Bag of Freebies", 2019.
"""

from __future__ import annotations

import numpy as np

from lehr.augment.tiles import Plan
from lehr.technique import Run, Section, State, Switch, Technique

BETA = 32.0
"""Both parameters of the share's Beta distribution: close to half and half."""


def mixup(plan: Plan, other: Plan, rng: np.random.Generator) -> Plan:
    """The blend `r a + (1 - r) b`, r from Beta(32, 32), with the objects of both at full weight.

    Args:
        plan: a.
        other: b.
        rng: draws r.
    """
    share = float(rng.beta(BETA, BETA))
    boxes = np.concatenate((plan.boxes, other.boxes))
    classes = np.concatenate((plan.classes, other.classes))
    return Plan(plan.tiles, boxes, classes, blend=(other, share))


def _state(run: Run) -> State:
    share = run.config.augment.mixup
    return State(share > 0 and not run.config.data.rect, f"probability {share:g}")


TECHNIQUE = Technique(
    name="mixup",
    page="mixup",
    section=Section.AUGMENTATION,
    order=20,
    options=("mixup",),
    why="blends teach what shines through; for large models",
    state=_state,
    switches=(Switch("mixup", {"mixup": 0.1}, {"mixup": 0.0}),),
)
