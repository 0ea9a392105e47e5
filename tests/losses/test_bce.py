"""Binary cross-entropy and its variations against float64 formulas."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from lehr.losses.bce import ModulatingFactor, binary_loss, one_hot
from lehr.losses.focal import FocalFactor
from lehr.losses.label_smoothing import smoothed
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (250, 4))
TARGETS = RNG.uniform(0, 1, (250, 4)).round(1)
P = 1 / (1 + np.exp(-LOGITS))


def entropy(p: float, t: float) -> float:
    return -(t * math.log(p) + (1 - t) * math.log(1 - p))


def focal(logit: float, t: float, gamma: float, alpha: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    correct = t * p + (1 - t) * (1 - p)
    return (alpha * t + (1 - alpha) * (1 - t)) * (1 - correct) ** gamma * entropy(p, t)


def quality_focal(logit: float, t: float, beta: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return abs(t - p) ** beta * entropy(p, t)


def varifocal(logit: float, q: float, alpha: float, gamma: float) -> float:
    p = 1 / (1 + math.exp(-logit))
    return q * entropy(p, q) if q > 0 else -alpha * p**gamma * math.log(1 - p)


def slow(positive: float = 1.0) -> np.ndarray:
    return -(positive * TARGETS * np.log(P) + (1 - TARGETS) * np.log(1 - P))


def ours(positive: float = 1.0, factor: ModulatingFactor | None = None) -> np.ndarray:
    return binary_loss(torch.from_numpy(LOGITS), torch.from_numpy(TARGETS), positive, factor).numpy()


def test_plain() -> None:
    np.testing.assert_allclose(ours(), slow(), rtol=1e-9)


def test_positive_weight() -> None:
    np.testing.assert_allclose(ours(0.3), slow(0.3), rtol=1e-6)


@pytest.mark.parametrize(("gamma", "alpha"), [(0.5, 0.25), (1.5, 0.25), (2.0, 0.6), (0.0, 1.0)])
def test_focal_loss(gamma: float, alpha: float) -> None:
    expected = [
        focal(logit, target, gamma, alpha) for logit, target in zip(LOGITS.ravel(), TARGETS.ravel(), strict=True)
    ]
    np.testing.assert_allclose(ours(factor=FocalFactor(gamma, alpha)).ravel(), expected, rtol=1e-7)


@pytest.mark.parametrize("beta", [1.0, 2.0, 3.5])
def test_quality_focal_loss(beta: float) -> None:
    expected = [
        quality_focal(logit, target, beta) for logit, target in zip(LOGITS.ravel(), TARGETS.ravel(), strict=True)
    ]
    found = ours(factor=QualityFocalFactor(beta)).ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)


@pytest.mark.parametrize(("alpha", "gamma"), [(0.75, 2.0), (0.25, 0.5), (1.0, 0.0)])
def test_varifocal_loss(alpha: float, gamma: float) -> None:
    expected = [
        varifocal(logit, target, alpha, gamma) for logit, target in zip(LOGITS.ravel(), TARGETS.ravel(), strict=True)
    ]
    found = ours(factor=VarifocalFactor(alpha, gamma)).ravel()
    np.testing.assert_allclose(found, expected, rtol=1e-7, atol=1e-12)


FACTORS: list[ModulatingFactor] = [
    FocalFactor(0.5),
    FocalFactor(1.5),
    QualityFocalFactor(),
    QualityFocalFactor(1.0),
    VarifocalFactor(),
    VarifocalFactor(gamma=0.5),
    VarifocalFactor(gamma=0.0),
]


@pytest.mark.parametrize("factor", FACTORS)
def test_loss_and_gradient_are_finite_at_any_score(factor: ModulatingFactor) -> None:
    """Also where a score is exactly the target, and where it is 0 or 1 to the last bit."""
    logits = torch.tensor([0.0, 0.0, 20.0, 20.0, -20.0, -20.0, 200.0, 200.0, -200.0, -200.0, 1e4, -1e4])
    targets = torch.tensor([0.5, 0.0, 1.0, 0.0, 0.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.3, 0.3])
    logits.requires_grad_()
    loss = binary_loss(logits, targets, 1.7, factor)
    loss.sum().backward()
    assert torch.isfinite(loss).all() and logits.grad is not None and torch.isfinite(logits.grad).all()
    assert (loss >= 0).all()


@pytest.mark.parametrize("factor", [QualityFocalFactor(), VarifocalFactor()])
def test_a_score_is_taught_the_quality(factor: ModulatingFactor) -> None:
    """The loss is least where the score is the target, unlike that of focal loss."""
    logits = torch.linspace(-6, 6, 1201, dtype=torch.float64)
    for quality in (0.2, 0.5, 0.9):
        losses = binary_loss(logits, torch.full_like(logits, quality), factor=factor)
        assert float(logits[losses.argmin()].sigmoid()) == pytest.approx(quality, abs=0.005)


def test_smoothing_pulls_targets_towards_the_middle() -> None:
    assert smoothed(torch.tensor([0.0, 1.0, 0.5]), 0.1).tolist() == pytest.approx([0.05, 0.95, 0.5])
    targets = torch.tensor([0.0, 1.0])
    assert smoothed(targets, 0) is targets


def test_one_hot_has_nothing_for_padding() -> None:
    assert one_hot(torch.tensor([1, -1, 0]), 2).tolist() == [[0, 1], [0, 0], [1, 0]]
