"""Saving a run: when its state is saved, what a save contains, and reporting what was saved."""

from __future__ import annotations

import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch

from lehr.analysis.record import make_record
from lehr.analysis.record_file import save_record
from lehr.callbacks.dispatcher import Dispatcher
from lehr.callbacks.events import ModelSave
from lehr.checkpoint.format import Position
from lehr.checkpoint.results_csv import RESULTS
from lehr.checkpoint.run_folder import CONFIG, DETECTIONS, LAST, PREVIOUS, START
from lehr.checkpoint.snapshot import Blocks, snapshot, wait_for_snapshot
from lehr.checkpoint.writer import AsyncWriter, SaveRequest, Weights
from lehr.data.image_marks import MARKS
from lehr.engine.preflight import PRECISION
from lehr.engine.state import TrainState
from lehr.errors import LehrError
from lehr.evaluation.evaluator import Evaluation
from lehr.runtime.atomic_write import clear_temporaries
from lehr.weights.best_of_run import BEST_WEIGHTS, LAST_WEIGHTS
from lehr.weights.write import describe_model


class Checkpointer:
    """Saves the training state of a run without blocking the training on disk I/O.

    Of several processes only rank 0 writes; for the others all methods do nothing.

    Args:
        folder: the run's folder.
        state: the training state.
        identity: what a checkpoint holds in addition to the state.
        epochs: epochs of the run.
        minutes: between checkpoints within an epoch.
        device: where the state is.
        is_main: whether this process writes.
        callbacks: their state is saved too; notified of what has been written.
        say: reports what could not be written.
    """

    def __init__(
        self,
        folder: Path,
        state: TrainState,
        *,
        identity: Mapping[str, Any],
        epochs: int,
        minutes: float,
        device: torch.device,
        is_main: bool,
        callbacks: Dispatcher,
        say: Callable[[str], None],
    ) -> None:
        self._folder = folder
        self._state = state
        self._identity = identity
        self._epochs = epochs
        self._device = device
        self._is_main = is_main
        self._callbacks = callbacks
        self._say = say
        self._writer = AsyncWriter(folder)
        self._spare: list[Blocks] = []
        self._written: deque[ModelSave] = deque()
        self._interval = minutes * 60
        self._started = time.perf_counter() - state.seconds
        self._saved = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Seconds spent on the run so far, including those before an interruption."""
        return time.perf_counter() - self._started

    @property
    def due(self) -> bool:
        """True when it is time for a checkpoint within an epoch."""
        return self._is_main and time.perf_counter() - self._saved >= self._interval

    def save(self, evaluation: Evaluation | None = None, better: bool = False, weights: bool = False) -> None:
        """Queue the state to be written; waits for neither device nor disk.

        Args:
            evaluation: that of the epoch that just ended; its weights are written too.
            better: whether that epoch is the best so far.
            weights: write `last.safetensors` in any case.
        """
        state = self._state
        state.seconds = self.seconds
        if not self._is_main:
            return
        content = {**self._identity, "state": state.state_dict()}
        if listeners := self._callbacks.state_dict():
            content["callbacks"] = listeners
        copied, blocks = snapshot(content, self._spare.pop() if self._spare else None)
        position = Position(state.epoch, self._epochs, state.step, state.finished, state.recovery.streak > 0)
        last = self._weights(copied, evaluation) if weights or evaluation is not None else None
        self._writer.save(
            SaveRequest(
                copied,
                position,
                copied["state"]["history"],
                last,
                last if better else None,
                self._detections(evaluation) if better else None,
                wait_for_snapshot(self._device),
                partial(self._note_written, blocks, state.epoch, state.step),
            )
        )
        self._saved = time.perf_counter()
        self.poll()

    def poll(self) -> None:
        """Report what was written since the last call, and what failed; cheap."""
        for problem in self._writer.news():
            self._say(f"Not saved: {problem} The run continues; earlier saves are kept.")
        while self._written:
            self._callbacks.emit(self._written.popleft())

    def wait(self) -> None:
        """Wait until every write has finished or failed."""
        self._writer.wait()
        self.poll()

    def finish(self) -> None:
        """Wait until everything is written, and retry failed writes once.

        Raises:
            LehrError: a file cannot be written.
        """
        if self._writer.retry():
            self.poll()
            return
        problems = "\n".join(self._writer.news())
        raise LehrError(
            f"{problems}\nThe training continued without it, but part of it is not saved. Free disk space; then `lehr "
            f"train --resume {self._folder}` resumes from the last complete checkpoint."
        )

    def close(self, at_once: bool = False) -> None:
        """Stop the writing thread.

        Args:
            at_once: drop pending writes, and do not wait long.
        """
        self._writer.close(at_once)

    def kept(self) -> str:
        """Describe how to resume, and from what."""
        self._writer.wait()
        checkpoint = next((path for path in (self._folder / LAST, self._folder / PREVIOUS) if path.is_file()), None)
        if checkpoint is None:
            return f"No checkpoint could be written to {self._folder}."
        weights = self._folder / LAST_WEIGHTS
        also = f", the weights in {weights}" if weights.is_file() else ""
        return f"The state is in {checkpoint}{also}. Resume with: lehr train --resume {self._folder}"

    def _note_written(self, blocks: Blocks, epoch: int, step: int, last: bool, best: bool) -> None:
        """Record a completed save; called by the writing thread.

        Args:
            blocks: the memory of the state, to be released.
            epoch: when the state was taken.
            step: when the state was taken.
            last: whether weights were written with it.
            best: whether the best weights were.
        """
        self._spare.append(blocks)
        run = self._callbacks.run
        if run is not None and self._callbacks.wants(ModelSave.method):
            folder = self._folder
            weights = (folder / LAST_WEIGHTS if last else None, folder / BEST_WEIGHTS if best else None)
            self._written.append(ModelSave(run, epoch, step, folder / LAST, *weights))

    def _detections(self, evaluation: Evaluation | None) -> Callable[[], None] | None:
        """Return a function that writes the detections of an evaluation, or removes those of earlier weights."""
        if evaluation is None or evaluation.detections is None:
            return None
        path, record = self._folder / DETECTIONS, make_record(evaluation, self._state.epoch)

        def write() -> None:
            try:
                save_record(record, path)
            except BaseException:
                with contextlib.suppress(OSError):
                    path.unlink(missing_ok=True)
                raise

        return write

    def _weights(self, content: dict[str, Any], evaluation: Evaluation | None) -> Weights:
        state = self._state
        details: dict[str, Any] = {"epoch": state.epoch}
        if evaluation is not None:
            # Without the seconds, which differ each time.
            details["metrics"] = {name: value for name, value in evaluation.as_dict().items() if name != "seconds"}
        averaged = content["state"]["ema"]
        tensors = content["state"]["model"] if averaged is None else averaged["model"]
        return Weights(tensors, describe_model(state.evaluated_model, details))


def clear_leftovers(folder: Path) -> None:
    """Remove partial files that a run left when it was killed while writing."""
    names = (LAST, BEST_WEIGHTS, LAST_WEIGHTS, RESULTS, CONFIG, PRECISION, START, DETECTIONS, MARKS)
    clear_temporaries(folder, names)
