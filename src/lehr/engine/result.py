"""Result of a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from lehr.evaluation.against_start import AgainstStart
from lehr.evaluation.metrics import Metrics
from lehr.evaluation.presentation import describe_metrics, metrics_table
from lehr.weights.best_of_run import BEST_WEIGHTS, LAST_WEIGHTS


@dataclass(frozen=True, slots=True, repr=False)
class TrainResult:
    """Result of a run.

    Attributes:
        folder: the run's folder.
        metrics: metrics of the best epoch on the validation split.
        best: the weights of the best epoch.
        last: the weights of the last epoch.
        against_start: comparison with the weights that it started from; None if they were not evaluated.
        older_against_start: the same, on older data (`--keep-val`).
        best_epoch: the best epoch, from 1 as in results.csv; None if none is better than the start.
    """

    folder: Path
    metrics: Metrics
    best: Path
    last: Path
    against_start: AgainstStart | None = None
    older_against_start: AgainstStart | None = None
    best_epoch: int | None = None

    @property
    def best_weights(self) -> Path:
        """The weights of the best epoch; the same as `best`."""
        return self.best

    def __repr__(self) -> str:
        return f"TrainResult({self.folder}; {self._best()}: {describe_metrics(self.metrics)})"

    def _best(self) -> str:
        return "no epoch better than the start" if self.best_epoch is None else f"best epoch {self.best_epoch}"

    def _repr_html_(self) -> str:
        return metrics_table(f"{self.folder}; {self._best()}", self.metrics)


def result_of(
    folder: Path,
    metrics: Metrics,
    against_start: AgainstStart | None = None,
    older_against_start: AgainstStart | None = None,
    *,
    best_epoch: int,
) -> TrainResult:
    """Read the result of a finished run from its folder.

    Args:
        folder: of the run.
        metrics: of the best epoch.
        against_start: comparison with the weights that it started from.
        older_against_start: the same, on older data.
        best_epoch: from 0; below 0 if none is better than the start.
    """
    weights = folder / BEST_WEIGHTS, folder / LAST_WEIGHTS
    best = best_epoch + 1 if best_epoch >= 0 else None
    return TrainResult(folder, metrics, *weights, against_start, older_against_start, best)
