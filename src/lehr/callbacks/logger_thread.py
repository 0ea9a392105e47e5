"""Feed a logger in a separate thread, from a bounded queue, with a bounded wait at the end."""

from __future__ import annotations

import contextlib
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lehr.callbacks.logger import LoggedRun, Logger, Reached, Scalars, scalars_of
from lehr.checkpoint.run_folder import FIRST_BATCH, PLOTS
from lehr.checkpoint.run_log import read_run_log
from lehr.errors import LehrError
from lehr.runtime.console import LOGGER

QUEUED = 20_000
"""Lines that a logger may lag behind; a logger that hangs takes no more memory than these."""
LOOK_SECONDS = 1.0
"""Seconds between two looks at what has come: to be woken at each step would cost more than the logging."""
FINISH_SECONDS = 30.0
"""Seconds that the end of a run waits for its loggers."""
STOP_SECONDS = 5.0
"""The same where the run was asked to stop, or failed."""
FIRST_SHEET = Path(PLOTS, FIRST_BATCH)
"""The contact sheet of the first batch, in the run's folder."""
FIRST_BATCH_NAME = "train batch"


class LoggerThread:
    """Feeds a logger; none of its methods waits, but for `finish`.

    Args:
        logger: used by the thread only.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger = logger
        self._waiting: deque[Mapping[str, Any] | Path] = deque()
        self._ended = threading.Event()
        self._finished = False
        self._thread: threading.Thread | None = None
        self._over = False
        self._reached = Reached()
        self._has_image = False

    @property
    def name(self) -> str:
        """Name of the logger."""
        return self._logger.name

    def start(self, run: LoggedRun) -> None:
        """Open the logger's store, and hand it what its store lacks of a run that resumes."""
        self._thread = threading.Thread(target=self._run, args=(run,), name=f"logger-{self.name}", daemon=True)
        self._thread.start()

    def put(self, item: Mapping[str, Any] | Path) -> None:
        """Hand over a line of the run's log, or a file to keep."""
        if self._over or self._thread is None:
            return
        if len(self._waiting) < QUEUED:
            self._waiting.append(item)  # which wakes nobody: the thread looks once per second
            return
        self._over = True
        LOGGER.warning("Logger %s does not keep up: it gets no more of this run.", self.name)

    def end(self, finished: bool) -> None:
        """Say that nothing more comes; `finished` where the run came to its end."""
        self._over, self._finished = True, finished
        self._ended.set()

    def join(self, seconds: float) -> None:
        """Wait for the thread's end, so many seconds at most."""
        if self._thread is None:
            return
        self._thread.join(max(0.0, seconds))
        if self._thread.is_alive():
            LOGGER.warning("Logger %s has not finished in time: the end of this run is missing in it.", self.name)

    def _run(self, run: LoggedRun) -> None:
        try:
            self._reached = self._logger.begin(run)
            self._has_image = self._reached.epoch > 0
            self._catch_up(run.folder)
            ended = False
            while not ended:
                ended = self._ended.wait(LOOK_SECONDS)
                if self._waiting:
                    while self._waiting:
                        self._take(run.folder, self._waiting.popleft())
                    self._logger.flush()
            self._log_image(run.folder)
            self._logger.close(self._finished)
        except Exception as error:
            self._over = True
            what = error if isinstance(error, LehrError) else f"{type(error).__name__}: {error}"
            LOGGER.warning("Logger %s failed, and gets no more of this run: %s", self.name, what)
            LOGGER.debug("Logger %s failed.", self.name, exc_info=error)
            self._logger_closed()

    def _logger_closed(self) -> None:
        """Let a logger that failed close what it has open."""
        with contextlib.suppress(Exception):
            self._logger.close(False)

    def _catch_up(self, folder: Path) -> None:
        """Hand over what the run's log has and the store lacks, since a kill came between."""
        now = time.time()
        for line in read_run_log(folder).lines:
            scalars = scalars_of(line.model_dump(), now)
            if scalars is not None:
                self._log(scalars)

    def _take(self, folder: Path, item: Mapping[str, Any] | Path) -> None:
        if isinstance(item, Path):
            self._logger.artifact(item)
            return
        scalars = scalars_of(item, time.time())
        if scalars is not None and self._log(scalars) and scalars.epoch:
            self._log_image(folder)

    def _log_image(self, folder: Path) -> None:
        """Log the first batch's sheet once, as soon as it is drawn."""
        if not self._has_image and (folder / FIRST_SHEET).is_file():
            self._has_image = True
            self._logger.image(FIRST_BATCH_NAME, folder / FIRST_SHEET, 0)

    def _log(self, scalars: Scalars) -> bool:
        """Log scalars unless the store has those of their step; steps that a rollback undid keep their first values."""
        reached = self._reached
        if scalars.epoch is not None:
            if scalars.epoch <= reached.epoch:
                return False
            self._reached = Reached(reached.step, scalars.epoch)
        else:
            if scalars.step <= reached.step:
                return False
            self._reached = Reached(scalars.step, reached.epoch)
        self._logger.log(scalars)
        return True


def finish(threads: list[LoggerThread], finished: bool) -> None:
    """End all loggers of a run, and wait for them, for a bounded time in all.

    Args:
        threads: of the loggers.
        finished: whether the run came to its end.
    """
    for thread in threads:
        thread.end(finished)
    until = time.monotonic() + (FINISH_SECONDS if finished else STOP_SECONDS)
    for thread in threads:
        thread.join(until - time.monotonic())
