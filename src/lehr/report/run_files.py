"""The files of a run's folder that its page is made from, which may come from anybody: bounded, and never run."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr.checkpoint.results_csv import MAX_RESULTS, RESULTS
from lehr.checkpoint.run_folder import CONFIG
from lehr.checkpoint.run_log import RunLog, read_run_log
from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.runtime.reading import read_file
from lehr.search.fitness import DEFAULT, METRICS, column_of, parse_fitness
from lehr.yaml_files import read_mapping

MAX_COLUMNS = 1000
Row = dict[str, float]
"""Numbers of an epoch by column of results.csv; columns without a number are not there."""
LEARNED = 0.0005
"""Average precision from which a result is not shown as 0.000."""


@dataclass(frozen=True, slots=True)
class RunFiles:
    """Contents of a run's files.

    Attributes:
        folder: the run's folder.
        options: its options by flat name, as config.yaml has them.
        rows: the epochs in results.csv, and with `--guard` the start as epoch 0.
        log: what events.jsonl holds; empty if there is none.
        notes: what could not be read, and why, a sentence each.
    """

    folder: Path
    options: Mapping[str, Any]
    rows: Sequence[Row]
    log: RunLog
    notes: Sequence[str]

    @property
    def epochs(self) -> Sequence[Row]:
        """Rows of epochs that were trained."""
        return [row for row in self.rows if row["epoch"] > 0]

    @property
    def best(self) -> Row | None:
        """Row of the best fitness, that of the run, the first of several; None if none was validated."""
        fitness = parse_fitness(DEFAULT)
        rated = [row for row in self.rows if "val/map" in row and "val/map50" in row]
        return max(
            rated, key=lambda row: fitness({name: row.get(column_of(name, row)) for name in METRICS}), default=None
        )

    @property
    def learned(self) -> bool:
        """Return whether any epoch found an object; True where that was not measured."""
        best = self.best
        return best is None or any(best.get(f"val/{name}", 0.0) >= LEARNED for name in ("map", "map50"))


def read_run(folder: Path) -> RunFiles:
    """Read the options and results of a run.

    Args:
        folder: the run's folder.

    Raises:
        InputError: it is not a folder of a run, or its options cannot be read.
    """
    if not (folder / CONFIG).is_file():
        raise InputError(
            f"{folder}: is not a run: it has no {CONFIG}. Name a folder that `lehr train` has made, e.g. runs/train."
        )
    options = read_mapping(folder / CONFIG, "Name another run.", links=False)
    notes: list[str] = []
    rows = _read_results(folder / RESULTS, notes)
    try:
        log = read_run_log(folder)
    except InputError as error:
        log = RunLog((), (str(error),))
    return RunFiles(folder, {str(name): value for name, value in options.items()}, rows, log, [*notes, *log.notes])


def _read_results(path: Path, notes: list[str]) -> list[Row]:
    try:
        text = read_file(path, MAX_RESULTS, links=False).decode("utf-8", errors="replace")
    except FileNotFoundError:
        notes.append("No epoch has finished yet.")
        return []
    except OSError as error:
        notes.append(f"{path.name}: cannot be read ({error.strerror}), so curves and metrics are missing.")
        return []
    rows, broken = [], 0
    try:
        for cells in csv.DictReader(io.StringIO(text)):
            row = {
                name: number
                for name, cell in list(cells.items())[:MAX_COLUMNS]
                if (number := _number(cell, name)) is not None
            }
            if "epoch" in row:
                rows.append(row)
            else:
                broken += 1
    except csv.Error as error:
        notes.append(f"{path.name}: is read up to line {len(rows) + 2} ({error}).")
    if broken:
        lines = counted(broken, "line has no epoch and is", "lines have no epoch and are")
        notes.append(f"{path.name}: {lines} not shown.")
    return rows


def _number(cell: object, name: object) -> float | None:
    """Return a cell's number; None if it is none, or not finite."""
    if not isinstance(cell, str) or not isinstance(name, str):
        return None
    try:
        number = float(cell)
    except ValueError:
        return None
    return number if math.isfinite(number) else None
