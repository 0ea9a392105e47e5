"""Steps as CSV: `steps.csv` in the run's folder. Epochs are in `results.csv` in any case."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from typing import BinaryIO

from lehr.callbacks.logger import STEP, LoggedRun, Logger, Reached, Scalars
from lehr.runtime.reading import GIB, open_append, read_file

STEPS = "steps.csv"


class CsvLogger(Logger):
    """Writes the scalars of steps, a row each."""

    name = "csv"

    def __init__(self) -> None:
        self._file: BinaryIO | None = None
        self._columns: list[str] = []

    def begin(self, run: LoggedRun) -> Reached:
        """Open the file; a row that a kill cut off is removed."""
        path = run.folder / STEPS
        content = read_file(path, GIB, links=False) if path.is_file() else b""
        content = content[: content.rfind(b"\n") + 1]
        self._file = open_append(path)
        os.ftruncate(self._file.fileno(), len(content))
        rows = content.decode(errors="replace").splitlines()
        if rows:
            self._columns = next(csv.reader(rows[:1]))
        last = rows[-1].split(",")[0] if len(rows) > 1 else ""
        return Reached(step=int(last) if last.isdigit() else -1)

    def log(self, scalars: Scalars) -> None:
        """Write the row of a step."""
        if scalars.epoch is not None or self._file is None:
            return
        values = {"step": scalars.step, **{name.removeprefix(STEP): value for name, value in scalars.values.items()}}
        if not self._columns:
            self._columns = [*values, *(name for name in ("norm", "loss_scale") if name not in values)]
            self._file.write(_row(self._columns))
        self._file.write(_row([values.get(name, "") for name in self._columns]))

    def flush(self) -> None:
        """Hand the rows to the system."""
        if self._file is not None:
            self._file.flush()

    def close(self, finished: bool) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()


def _row(values: Sequence[str | float]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(f"{v:.9g}" if isinstance(v, float) else v for v in values)
    return text.getvalue().encode()
