"""Binary cross-entropy with its variations: positive weights and a modulating factor.

Each is a separate term, so that any loss with class or objectness scores can use any of them.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lehr.losses.focal import FocalFactor
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor
from lehr.options import LossOptions

ModulatingFactor = Callable[[Tensor, Tensor], Tensor]
"""Function from logits and targets to a factor of each element's cross-entropy."""


def binary_loss(
    logits: Tensor, targets: Tensor, positive_weight: float = 1.0, factor: ModulatingFactor | None = None
) -> Tensor:
    """Compute the binary cross-entropy of each element, unreduced.

    Args:
        logits: any shape.
        targets: the same shape, 0 to 1.
        positive_weight: factor of the positive term.
        factor: modulating factor; None for none.
    """
    weight = None if positive_weight == 1 else torch.full((), positive_weight, device=logits.device)
    loss = F.binary_cross_entropy_with_logits(logits, targets, pos_weight=weight, reduction="none")
    return loss if factor is None else loss * factor(logits, targets)


def modulating_factor(options: LossOptions) -> ModulatingFactor | None:
    """Build the modulating factor of a run's class and objectness losses; None for plain cross-entropy."""
    if options.cls_loss == "qfl":
        return QualityFocalFactor(options.qfl_beta)
    if options.cls_loss == "vfl":
        return VarifocalFactor(options.vfl_alpha, options.vfl_gamma)
    return FocalFactor(options.fl_gamma, options.fl_alpha) if options.fl_gamma > 0 else None


def one_hot(classes: Tensor, count: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Classes int64 (...) as rows (..., count) with a one at the class; all zeros for -1."""
    return (classes.unsqueeze(-1) == torch.arange(count, device=classes.device)).to(dtype)
