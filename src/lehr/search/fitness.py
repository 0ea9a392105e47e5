"""Fitness, which a study maximises: a weighted sum of an epoch's metrics, of the best epoch of a trial."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lehr.checkpoint.results_csv import read_results
from lehr.errors import InputError, did_you_mean
from lehr.runtime.plain_text import one_line

METRICS = ("map", "map50", "map75", "map_max_det", "map50_max_det", "precision", "recall", "f1")
"""Columns `val/...` of results.csv that a fitness may be made of; 0 to 1, higher is better."""
DEFAULT = "0.1*map50_max_det+0.9*map_max_det"
"""That of a run: of all detections that are kept (`lehr.evaluation.metrics.Metrics.fitness`)."""
FORMER_DEFAULT = "0.1*map50+0.9*map"
"""That of studies begun when runs measured COCO's averages alone; they keep it."""
COCO = {"map_max_det": "map", "map50_max_det": "map50"}
"""COCO's metric in place of one that a run begun earlier does not have."""
MAX_SECONDS = 1e12
"""Largest number that an epoch has."""


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
        metrics: by name, those of `METRICS`; None if there was nothing to measure on.
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
    """The epochs of a run so far, from its results.csv; none if the file is not there yet.

    Row 0, the weights that a run starts from, is not an epoch.

    Raises:
        InputError: it cannot be read, or is not a results.csv of a run.
    """
    rows = read_results(path, "Remove the run.")
    return [_epoch(row, f"{path}:{number}") for number, row in enumerate(rows, 2) if row.get("epoch") != "0"]


def column_of(name: str, row: Mapping[str, object]) -> str:
    """Return the column of a row that holds a metric, or COCO's in its place; nothing if there is neither.

    Args:
        name: one of `METRICS`.
        row: of results.csv, by column.
    """
    columns = (f"val/{name}", f"val/{COCO.get(name, name)}")
    return next((each for each in columns if row.get(each) not in (None, "")), "")


def _epoch(row: Mapping[str, str | None], where: str) -> Epoch:
    """An epoch from its row.

    Args:
        row: by column; None if the row ends before.
        where: file and line, for messages.

    Raises:
        InputError: a column is missing, or its value is not a number.
    """
    seconds, speed = (_number(row.get(name), name, where) for name in ("seconds", "images_per_second"))
    if seconds is None or speed is None or seconds < 0 or seconds > MAX_SECONDS:
        raise InputError(f"{where}: 'seconds' and 'images_per_second' are not times of an epoch. Remove the run.")
    return Epoch(seconds, speed, {name: _value(row, name, where) for name in METRICS})


def _value(row: Mapping[str, str | None], name: str, where: str) -> float | None:
    """The value of a metric in a row of results.csv; None if there was nothing to measure on."""
    column = column_of(name, row)
    return _number(row.get(column), column, where)


def _number(text: str | None, column: str, where: str) -> float | None:
    """A finite number; None if there is none."""
    if not text:
        return None
    try:
        value = float(text)
    except (ValueError, TypeError):  # a row with more fields than columns has a list of the others
        value = math.inf
    if math.isinf(value) or abs(value) > MAX_SECONDS:
        shown = one_line(str(text)[:40])
        raise InputError(f"{where}: '{shown}' in the column '{column}' is not a number of an epoch. Remove the run.")
    return None if math.isnan(value) else value
