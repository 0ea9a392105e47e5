"""Fitness, which a study maximises: a weighted sum of an epoch's metrics, of the best epoch of a trial."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lehr.errors import InputError, did_you_mean

METRICS = ("map", "map50", "map75", "map_max_det", "map50_max_det", "precision", "recall", "f1")
"""Columns `val/...` of results.csv that a fitness may be made of; 0 to 1, higher is better."""
DEFAULT = "0.1*map50_max_det+0.9*map_max_det"
"""That of a run: of all detections that are kept (`lehr.evaluation.metrics.Metrics.fitness`)."""
FORMER_DEFAULT = "0.1*map50+0.9*map"
"""That of studies begun when runs measured COCO's averages alone; they keep it."""
COCO = {"map_max_det": "map", "map50_max_det": "map50"}
"""COCO's metric in place of one that a run begun earlier does not have."""


@dataclass(frozen=True, slots=True)
class Fitness:
    """A weighted sum of metrics.

    Attributes:
        weights: by metric.
    """

    weights: Mapping[str, float]

    def __call__(self, metrics: Mapping[str, float | None]) -> float:
        """The fitness of an epoch; a metric that could not be measured counts 0."""
        return sum(weight * (metrics.get(name) or 0.0) for name, weight in self.weights.items())


@dataclass(frozen=True, slots=True)
class Epoch:
    """A finished epoch of a run, as results.csv has it.

    Attributes:
        seconds: since the run began, validation included.
        images_per_second: of the training loop.
        metrics: by name, those of `METRICS`; None where there was nothing to measure on.
    """

    seconds: float
    images_per_second: float
    metrics: Mapping[str, float | None]


def parse_fitness(text: str) -> Fitness:
    """A fitness from text: a metric such as `map50`, or a sum such as `0.1*map50+0.9*map`.

    Raises:
        InputError: a term is not `metric` or `weight*metric`, or the metric is unknown.
    """
    weights: dict[str, float] = {}
    for term in text.replace(" ", "").split("+"):
        weight, star, name = term.rpartition("*")
        if name not in METRICS:
            raise InputError(
                f"--fitness {text}: unknown metric '{name}'. {did_you_mean(name, METRICS)} "
                f"Give one, or a sum such as {DEFAULT}."
            )
        try:
            factor = float(weight) if star else 1.0
        except ValueError:
            factor = float("nan")
        if not 0 < factor < float("inf"):
            raise InputError(f"--fitness {text}: '{weight}' must be a number above 0, as in {DEFAULT}.")
        weights[name] = weights.get(name, 0.0) + factor
    return Fitness(weights)


def read_epochs(path: Path) -> list[Epoch]:
    """The epochs of a run so far, from its results.csv; none where the file is not there yet."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except FileNotFoundError:
        return []
    return [
        Epoch(
            float(row["seconds"]),
            float(row["images_per_second"]),
            {name: _value(row, name) for name in METRICS},
        )
        for row in rows
    ]


def _value(row: Mapping[str, str], name: str) -> float | None:
    """The value of a metric in a row of results.csv; None where there was nothing to measure on."""
    text = row.get(f"val/{name}") or row.get(f"val/{COCO.get(name, name)}")
    return float(text) if text else None
