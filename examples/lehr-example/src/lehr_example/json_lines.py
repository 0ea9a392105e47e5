"""A logger that writes a JSON line an event into the run's folder, and goes on where the last checkpoint was."""

from __future__ import annotations

import json
import os
from typing import Any, BinaryIO

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import (
    BatchEnd,
    FitEpochEnd,
    PretrainRoutineStart,
    Rollback,
    Teardown,
    TrainEnd,
    TrainEpochStart,
    TrainStart,
)

FILE = "course.jsonl"


class JsonLines(Callback):
    """Writes the course of a run to `course.jsonl`.

    A run that is killed does the steps after its last checkpoint again. So the length of the file is part of the
    checkpoint, and what was written after it is cut off before the run goes on: no line is missing, none is doubled.
    """

    def __init__(self) -> None:
        self._length = 0
        self._file: BinaryIO | None = None

    def state_dict(self) -> dict[str, Any]:
        """The length of the file, all of it on the disk."""
        if self._file is not None:
            os.fsync(self._file.fileno())
            self._length = self._file.tell()
        return {"length": self._length}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up the length that the file had at a checkpoint."""
        self._length = state["length"]

    def on_pretrain_routine_start(self, event: PretrainRoutineStart) -> None:
        """Open the file; a run that begins, begins it anew."""
        path = event.folder / FILE
        path.touch()
        self._file = path.open("r+b", buffering=0)  # so that a kill loses nothing
        size = self._file.seek(0, os.SEEK_END)
        self._file.truncate(min(self._length, size) if event.resumed else 0)
        self._file.seek(0, os.SEEK_END)

    def on_train_start(self, event: TrainStart) -> None:
        self._write("train start", epoch=event.epoch, step=event.step, resumed=event.resumed)

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        self._write("epoch start", epoch=event.epoch, step=event.step)

    def on_train_batch_end(self, event: BatchEnd) -> None:
        self._write("batch", epoch=event.epoch, step=event.step, losses=dict(event.losses))

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        self._write("epoch end", epoch=event.epoch, step=event.step, map=event.metrics.map, losses=dict(event.losses))

    def on_rollback(self, event: Rollback) -> None:
        self._write("rollback", epoch=event.epoch, step=event.step, from_step=event.from_step)

    def on_train_end(self, event: TrainEnd) -> None:
        self._write("train end", epoch=event.epochs, step=event.step, best_epoch=event.best_epoch)

    def teardown(self, event: Teardown) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None

    def _write(self, kind: str, **values: Any) -> None:
        assert self._file is not None
        self._file.write((json.dumps({"event": kind, **values}) + "\n").encode())
