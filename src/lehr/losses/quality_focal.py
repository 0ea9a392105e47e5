"""Class losses for targets that measure how well a box fits: quality focal loss and varifocal loss.

Both are the binary cross-entropy of a score against a target from 0 to 1, times a modulating factor:

- qfl: `|t - p|^beta`, so that correct scores count little (Li et al., "Generalized Focal Loss", 2020).
- vfl: t for the objects' own classes, so that well-fitting boxes count most, and `alpha p^gamma` for everything else,
  so that easy background counts little (Zhang et al., "VarifocalNet: An IoU-aware Dense Object Detector", 2021).

Both learn one score for class and quality. Task-aligned targets have this form. In a head with objectness, the
objectness learns the overlap, and the factor applies to it; classes of matched anchors have targets of 0 and 1, so that
the overlap does not count twice in their product.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lehr.losses.without_effect import why_no_score_loss, without
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

OPTIONS = ("cls_loss", "qfl_beta", "vfl_alpha", "vfl_gamma")


@dataclass(frozen=True, slots=True)
class QualityFocalFactor:
    """Modulating factor of quality focal loss, `|t - p|^beta`.

    Attributes:
        beta: how strongly correct scores are down-weighted, 1 or more; below, the gradient at p = t has no bound.
    """

    beta: float = 2.0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the factor of each element.

        Args:
            logits: any shape.
            targets: the same shape, 0 to 1.
        """
        return (targets - logits.sigmoid()).abs() ** self.beta


@dataclass(frozen=True, slots=True)
class VarifocalFactor:
    """Modulating factor of varifocal loss: the target where it is above 0, else `alpha p^gamma`.

    Attributes:
        alpha: weight of background, 0 or more.
        gamma: how strongly easy background is down-weighted, 0 or more.
    """

    alpha: float = 0.75
    gamma: float = 2.0

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Compute the factor of each element.

        Args:
            logits: any shape.
            targets: the same shape, 0 to 1.
        """
        background = self.alpha * torch.exp(self.gamma * F.logsigmoid(logits))  # finite gradient at p = 0
        return torch.where(targets > 0, targets, background)


def _without_effect(run: Run) -> dict[str, NoEffect]:
    kind = run.config.loss.cls_loss
    if (why := why_no_score_loss(run)) is not None:
        return without(OPTIONS, why)
    return {name: NoEffect(f"--cls-loss is {kind}") for name in OPTIONS[1:] if not name.startswith(kind)}


def _state(run: Run) -> State:
    loss = run.config.loss
    if loss.cls_loss == "qfl":
        return State(True, f"quality focal loss, beta {loss.qfl_beta:g}")
    return State(loss.cls_loss == "vfl", f"varifocal loss, alpha {loss.vfl_alpha:g}, gamma {loss.vfl_gamma:g}")


TECHNIQUE = Technique(
    name="quality focal and varifocal loss",
    page="quality-focal-loss",
    section=Section.LOSS,
    order=55,
    options=OPTIONS,
    without_effect=_without_effect,
    why="scores learn how well boxes fit, and easy background counts less",
    state=_state,
    switches=tuple(
        Switch(kind, {"cls_loss": kind}, {"cls_loss": "bce"}, one_of_several=True) for kind in ("qfl", "vfl")
    ),
    turn_on="--cls-loss qfl",
    turn_off="--cls-loss bce",
)
