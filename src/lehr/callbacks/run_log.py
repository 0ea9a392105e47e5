"""The log of a run, `events.jsonl`: a JSON line for each step, epoch and turn of the run, always written.

The lines are described in `lehr.checkpoint.run_log`, which reads them. Every optimizer step has a line; a run of more
than 5,000 batches has one every n batches, which holds their mean, so that the file stays small.

A run that was killed does the steps after its last checkpoint again. So the length of the file is part of the
checkpoint, and lines behind it are cut off before the run resumes: no step is missing, none appears twice.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import platform
import re
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any, BinaryIO

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import (
    BatchEnd,
    BestImproved,
    FitEpochEnd,
    ModelSave,
    PretrainRoutineEnd,
    PretrainRoutineStart,
    Rollback,
    RunException,
    StartEvaluated,
    Teardown,
    TrainEnd,
    TrainEpochStart,
    TrainStart,
)
from lehr.callbacks.logger import LoggedRun, Logger
from lehr.callbacks.logger_thread import LoggerThread, finish
from lehr.callbacks.run_info import Run
from lehr.checkpoint.run_folder import PAGE
from lehr.checkpoint.run_log import MAX_BYTES, RUN_LOG
from lehr.errors import Stopped
from lehr.runtime.console import LOGGER
from lehr.runtime.cpu_name import cpu_name
from lehr.runtime.device import available_cores, describe_device
from lehr.runtime.reading import open_append, read_file
from lehr.version import __version__

STEP_LINES = 5_000
"""Lines of steps that a run writes at most, those that were not finite aside."""
NOT_FINITE_LINES = 1_000
"""Lines of steps that were not finite, beyond these."""
FLUSH_SECONDS = 1.0
"""Seconds after which lines are handed to the system, for those who read along."""
MAX_MESSAGE = 2_000
"""Characters of an error that are kept."""
LOGGED = ("step", "epoch", "start-evaluated")
"""Kinds of lines with scalars, which loggers get."""
ID = re.compile("[0-9a-f]{16}")
PACKAGES = ("torch", "torchvision", "numpy", "opencv-python-headless", "pillow", "simplejpeg", "hotcoco", "triton")
"""Packages whose versions can change the numbers of a run."""


class RunLogCallback(Callback):
    """Writes the log of a run into its folder.

    What cannot be written, since the disk is full for example, is reported once and ends nothing.

    Args:
        loggers: fed with the lines, each in a separate thread.
    """

    name = "lehr.run-log"

    def __init__(self, loggers: Sequence[Logger] = ()) -> None:
        self._loggers = [LoggerThread(logger) for logger in loggers]
        self._id = secrets.token_hex(8)
        self._finished = False
        self._file: BinaryIO | None = None
        self._resumed = False
        self._length: int | None = None
        """Bytes of the file at the checkpoint that the run resumes from; None where it begins."""
        self._every = 1
        self._not_finite = 0
        self._since = _Batches()
        self._written = 0.0
        self._notes: tuple[str, ...] = ()
        self._last = (0, 0)
        """Epoch and step of the last line."""

    def state_dict(self) -> dict[str, Any]:
        """Return the length of the file, and what the next line will hold of the batches so far."""
        if self._file is not None:
            self._guarded(self._file.flush)
        if self._file is not None:
            self._length = self._file.tell()
        since = self._since.state_dict()
        return {"id": self._id, "length": self._length, "not_finite": self._not_finite, "since": since}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what `state_dict` returned."""
        if ID.fullmatch(given := str(state["id"])):
            self._id = given
        self._length = None if state["length"] is None else int(state["length"])
        self._not_finite = int(state["not_finite"])
        self._since = _Batches.of(state["since"])

    def on_pretrain_routine_start(self, event: PretrainRoutineStart) -> None:
        """Note whether the run was resumed."""
        self._resumed = event.resumed

    def on_pretrain_routine_end(self, event: PretrainRoutineEnd) -> None:
        """Open the file, without the lines of steps that are done again."""
        run = event.run
        self._every = max(1, math.ceil(run.config.epochs * run.batches / STEP_LINES))
        self._guarded(lambda: self._open(run.folder / RUN_LOG))
        self._notes = event.notes

    def on_train_start(self, event: TrainStart) -> None:
        """Write what the run is."""
        about = describe_run(event.run)
        self._write("start", event, resumed=event.resumed, **about, notes=list(self._notes))
        for logger in self._loggers:
            options = about["options"]
            others = {name: value for name, value in about.items() if name not in ("options", "time")}
            logger.start(LoggedRun(self._id, event.run.folder, options, others))

    def on_start_evaluated(self, event: StartEvaluated) -> None:
        """Write how good the weights are that the run starts from."""
        self._line("start-evaluated", 0, 0, row=_row(event.row))

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Write that mosaic closes, where it does."""
        run, augment = event.run, event.run.config.augment
        first = event.step == event.epoch * run.batches and event.epoch == run.config.epochs - run.closed
        if run.closed and first and (augment.mosaic or augment.mixup or augment.cutmix or augment.copy_paste):
            self._write("mosaic-close", event)

    def on_train_batch_end(self, event: BatchEnd) -> None:
        """Add up a batch; write a line when an optimizer step is due for one."""
        if event.step == event.run.warmup > 0:
            self._write("warmup-end", event)
        since = self._since
        since.add(event)
        noted = not event.finite and self._not_finite < NOT_FINITE_LINES
        if not (event.updated and (since.batches >= self._every or noted)):
            return
        self._not_finite += noted
        self._write(
            "step",
            event,
            **since.values(event.losses),
            rates=_numbers(event.rates),
            momentum=_number(event.momentum),
            accumulate=event.accumulate,
            loss_scale=_number(event.loss_scale),
        )
        self._since = _Batches()

    def on_best_improved(self, event: BestImproved) -> None:
        """Write that an epoch is the best so far."""
        m = event.metrics
        numbers = {"map": m.map, "map50": m.map50, "precision": m.precision, "recall": m.recall}
        self._write("best", event, metrics=_numbers(numbers))

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Write the row of an epoch."""
        self._write(
            "epoch",
            event,
            row=_row(event.row),
            losses=_numbers(event.losses),
            rates=_numbers(event.rates),
            images_per_second=_number(event.images_per_second),
            memory=_number(event.memory),
            seconds=_number(event.seconds),
            best=event.best,
        )

    def on_model_save(self, event: ModelSave) -> None:
        """Write that a checkpoint is on the disk."""
        self._write("save", event, last=event.last is not None, best=event.best is not None)

    def on_rollback(self, event: Rollback) -> None:
        """Write that steps are done again."""
        self._since = _Batches()
        self._write(
            "rollback",
            event,
            from_step=event.from_step,
            lr_scale=_number(event.lr_scale),
            precision=event.precision,
            rollbacks=event.rollbacks,
        )

    def on_exception(self, event: RunException) -> None:
        """Write why the run ends before its end."""
        stopped = isinstance(event.error, Stopped | KeyboardInterrupt)
        message = str(event.error) or type(event.error).__name__
        self._end("stopped" if stopped else "failed", *self._last, message=message)

    def on_train_end(self, event: TrainEnd) -> None:
        """Write how the run has ended."""
        self._finished = True
        reason = "diverged" if event.diverged else "stopped-early" if event.stopped_early else "finished"
        self._end(reason, event.epochs, event.step, event.diverged, event.best_epoch, event.seconds)

    def teardown(self, event: Teardown) -> None:
        """Close the file, and end the loggers, which get the run's page before."""
        if self._file is not None:
            self._guarded(self._file.close)
            self._file = None
        if event.run is not None and self._finished and (event.run.folder / PAGE).is_file():
            for logger in self._loggers:
                logger.put(event.run.folder / PAGE)
        finish(self._loggers, self._finished)

    def _end(
        self, reason: str, epoch: int, step: int, message: str, best: int | None = None, seconds: float | None = None
    ) -> None:
        self._line("end", epoch, step, reason=reason, message=message[:MAX_MESSAGE], best_epoch=best, seconds=seconds)
        if self._file is not None:
            self._guarded(self._file.flush)

    def _write(self, kind: str, event: Any, **values: Any) -> None:
        self._line(kind, event.epoch, event.step, **values)

    def _line(self, kind: str, epoch: int, step: int, **values: Any) -> None:
        self._last = epoch, step
        line = {"kind": kind, "epoch": epoch, "step": step, **values}
        for logger in self._loggers if kind in LOGGED else ():
            logger.put(line)
        file = self._file
        if file is None:
            return
        text = json.dumps(line, separators=(",", ":"), allow_nan=False) + "\n"

        def write() -> None:
            file.write(text.encode())
            if (now := time.monotonic()) - self._written >= FLUSH_SECONDS:
                self._written = now
                file.flush()

        self._guarded(write)

    def _open(self, path: Path) -> None:
        """Open the file at the length that it had at the checkpoint; a new run begins a new one."""
        length = 0
        if self._resumed and self._length is not None and path.is_file():
            length = read_file(path, MAX_BYTES, links=False).rfind(b"\n", 0, self._length) + 1
        self._file = open_append(path)
        os.ftruncate(self._file.fileno(), length)
        self._file.seek(length)

    def _guarded(self, action: Callable[[], object]) -> None:
        """Do something with the file; where that fails, the log ends there."""
        try:
            action()
        except OSError as error:
            file, self._file = self._file, None
            LOGGER.warning("%s: cannot be written (%s). The run continues without its log.", RUN_LOG, error.strerror)
            if file is not None:
                with contextlib.suppress(OSError):  # what is still buffered cannot be written either
                    file.close()


class _Batches:
    """Sums over the batches since the last line of a step."""

    def __init__(self) -> None:
        self.batches = self.images = 0
        self.losses: dict[str, float] = {}
        self.norm: float | None = None
        self.finite = True

    @classmethod
    def of(cls, state: Mapping[str, Any]) -> _Batches:
        """Take up what `state_dict` returned."""
        made = cls()
        made.batches, made.images = int(state["batches"]), int(state["images"])
        made.losses = {str(part): float(loss) for part, loss in state["losses"].items()}
        made.norm, made.finite = state["norm"], bool(state["finite"])
        return made

    def state_dict(self) -> dict[str, Any]:
        """Return all sums."""
        return {**vars(self), "losses": dict(self.losses)}

    def add(self, event: BatchEnd) -> None:
        """Add a batch."""
        self.batches += 1
        self.finite &= event.finite
        if all(map(math.isfinite, event.losses.values())):
            self.images += event.images
            for part, loss in event.losses.items():
                self.losses[part] = self.losses.get(part, 0.0) + loss
        if event.norm is not None and math.isfinite(event.norm):
            self.norm = event.norm if self.norm is None else max(self.norm, event.norm)

    def values(self, parts: Mapping[str, float]) -> dict[str, Any]:
        """Return the values of a line; parts of the loss are named even where none was finite."""
        losses = {part: self.losses[part] / self.images if self.images else None for part in parts}
        return {
            "batches": self.batches,
            "images": self.images,
            "losses": _numbers(losses),
            "norm": _number(self.norm),
            "finite": self.finite,
        }


def describe_run(run: Run) -> dict[str, Any]:
    """Return what a run is, as the log's line `start` has it."""
    config = run.config
    return {
        "options": config.for_file(),
        "versions": versions(),
        "machine": {"system": platform.platform(), "cpu": cpu_name(), "cores": available_cores()},
        "device": describe_device(run.device),
        "processes": run.processes,
        "names": list(run.names),
        "parts": list(run.parts),
        "images": {"train": run.train_images, "val": run.val_images},
        "batches": run.batches,
        "warmup": run.warmup,
        "closed": run.closed,
        "data": run.fingerprint,
        "time": time.time(),
    }


def versions() -> dict[str, str]:
    """Return the versions of Python, of Lehr, and of the packages that compute."""
    found = {"python": platform.python_version(), "lehr": __version__}
    for package in PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _row(row: Mapping[str, float | int | str | None]) -> dict[str, Any]:
    return {name: _number(value) if isinstance(value, float) else value for name, value in row.items()}


def _numbers(values: Mapping[str, float | None]) -> dict[str, float | None]:
    return {name: _number(value) for name, value in values.items()}


def _number(value: float | None) -> float | None:
    """Return a number with the digits that a float32 has; None for what JSON cannot hold."""
    return None if value is None or not math.isfinite(value) else float(f"{value:.9g}")
