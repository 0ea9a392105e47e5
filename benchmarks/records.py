"""Records of a benchmark's runs: one line of JSON each, trained once, and shown in tables of a document."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

Record = dict[str, Any]


def read_records(path: Path) -> list[Record]:
    """Read the recorded runs."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()] if path.exists() else []


def train_missing(path: Path, wanted: Iterable[tuple[Record, Callable[[], Record]]]) -> None:
    """Train the runs that are not recorded yet, and append the record of each as soon as it is done.

    Args:
        path: file of the records.
        wanted: what the record of each run must contain, and a function that trains the run and returns its record.
    """
    for run, train in wanted:
        if not any(run.items() <= record.items() for record in read_records(path)):
            record = train()
            with path.open("a", encoding="utf-8") as file:
                file.write(json.dumps(record) + "\n")
            print(f"{', '.join(f'{name} {value}' for name, value in run.items())}: {record['map']:.3f}", flush=True)


def spread(values: Sequence[float]) -> str:
    """Mean, minimum and maximum of some values, as text; a single value alone."""
    mean = f"{statistics.mean(values):.3f}"
    return mean if len(values) == 1 else f"{mean} ({min(values):.3f} to {max(values):.3f})"


def write_between(document: Path, begin: str, end: str, table: str, name: str) -> None:
    """Write a table into a document, between its markers.

    Args:
        document: a file with both markers.
        begin: line before the table.
        end: marker after it.
        table: the table, in Markdown.
        name: name of the table, for the message if its markers are missing.
    """
    before, _, rest = document.read_text(encoding="utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise SystemExit(f"{document}: lacks the markers of the table '{name}'.")
    document.write_text(f"{before}{begin}{table}\n{end}{after}", encoding="utf-8")
