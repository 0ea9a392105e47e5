"""Binary cross-entropy and its variations against float64 formulas."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lehr.losses.bce import BinaryLoss, one_hot
from lehr.losses.focal import focal_factor
from lehr.losses.label_smoothing import smoothed

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 3, (5, 4))
TARGETS = RNG.uniform(0, 1, (5, 4)).round(1)
P = 1 / (1 + np.exp(-LOGITS))


def slow(positive: float = 1.0) -> np.ndarray:
    return -(positive * TARGETS * np.log(P) + (1 - TARGETS) * np.log(1 - P))


def ours(loss: BinaryLoss) -> np.ndarray:
    return loss(torch.from_numpy(LOGITS), torch.from_numpy(TARGETS)).numpy()


def test_plain() -> None:
    np.testing.assert_allclose(ours(BinaryLoss()), slow(), rtol=1e-9)


def test_positive_weight() -> None:
    np.testing.assert_allclose(ours(BinaryLoss(0.3)), slow(0.3), rtol=1e-6)


@pytest.mark.parametrize("gamma", [0.5, 1.5, 2.0])
def test_focal(gamma: float) -> None:
    correct = np.where(TARGETS == 1, P, TARGETS * P + (1 - TARGETS) * (1 - P))
    factor = (0.25 * TARGETS + 0.75 * (1 - TARGETS)) * (1 - correct) ** gamma
    found = focal_factor(torch.from_numpy(LOGITS), torch.from_numpy(TARGETS), gamma).numpy()
    np.testing.assert_allclose(found, factor, rtol=1e-9)
    np.testing.assert_allclose(ours(BinaryLoss(gamma=gamma)), slow() * factor, rtol=1e-9)


def test_smoothing_pulls_targets_towards_the_middle() -> None:
    assert smoothed(torch.tensor([0.0, 1.0, 0.5]), 0.1).tolist() == pytest.approx([0.05, 0.95, 0.5])
    targets = torch.tensor([0.0, 1.0])
    assert smoothed(targets, 0) is targets


def test_one_hot_has_nothing_for_padding() -> None:
    assert one_hot(torch.tensor([1, -1, 0]), 2).tolist() == [[0, 1], [0, 0], [1, 0]]
