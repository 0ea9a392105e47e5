"""results.csv: one row per epoch."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.plain_text import csv_cell, one_line
from lehr.runtime.reading import MIB, read_file

RESULTS = "results.csv"
MAX_RESULTS = 64 * MIB
"""Bytes of results.csv: a million epochs."""
Row = dict[str, float | int | str | None]
"""A row of results.csv by column."""


def write_results(path: Path, rows: Sequence[Mapping[str, float | int | str | None]]) -> None:
    """Write all rows of a run under a header; the file appears whole or not at all.

    The file is a view of the training state, so that a run that was killed has neither a gap nor a doubled row.

    Args:
        path: the file.
        rows: values by column; None is written as nothing, and so is a column that a row lacks: a run from before the
            column existed resumes with it. Without rows there is no file.

    Raises:
        InputError: the file cannot be written.
    """
    if not rows:
        path.unlink(missing_ok=True)
        return
    text = io.StringIO()
    columns = dict.fromkeys(name for row in (rows[-1], *rows) for name in row)
    writer = csv.DictWriter(text, fieldnames=list(columns), lineterminator="\n")
    writer.writerow({name: csv_cell(name) for name in columns})
    writer.writerows({name: _text(value) for name, value in row.items()} for row in rows)
    with atomic_file(path, "Make room.") as temporary:
        temporary.write_text(text.getvalue(), encoding="utf-8")


def read_results(path: Path, remedy: str = "") -> list[dict[str, str | None]]:
    """Read all rows of a run as text by column, None if a row ends before; none if there is no file yet.

    Args:
        path: the file.
        remedy: what to do about a file that is not a table.

    Raises:
        InputError: it cannot be read, or is not a table.
    """
    try:
        text = read_file(path, MAX_RESULTS, links=False).decode("utf-8")
        return list(csv.DictReader(io.StringIO(text, newline="")))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: is not a table of epochs ({one_line(str(error))}). {remedy}".rstrip()) from None


def _text(value: float | int | str | None) -> str:
    if value is None:
        return ""
    return f"{value:.6g}" if isinstance(value, float) else csv_cell(str(value))
