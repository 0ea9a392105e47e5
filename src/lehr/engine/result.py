"""Result of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lehr.evaluation.against_start import AgainstStart
from lehr.evaluation.metrics import Metrics
from lehr.weights.best_of_run import BEST_WEIGHTS, LAST_WEIGHTS


@dataclass(frozen=True, slots=True)
class TrainResult:
    """Result of a run.

    Attributes:
        folder: the run's folder.
        metrics: the numbers of the best epoch on the validation split.
        best: the weights of the best epoch.
        last: the weights of the last epoch.
        against_start: what came of the weights that it started from; None where they were not evaluated.
        older_against_start: the same on older data (`--keep-val`).
    """

    folder: Path
    metrics: Metrics
    best: Path
    last: Path
    against_start: AgainstStart | None = None
    older_against_start: AgainstStart | None = None


def result_of(
    folder: Path,
    metrics: Metrics,
    against_start: AgainstStart | None = None,
    older_against_start: AgainstStart | None = None,
) -> TrainResult:
    """Return the result that a finished run left in its folder."""
    weights = folder / BEST_WEIGHTS, folder / LAST_WEIGHTS
    return TrainResult(folder, metrics, *weights, against_start, older_against_start)
