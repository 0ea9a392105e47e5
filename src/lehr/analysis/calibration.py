"""Calibration: whether of the detections with a score of 0.8 about 80% are right.

The expected calibration error is the mean over bins of equal width of the distance between mean score and share of
right detections, weighted by their detections (Guo et al., "On Calibration of Modern Neural Networks", ICML 2017).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.evaluation.matching import ClassMatches

BINS = 10


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """Scores against the share of detections that are right, in bins of equal width; detections that count, IoU 0.5.

    Attributes:
        counts: int64 (bins,), detections.
        scores: float64 (bins,), their mean score; nan for an empty bin.
        right: float64 (bins,), the share of them that is right; nan likewise.
        error: the expected calibration error, 0 to 1; None without detections.
        worst: the largest distance of a bin; None likewise.
        errors: float64 (classes,), the expected error of each class; nan for one without detections.
    """

    counts: NDArray[np.int64]
    scores: NDArray[np.float64]
    right: NDArray[np.float64]
    error: float | None
    worst: float | None
    errors: NDArray[np.float64]

    def as_dict(self, names: Sequence[str]) -> dict[str, Any]:
        """Everything by name, as JSON can hold it.

        Args:
            names: the class names.
        """
        columns = (self.counts.tolist(), self.scores.tolist(), self.right.tolist())
        bins = [
            {"detections": count, "score": score if count else None, "right": right if count else None}
            for count, score, right in zip(*columns, strict=True)
        ]
        by_class = {
            name: None if np.isnan(error) else error for name, error in zip(names, self.errors.tolist(), strict=True)
        }
        return {"bins": bins, "expected_error": self.error, "largest_error": self.worst, "classes": by_class}


def calibrate(matches: Sequence[ClassMatches]) -> Calibration:
    """Measure how well scores say how often detections are right.

    Args:
        matches: the detections of each class that count.
    """
    numbers = [_bins(each.scores, each.hits[0]) for each in matches]
    scores, hits = (
        np.concatenate([np.zeros(0), *values])
        for values in ([each.scores for each in matches], [each.hits[0] for each in matches])
    )
    counts, mean, right = _bins(scores, hits)
    distances = np.abs(mean - right)[counts > 0]
    return Calibration(
        counts,
        mean,
        right,
        _expected(counts, mean, right) if len(scores) else None,
        float(distances.max()) if len(scores) else None,
        np.array([_expected(*each) for each in numbers], np.float64),
    )


def _bins(
    scores: NDArray[np.float64], hits: NDArray[Any]
) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
    """Count of each bin, mean score, and share of right detections; nan for empty ones."""
    own = np.clip((scores * BINS).astype(np.int64), 0, BINS - 1)
    counts = np.bincount(own, minlength=BINS)
    with np.errstate(invalid="ignore"):
        mean, right = (np.bincount(own, values, BINS) / counts for values in (scores, hits.astype(np.float64)))
    return counts.astype(np.int64), mean, right


def _expected(counts: NDArray[np.int64], mean: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """The expected calibration error; nan without detections."""
    if not counts.sum():
        return float("nan")
    return float(np.nansum(counts * np.abs(mean - right)) / counts.sum())
