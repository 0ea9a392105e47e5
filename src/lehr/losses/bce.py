"""Binary cross-entropy with its variations: positive weights and the focal factor.

Each is a term of its own, so that any loss with class or objectness scores can use any of them.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from lehr.losses.focal import focal_factor


@dataclass(frozen=True, slots=True)
class BinaryLoss:
    """Binary cross-entropy of logits.

    Attributes:
        positive_weight: factor of the positive term.
        gamma: exponent of the focal factor; 0 turns it off.
    """

    positive_weight: float = 1.0
    gamma: float = 0.0

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
        return loss


def one_hot(classes: Tensor, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Classes int64 (...) as rows (..., count) with a one at the class; all zeros for -1."""
    return (classes.unsqueeze(-1) == torch.arange(count, device=classes.device)).to(dtype)
