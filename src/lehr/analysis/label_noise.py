"""Noise of labels, from how often a model and the labels disagree: logistic regression on labels that may err.

A detection of score `s` is right with probability `q(s) = sigmoid(a * logit(s) + b)`, and the label then says otherwise
with probability `e`. `a`, `b` and `e` are found by expectation maximisation (Bootkrajang and Kaban, "Label-noise robust
logistic regression", ECML 2012). That labels err at a rate which the most confident answers of a model show is the idea
of confident learning (Northcutt et al., "Confident learning: Estimating uncertainty in dataset labels", JAIR 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_SCORE = 1e-3
"""Scores below count as this one."""
ROUNDS, NEWTON_STEPS = 60, 4
MAX_LOST = 0.1
"""Highest `e`: where more of what is confidently detected is denied, it is the model that errs."""
LOST = (1.0, 49.0)
"""Labels that are assumed wrong and right before any is seen: a rate of 2%."""
SLOPE, SLOPE_WEIGHT = 1.0, 5.0
"""Slope before any label is seen, 1 for scores that are probabilities, and its weight in the fit."""


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """A fitted model of label noise.

    Attributes:
        slope: `a`.
        offset: `b`.
        lost: `e`, the share of what is right that the labels deny.
    """

    slope: float
    offset: float
    lost: float

    def right(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that a detection is right, whatever the labels say, (n,)."""
        return _sigmoid(self.slope * _logit(scores) + self.offset)

    def wrongly_denied(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that a detection is right where the label says it is not, (n,)."""
        right = self.right(scores)
        error = right * self.lost
        return np.asarray(error / np.maximum(error + 1 - right, 1e-12))


def fit_noise(scores: NDArray[np.float64], labels: NDArray[np.bool_]) -> NoiseModel:
    """Fit a model of label noise.

    Args:
        scores: float (n,), of detections, 0 to 1.
        labels: bool (n,), whether the labels agree.
    """
    x = _logit(scores)
    model = NoiseModel(SLOPE, 0.0, LOST[0] / sum(LOST))
    for _ in range(ROUNDS):
        truth = np.where(labels, 1.0, model.wrongly_denied(scores))
        slope, offset = _logistic(x, truth, model.slope, model.offset)
        lost = (float(truth[~labels].sum()) + LOST[0]) / (float(truth.sum()) + sum(LOST))
        model = NoiseModel(slope, offset, min(lost, MAX_LOST))
    return model


def _logistic(x: NDArray[np.float64], target: NDArray[np.float64], slope: float, offset: float) -> tuple[float, float]:
    """Take a few of Newton's steps of a logistic regression on shares, with a prior on the slope."""
    a, b = slope, offset
    for _ in range(NEWTON_STEPS):
        p = _sigmoid(a * x + b)
        weight = np.maximum(p * (1 - p), 1e-9)
        gradient = np.array([((target - p) * x).sum() + SLOPE_WEIGHT * (SLOPE - a), (target - p).sum() - 0.1 * b])
        cross = float((weight * x).sum())
        hessian = np.array([[(weight * x * x).sum() + SLOPE_WEIGHT, cross], [cross, weight.sum() + 0.1]])
        step = np.clip(np.linalg.solve(hessian, gradient), -1, 1)
        a, b = max(a + float(step[0]), 0.05), b + float(step[1])
    return a, b


def _logit(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    bounded = np.clip(scores, MIN_SCORE, 1 - MIN_SCORE)
    return np.asarray(np.log(bounded / (1 - bounded)), np.float64)


def _sigmoid(x: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -60, 60))), np.float64)
