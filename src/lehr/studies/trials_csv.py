"""A study's table of trials, and text files that appear whole or not at all."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Sequence
from pathlib import Path

from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.plain_text import csv_cell
from lehr.search.fitness import METRICS
from lehr.search.records import Record

COLUMNS = ("trial", "state", "fitness", *METRICS, "epochs", "seconds", "memory", "worker", "begun", "run")


def write_table(
    records: Sequence[Record], names: Sequence[str], values: Callable[[Record], Sequence[object]], path: Path
) -> None:
    """Write a row per trial: its outcome and values; no cell is a formula for a spreadsheet.

    Args:
        records: the trials.
        names: of the columns of values.
        values: of a trial.
        path: the file.

    Raises:
        InputError: it cannot be written.
    """
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow((*COLUMNS, *map(csv_cell, names)))
    for record in records:
        numbers = (record.fitness, *(record.metrics.get(name) for name in METRICS))
        writer.writerow(
            (
                *(record.slot, record.state),
                *map(_number, numbers),
                *(len(record.course), _number(record.seconds), _number(record.memory)),
                *(csv_cell(record.worker), record.attempts, csv_cell(record.folder)),
                *(csv_cell(value) if isinstance(value, str) else value for value in values(record)),
            )
        )
    write_text(path, text.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a file; atomically.

    Raises:
        InputError: it cannot be written.
    """
    with atomic_file(path, "Make room.") as temporary:
        temporary.write_text(text, encoding="utf-8")


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}"
