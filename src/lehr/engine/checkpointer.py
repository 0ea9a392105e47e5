"""Keeping a run: when its state is saved, what belongs to a save, and what was kept, for people."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lehr.checkpoint.format import Position
from lehr.checkpoint.run_folder import LAST, PREVIOUS
from lehr.checkpoint.snapshot import Blocks, snapshot, wait_for_snapshot
from lehr.checkpoint.writer import LAST_WEIGHTS, AsyncWriter, SaveRequest, Weights
from lehr.engine.setup import Setup
from lehr.errors import LehrError
from lehr.evaluation.evaluator import Evaluation
from lehr.models.weights import describe_model


class Checkpointer:
    """Saves the training state of a run, without the training waiting for the disk.

    Of several processes only rank 0 writes; for the others nothing here does anything.

    Args:
        setup: the run.
        say: told what could not be written.
    """

    def __init__(self, setup: Setup, say: Callable[[str], None]) -> None:
        self._setup = setup
        self._say = say
        self._writes = setup.ranks.is_main
        self._saver = AsyncWriter(setup.folder)
        self._spare: list[Blocks] = []
        self._interval = setup.config.run.checkpoint_minutes * 60
        self._started = time.perf_counter() - setup.state.seconds
        self._saved = time.perf_counter()

    @property
    def seconds(self) -> float:
        """Spent on the run so far, what it took before it was interrupted included."""
        return time.perf_counter() - self._started

    @property
    def due(self) -> bool:
        """Whether it is time for a checkpoint within an epoch."""
        return self._writes and time.perf_counter() - self._saved >= self._interval

    def save(self, evaluation: Evaluation | None = None, better: bool = False, weights: bool = False) -> None:
        """Hands the state over to be written; waits for neither device nor disk.

        Args:
            evaluation: that of the epoch that has just ended; its weights are written too.
            better: whether that epoch is the best so far.
            weights: write `last.safetensors` in any case.
        """
        state, config = self._setup.state, self._setup.config
        state.seconds = self.seconds
        if not self._writes:
            return
        spare = self._spare.pop() if self._spare else None
        content, blocks = snapshot({**self._setup.identity, "state": state.state_dict()}, spare)
        position = Position(state.epoch, config.epochs, state.step, state.finished, state.recovery.streak > 0)
        last = self._weights(content, evaluation) if weights or evaluation is not None else None
        self._saver.save(
            SaveRequest(
                content,
                position,
                content["state"]["history"],
                last,
                last if better else None,
                wait_for_snapshot(self._setup.device),
                lambda: self._spare.append(blocks),
            )
        )
        self._saved = time.perf_counter()
        self._tell()

    def wait(self) -> None:
        """Waits until everything is written, or could not be."""
        self._saver.wait()
        self._tell()

    def finish(self) -> None:
        """Waits until everything is written, and tries once more what could not be.

        Raises:
            LehrError: a file cannot be written.
        """
        if self._saver.retry():
            self._tell()
            return
        problems = "\n".join(self._saver.news())
        raise LehrError(
            f"{problems}\nThe training went on without it, but not all of it is kept. Make room; then "
            f"`lehr train --resume {self._setup.folder}` goes on from the last checkpoint that is whole."
        )

    def close(self, at_once: bool = False) -> None:
        """Ends the thread that writes.

        Args:
            at_once: leave what has not been written, and do not wait long.
        """
        self._saver.close(at_once)

    def kept(self) -> str:
        """How to go on, and what there is to go on from."""
        self._saver.wait()
        folder = self._setup.folder
        checkpoint = next((path for path in (folder / LAST, folder / PREVIOUS) if path.is_file()), None)
        if checkpoint is None:
            return f"No checkpoint could be written to {folder}."
        weights = folder / LAST_WEIGHTS
        also = f", the weights in {weights}" if weights.is_file() else ""
        return f"The state is in {checkpoint}{also}. Go on with: lehr train --resume {folder}"

    def _weights(self, content: dict[str, Any], evaluation: Evaluation | None) -> Weights:
        state = self._setup.state
        details: dict[str, Any] = {"epoch": state.epoch}
        if evaluation is not None:
            # Without the seconds, which would be others each time.
            details["metrics"] = {name: value for name, value in evaluation.as_dict().items() if name != "seconds"}
        averaged = content["state"]["ema"]
        tensors = content["state"]["model"] if averaged is None else averaged["model"]
        return Weights(tensors, describe_model(state.evaluated_model, details))

    def _tell(self) -> None:
        for problem in self._saver.news():
            self._say(f"Not saved: {problem} The run goes on; what was saved before is kept.")


def clear_leftovers(folder: Path) -> None:
    """Removes what a run that was killed while it wrote has left half-written."""
    for path in folder.glob(".*.tmp"):
        path.unlink(missing_ok=True)
