"""Focal loss: easy examples count less, so that thousands of background cells do not drown a few objects.

Lin et al., "Focal Loss for Dense Object Detection", 2017; with targets between 0 and 1 as Li et al., "Generalized Focal
Loss", 2020.
"""

from __future__ import annotations

from torch import Tensor

from lehr.technique import Section, State, Switch, Technique

FOCAL_ALPHA = 0.25


def focal_factor(logits: Tensor, targets: Tensor, gamma: float, alpha: float = FOCAL_ALPHA) -> Tensor:
    """Factor of the cross-entropy in the focal loss: `alpha_t (1 - p_t)^gamma`, so that easy examples count less.

    `p_t = t p + (1 - t)(1 - p)` and `alpha_t = t alpha + (1 - t)(1 - alpha)`, with p the probability and t the target,
    which may lie between 0 and 1.

    Args:
        logits: any shape.
        targets: the same shape, 0 to 1.
        gamma: how strongly easy examples are played down, 0 or more.
        alpha: weight of positives against negatives, 0 to 1.
    """
    probability = logits.sigmoid()
    correct = targets * probability + (1 - targets) * (1 - probability)
    balance = targets * alpha + (1 - targets) * (1 - alpha)
    factor: Tensor = balance * (1 - correct) ** gamma
    return factor


TECHNIQUE = Technique(
    name="focal loss",
    page="focal-loss",
    section=Section.LOSS,
    order=50,
    options=("fl_gamma",),
    why="easy background counts less",
    state=lambda run: State(run.config.loss.fl_gamma > 0, f"gamma {run.config.loss.fl_gamma:g}"),
    switches=(Switch("focal_loss", {"fl_gamma": 1.5}, {"fl_gamma": 0.0}, aliases=("fl_gamma",)),),
)
