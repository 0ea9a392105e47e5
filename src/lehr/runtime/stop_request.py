"""Stopping on request: the first signal ends the run after the step that runs, a second Ctrl-C at once."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Self

from lehr.runtime.signals import STOPPING


class StopRequest:
    """While entered, remembers that a signal asked the run to stop.

    Attributes:
        signal_number: the signal that asked; None while none has.
    """

    def __init__(self) -> None:
        self.signal_number: int | None = None
        self._before: dict[int, object] = {}

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():  # only there can handlers be set
            for number in STOPPING:
                if signal.getsignal(number) != signal.SIG_IGN:  # SIGHUP under nohup
                    self._before[number] = signal.signal(number, self._remember)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)  # type: ignore[arg-type]  # as signal.signal returned it
        self._before.clear()

    def _remember(self, number: int, frame: FrameType | None) -> None:
        if self.signal_number is not None and number == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal_number = self.signal_number or number
