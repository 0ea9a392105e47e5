"""results.csv: one row an epoch."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path


def append_result(path: Path, row: Mapping[str, float | int | str | None]) -> None:
    """Adds a row to a CSV file, with the header first when the file is new; None is written as nothing.

    Args:
        path: the file.
        row: values by column; every row of a file has the same columns.
    """
    new = not path.exists()
    with path.open("a", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(row), lineterminator="\n")
        if new:
            writer.writeheader()
        writer.writerow({name: _text(value) for name, value in row.items()})


def _text(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
