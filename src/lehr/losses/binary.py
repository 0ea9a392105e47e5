"""Binary cross-entropy with its variations: positive weights, label smoothing, the focal factor, class weights.

Each is a term of its own, so that any loss with class or objectness scores can use any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

FOCAL_ALPHA = 0.25


@dataclass(frozen=True, slots=True)
class BinaryLoss:
    """Binary cross-entropy of logits.

    Attributes:
        positive_weight: factor of the positive term.
        gamma: exponent of the focal factor; 0 turns it off.
        class_weights: (classes,), factors along the last axis, on the device of the logits; None for none.
    """

    positive_weight: float = 1.0
    gamma: float = 0.0
    class_weights: Tensor | None = None

    def __call__(self, logits: Tensor, targets: Tensor) -> Tensor:
        """The loss of each element, unreduced.

        Args:
            logits: any shape.
            targets: the same shape, 0 to 1.
        """
        weight = None if self.positive_weight == 1 else torch.full((), self.positive_weight, device=logits.device)
        loss = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight, reduction="none")
        if self.gamma > 0:
            loss = loss * focal_factor(logits, targets, self.gamma)
        if self.class_weights is not None:
            loss = loss * self.class_weights
        return loss


def focal_factor(logits: Tensor, targets: Tensor, gamma: float, alpha: float = FOCAL_ALPHA) -> Tensor:
    """What the focal loss multiplies the cross-entropy by: `alpha_t (1 - p_t)^gamma`, so that easy examples count less.

    `p_t = t p + (1 - t)(1 - p)` and `alpha_t = t alpha + (1 - t)(1 - alpha)`, with p the probability and t the target,
    which may lie between 0 and 1 (Lin et al., "Focal Loss for Dense Object Detection", 2017).

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


def smoothed(targets: Tensor, smoothing: float) -> Tensor:
    """Targets pulled towards the middle: `t (1 - s) + s / 2` (Szegedy et al., 2016, in its two-class form).

    Args:
        targets: any shape, 0 to 1.
        smoothing: s, 0 to 1; 0 changes nothing.
    """
    return targets if smoothing == 0 else targets * (1 - smoothing) + smoothing / 2


def one_hot(classes: Tensor, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Classes int64 (...) as rows (..., count) with a one at the class; all zeros for -1."""
    return (classes.unsqueeze(-1) == torch.arange(count, device=classes.device)).to(dtype)
