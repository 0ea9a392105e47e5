"""Focal loss: easy examples count less, so that thousands of background cells do not drown a few objects.

Lin et al., "Focal Loss for Dense Object Detection", 2017; with targets between 0 and 1 as Li et al., "Generalized Focal
Loss", 2020.
"""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor

from lehr.losses.without_effect import why_no_score_loss, without
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

MIN_ERROR = 1e-12
"""Keeps the gradient finite if an example is exactly right and gamma is below 1."""


@dataclass(frozen=True, slots=True)
class FocalFactor:
    """Modulating factor of the focal loss: `alpha_t (1 - p_t)^gamma`, so that easy examples count less.

    `p_t = t p + (1 - t)(1 - p)` and `alpha_t = t alpha + (1 - t)(1 - alpha)`, with p the probability and t the target,
    which may be between 0 and 1.

    Attributes:
        gamma: how strongly easy examples are down-weighted, 0 or more.
        alpha: weight of positives against negatives, 0 to 1.
    """

    gamma: float
    alpha: float = 0.25

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the factor of each element.

        Args:
            logits: any shape.
            targets: the same shape, 0 to 1.
        """
        probability = logits.sigmoid()
        correct = targets * probability + (1 - targets) * (1 - probability)
        balance = targets * self.alpha + (1 - targets) * (1 - self.alpha)
        factor: Tensor = balance * (1 - correct).clamp(min=MIN_ERROR) ** self.gamma
        return factor


def _without_effect(run: Run) -> dict[str, NoEffect]:
    if (why := why_no_score_loss(run)) is not None:
        return without(("fl_gamma", "fl_alpha"), why)
    return {} if run.config.loss.fl_gamma else {"fl_alpha": NoEffect("--fl-gamma is 0")}


def _state(run: Run) -> State:
    loss = run.config.loss
    return State(loss.fl_gamma > 0, f"gamma {loss.fl_gamma:g}, alpha {loss.fl_alpha:g}")


TECHNIQUE = Technique(
    name="focal loss",
    page="focal-loss",
    section=Section.LOSS,
    order=50,
    options=("fl_gamma", "fl_alpha"),
    without_effect=_without_effect,
    why="easy background counts less",
    state=_state,
    switches=(Switch("focal_loss", {"fl_gamma": 1.5}, {"fl_gamma": 0.0}, aliases=("fl_gamma",)),),
)
