"""Trainings in processes of their own that tell on a pipe where they are."""

from __future__ import annotations

import itertools
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from tests.processes import Forked

from benchmarks import crash

SMALL = (*("--imgsz", "64", "--batch", "4", "--width", "0.125"), *("--device", "cpu", "--amp", "off"))


@dataclass(slots=True)
class Marked:
    """Starts `lehr` in processes whose steps, validations and checkpoints are told.

    Attributes:
        folder: for what they print.
        new_session: whether each leads a process group of its own.
    """

    folder: Path
    new_session: bool = False
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    def __call__(self, arguments: Sequence[str]) -> tuple[Forked, int]:
        """Starts a command; returns its process, and the end of the pipe to read its marks from."""
        reader, writer = Pipe(duplex=False)
        number = next(self._numbers)
        out, err = (self.folder / f"process-{number}.{kind}" for kind in ("out", "err"))
        process = Forked(_marked, writer, arguments, out=out, err=err, new_session=self.new_session)
        writer.close()
        return process, os.dup(reader.fileno())


def _marked(writer: Connection, arguments: Sequence[str]) -> Any:
    os.environ[crash.PIPE] = str(writer.fileno())
    crash.child(arguments)


def wait_for_marks(reader: int, count: int, mark: bytes = crash.STEP) -> None:
    """Waits until something has begun so many times."""
    while count:
        told = os.read(reader, 1)
        assert told, "the run ended before"
        count -= told == mark
