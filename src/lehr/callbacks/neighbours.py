"""Noticing that other processes take cores from a run on a CPU, so that nobody wonders why it is slow."""

from __future__ import annotations

from collections.abc import Callable

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import FitEpochEnd, PretrainRoutineStart, TrainStart
from lehr.callbacks.run_info import Run
from lehr.runtime.device import available_cores
from lehr.runtime.neighbours import CoreTime, core_time, others_cores

MIN_SECONDS = 2.0
"""Shortest time that is judged: the system counts in hundredths of a second."""
MIN_LACKING = 0.5
"""Cores that must be lacking for it to be said."""


class NeighbourCallback(Callback):
    """Says once that other processes are busy: when training begins, else at the end of the first epoch where they are.

    Args:
        say: told the line.
        now: gives the time that cores were busy.
    """

    def __init__(self, say: Callable[[str], None], now: Callable[[], CoreTime | None] = core_time) -> None:
        self._say = say
        self._now = now
        self._before: CoreTime | None = None
        self._done = False

    def on_pretrain_routine_start(self, event: PretrainRoutineStart) -> None:
        """Begin to measure."""
        self._before = self._now()

    def on_train_start(self, event: TrainStart) -> None:
        """Judge the time in which data and model were prepared."""
        self._judge(event.run)

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Judge the time of the epoch."""
        self._judge(event.run)

    def _judge(self, run: Run) -> None:
        """Say it where cores are lacking; a run of several processes, or on another device, is not judged."""
        if self._done or run.device.type != "cpu" or run.processes > 1:
            return
        before, after = self._before, self._now()
        if before is None or after is None:
            self._before = before or after
            return
        if after.moment - before.moment < MIN_SECONDS:
            return
        self._before = after
        others = others_cores(before, after)
        if available_cores() - (after.cores - others) >= MIN_LACKING:
            self._done = True
            self._say(describe_others(others, after.cores))


def describe_others(others: float, cores: int) -> str:
    """Return the line about others.

    Args:
        others: cores' worth of time that they take.
        cores: cores of this process.
    """
    return f"Other processes take {others:.1f} of the {cores} CPU cores here, so training is slower than it could be."
