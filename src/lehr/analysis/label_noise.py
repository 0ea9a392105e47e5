"""Noise of labels, estimated from how often a model and the labels disagree: a logistic regression whose labels may be wrong.

A detection of score `s` is right with probability `q(s) = sigmoid(a * logit(s) + b)`, and the label then says otherwise with
probability `e`; where it is wrong, the label says so all the same with probability `h`. `a`, `b`, `e` and `h` are found by
expectation maximisation (Bootkrajang and Kaban, "Label-noise robust logistic regression", ECML 2012). That labels err at a
rate that the most confident of the model's answers show is the idea of confident learning (Northcutt et al., JAIR 2021).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

MIN_SCORE = 1e-3
"""Scores below count as this one."""
ROUNDS, NEWTON_STEPS = 60, 4
LOST, ADDED = (1.0, 49.0), (0.5, 499.5)
"""Labels that are held to be wrong and right before any is seen, of what is there and of what is not: rates of 2% and 0.1%."""
SLOPE, SLOPE_WEIGHT = 1.0, 5.0
"""Slope before any label is seen, 1 for scores that are probabilities, and its weight in the fit."""


@dataclass(frozen=True, slots=True)
class NoiseModel:
    """A fitted model of label noise.

    Attributes:
        slope: `a`.
        offset: `b`.
        lost: `e`, the share of what is right that the labels deny.
        added: `h`, the share of what is wrong that the labels affirm.
    """

    slope: float
    offset: float
    lost: float
    added: float

    def right(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that a detection is right, whatever the labels say, (n,)."""
        return _sigmoid(self.slope * _logit(scores) + self.offset)

    def wrongly_denied(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that the label errs where it says no, (n,)."""
        right = self.right(scores)
        error = right * self.lost
        return error / np.maximum(error + (1 - right) * (1 - self.added), 1e-12)

    def wrongly_affirmed(self, scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the probability that the label errs where it says yes, (n,)."""
        right = self.right(scores)
        error = (1 - right) * self.added
        return error / np.maximum(error + right * (1 - self.lost), 1e-12)


def fit_noise(scores: NDArray[np.float64], labels: NDArray[np.bool_], *, adds: bool = True) -> NoiseModel:
    """Fit a model of label noise.

    Args:
        scores: float (n,), of detections, 0 to 1.
        labels: bool (n,), whether the labels agree.
        adds: whether labels can affirm what is wrong; otherwise `h` is 0.
    """
    x, y = _logit(scores), labels.astype(np.float64)
    model = NoiseModel(SLOPE, 0.0, LOST[0] / sum(LOST), ADDED[0] / sum(ADDED) if adds else 0.0)
    for _ in range(ROUNDS):
        denied, affirmed = model.wrongly_denied(scores), model.wrongly_affirmed(scores)
        truth = np.where(labels, 1 - affirmed, denied)
        slope, offset = _logistic(x, truth, model.slope, model.offset)
        lost = (float(((1 - y) * truth).sum()) + LOST[0]) / (float(truth.sum()) + sum(LOST))
        added = (float((y * (1 - truth)).sum()) + ADDED[0]) / (float((1 - truth).sum()) + sum(ADDED)) if adds else 0.0
        model = NoiseModel(slope, offset, lost, added)
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
