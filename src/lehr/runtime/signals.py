"""The signals that ask a run to stop.

SIGTERM and SIGUSR1 are what clusters send before they take a machine, often to all processes of a job; Ctrl-C goes to
all processes of the terminal, and so does SIGHUP when it is closed. So a run's loading processes ignore them all:
stopping is the business of the process that trains.
"""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator

STOPPING = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
)
"""Signals of these that the system has."""

LOADERS = 16
"""Loaders of which PyTorch may have an error in store: it raises one for each that lost a process."""


def ignore_stopping() -> None:
    """Ignore all of them in this process; for a process that another one ends."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def describe_signal(number: int) -> str:
    """A signal's name, for people."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name


@contextlib.contextmanager
def ignore_lost_workers() -> Iterator[None]:
    """Keep loading processes that die from interrupting a block, such as one that saves.

    PyTorch raises an error wherever the main thread is when one was killed; those of the block are dropped, also when
    several die one after another.
    """
    number = getattr(signal, "SIGCHLD", None)
    handler = None if number is None else signal.getsignal(number)
    if number is None or not callable(handler) or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(number, signal.SIG_DFL)
    try:
        yield
    finally:
        for _ in range(LOADERS):
            try:
                handler(number, None)  # else it would raise at the next process that ends
                break
            except RuntimeError:
                continue
        signal.signal(number, handler)
