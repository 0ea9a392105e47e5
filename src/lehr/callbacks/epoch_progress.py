"""Progress of an epoch: its batches, the time left, the speed and the mean losses so far."""

from __future__ import annotations

import math
import time

from lehr.callbacks.events import BatchEnd, TrainEpochStart
from lehr.runtime.console import duration
from lehr.runtime.plain_text import one_line

TEXT_SECONDS = 1.0
"""Seconds between two texts behind a bar."""


class EpochProgress:
    """Counts the batches of an epoch.

    Args:
        event: the beginning of the epoch, of which a resumed run has done a part.
    """

    def __init__(self, event: TrainEpochStart | None = None) -> None:
        self._done = 0 if event is None else event.run.batches - event.batches
        self._sums: dict[str, float] = {}
        self._images = self._measured = 0
        self._details: list[str] | None = None
        self._started = time.monotonic()
        self._told = -math.inf

    def count(self, event: BatchEnd) -> tuple[int, list[str] | None]:
        """Count a batch.

        Returns:
            Batches done, and short texts on the epoch, the most important first; None where they have not changed.
        """
        self._done += 1
        self._images += event.images
        if event.finite and all(map(math.isfinite, event.losses.values())):
            self._measured += event.images
            for part, loss in event.losses.items():
                self._sums[part] = self._sums.get(part, 0.0) + loss
        now = time.monotonic()
        if now - self._told < TEXT_SECONDS or now <= self._started:
            return self._done, None
        self._told = now
        speed = self._images / (now - self._started)
        left = (event.run.batches - self._done) * event.run.config.batch / speed if speed else math.inf
        details = [f"{duration(left)} left"] if math.isfinite(left) else []
        details.append(f"{speed:.1f} images/s")
        if self._measured:
            details += [f"{one_line(part)} {total / self._measured:.3f}" for part, total in self._sums.items()]
        return self._done, details
