"""Binary cross-entropy of scores and its slope, plain or with a modulating factor; twin of `lehr.losses.bce`.

KIND is plain, focal (FIRST is gamma, SECOND alpha), quality (FIRST is beta) or varifocal (FIRST is alpha, SECOND
gamma).
"""

from __future__ import annotations

import triton
import triton.language as tl

from lehr.kernels.geometry import log1p, power


@triton.jit
def _probabilities(logit):
    """Probability of a class and of none, both exact when small."""
    small = tl.exp(-tl.abs(logit))
    scale = 1.0 / (1 + small)
    return tl.where(logit >= 0, 1.0, small) * scale, tl.where(logit >= 0, small, 1.0) * scale


@triton.jit
def cross_entropy(logit, target, positive_weight):
    """Binary cross-entropy of logits against targets of 0 to 1."""
    softplus = log1p(tl.exp(-tl.abs(logit))) + tl.maximum(-logit, 0.0)  # of -logit
    return (1 - target) * logit + (1 + (positive_weight - 1) * target) * softplus


@triton.jit
def _focal(p, none, target, SECOND: tl.constexpr):
    """Error and balance of focal loss."""
    error = 1 - (target * p + (1 - target) * none)
    return error, target * SECOND + (1 - target) * (1 - SECOND)


@triton.jit
def _factor(p, none, target, KIND: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Modulating factor of the cross-entropy."""
    if KIND == "focal":
        error, balance = _focal(p, none, target, SECOND)
        factor = balance * power(tl.maximum(error, 1e-12), FIRST)
    elif KIND == "quality":
        factor = power(tl.abs(target - p), FIRST)
    else:
        factor = tl.where(target > 0, target, FIRST * power(p, SECOND))
    return factor


@triton.jit
def _factor_slope(p, none, target, KIND: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Derivative of the factor with respect to the logit."""
    if KIND == "focal":
        error, balance = _focal(p, none, target, SECOND)
        slope = -FIRST * balance * power(tl.maximum(error, 1e-12), FIRST - 1) * (2 * target - 1) * p * none
        slope = tl.where(error >= 1e-12, slope, 0.0)
    elif KIND == "quality":
        away = target - p
        slope = -FIRST * power(tl.abs(away), FIRST - 1) * p * none
        slope = tl.where(away > 0, slope, tl.where(away < 0, -slope, 0.0))
    else:
        slope = tl.where(target > 0, 0.0, FIRST * SECOND * power(p, SECOND) * none)
    return slope


@triton.jit
def score_loss(logit, target, positive_weight, KIND: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Loss of logits against targets of 0 to 1."""
    loss = cross_entropy(logit, target, positive_weight)
    if KIND != "plain":
        p, none = _probabilities(logit)
        loss = loss * _factor(p, none, target, KIND, FIRST, SECOND)
    return loss


@triton.jit
def score_slope(logit, target, positive_weight, KIND: tl.constexpr, FIRST: tl.constexpr, SECOND: tl.constexpr):
    """Derivative of the loss with respect to the logits."""
    p, none = _probabilities(logit)
    slope = (1 - target) - (1 + (positive_weight - 1) * target) * none
    if KIND != "plain":
        slope = slope * _factor(p, none, target, KIND, FIRST, SECOND)
        loss = cross_entropy(logit, target, positive_weight)
        slope += loss * _factor_slope(p, none, target, KIND, FIRST, SECOND)
    return slope
