"""Asynchronous saving: a thread writes the saves that the training queues, and reports failures.

At most one save waits while another is written; a newer one replaces it, but keeps its best weights. Failed files are
added to the next save, so that everything is saved once the disk has space again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from torch import Tensor

from lehr.checkpoint.format import Position, write_checkpoint
from lehr.checkpoint.results_csv import RESULTS, Row, write_results
from lehr.checkpoint.run_folder import LAST
from lehr.errors import LehrError
from lehr.weights.best_of_run import BEST_WEIGHTS, LAST_WEIGHTS
from lehr.weights.safetensors_file import write_weights
from lehr.weights.write import encode_weights

THREAD = "lehr-writer"
"""Name of the thread that writes."""


@dataclass(frozen=True, slots=True)
class Weights:
    """Weights to write.

    Attributes:
        tensors: by name, in the host's memory.
        metadata: text by name.
    """

    tensors: Mapping[str, Tensor]
    metadata: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SaveRequest:
    """Request to write a state and its files together.

    Attributes:
        content: the training state, in the host's memory.
        position: where the run stands.
        rows: those of results.csv.
        last: weights for `last.safetensors`; None keeps the existing file.
        best: weights for `best.safetensors`; None keeps the existing file.
        beside_best: writes an optional file that belongs to the same weights as `best`.
        ready: waits until the tensors are complete.
        written: called when all is written and the memory of the state can be released, with whether `last` and `best`
            were included.
    """

    content: dict[str, Any]
    position: Position
    rows: Sequence[Row]
    last: Weights | None = None
    best: Weights | None = None
    beside_best: Callable[[], None] | None = None
    ready: Callable[[], None] = lambda: None
    written: Callable[[bool, bool], None] = lambda last, best: None


class AsyncWriter:
    """Writer of a run's files on a separate thread.

    Args:
        folder: the run's folder.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._change = threading.Condition()
        self._waiting: SaveRequest | None = None
        self._failed: SaveRequest | None = None
        self._busy = False
        self._closing = False
        self._news: list[str] = []
        self._thread = threading.Thread(target=self._work, name=THREAD, daemon=True)
        self._thread.start()

    def save(self, save: SaveRequest) -> None:
        """Queue a save and return immediately."""
        with self._change:
            self._waiting = _merged(_merged(self._failed, self._waiting), save)
            self._failed = None
            self._change.notify_all()

    def news(self) -> list[str]:
        """Messages about writes that failed since the last call."""
        if not self._news:
            return []
        with self._change:
            news, self._news = self._news, []
        return news

    def wait(self) -> bool:
        """Wait until everything is written; False if something could not be."""
        with self._change:
            self._change.wait_for(lambda: self._waiting is None and not self._busy)
            return self._failed is None

    def retry(self) -> bool:
        """Retry failed writes; False if they fail again."""
        if self.wait():
            return True
        with self._change:
            self._waiting, self._failed = self._failed, None
            self._change.notify_all()
        return self.wait()

    def close(self, at_once: bool = False) -> None:
        """Stop the thread after pending writes.

        Args:
            at_once: drop pending saves, and do not wait long for the current one.
        """
        with self._change:
            self._closing = True
            if at_once:
                self._waiting = None
            self._change.notify_all()
        self._thread.join(1.0 if at_once else None)

    def _work(self) -> None:
        while True:
            save = self._next()
            if save is None:
                return
            problem = self._written(save)
            with self._change:
                self._busy = False
                if problem is not None:
                    self._news.append(problem)
                    if self._waiting is None:
                        self._failed = save
                    else:
                        self._waiting = _merged(save, self._waiting)
                self._change.notify_all()

    def _next(self) -> SaveRequest | None:
        """Wait for a save; None when there is none and none will come."""
        with self._change:
            self._change.wait_for(lambda: self._waiting is not None or self._closing)
            save, self._waiting = self._waiting, None
            self._busy = save is not None
            return save

    def _written(self, save: SaveRequest) -> str | None:
        """Write a save; return the error, if any."""
        try:
            save.ready()
            self._write_beside(save)
            # The checkpoint comes last: a run that is killed before it rewrites the other files when it resumes.
            best = None if save.best is None else encode_weights(save.best.tensors, save.best.metadata)
            if best is not None:
                write_weights(best, self.folder / BEST_WEIGHTS)
            if save.last is not None:
                last = best if save.last is save.best else None
                last = last or encode_weights(save.last.tensors, save.last.metadata)
                write_weights(last, self.folder / LAST_WEIGHTS)
            write_results(self.folder / RESULTS, save.rows)
            write_checkpoint(self.folder, save.content, save.position)
            save.written(save.last is not None, save.best is not None)
        except LehrError as error:
            return str(error)
        except (
            Exception
        ) as error:  # a run continues, whatever a file system does; nothing else catches errors of the thread
            return f"{self.folder / LAST}: cannot be written ({error})."
        return None

    def _write_beside(self, save: SaveRequest) -> None:
        """Write what goes with the best weights; a failure is reported, and not retried."""
        if save.beside_best is None:
            return
        try:
            save.beside_best()
        except Exception as error:  # the rest of the save must not be lost
            with self._change:
                self._news.append(str(error))


def _merged(older: SaveRequest | None, newer: SaveRequest | None) -> SaveRequest | None:
    """The newer of two saves, with weights of the older if it has none."""
    if older is None or newer is None:
        return newer or older
    beside = newer.beside_best if newer.best else older.beside_best
    return replace(newer, best=newer.best or older.best, last=newer.last or older.last, beside_best=beside)
