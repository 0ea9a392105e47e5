"""The signals that ask a run to stop.

SIGTERM and SIGUSR1 are what clusters send before they take a machine, often to all processes of a job; Ctrl-C goes to
all processes of the terminal, and so does SIGHUP when it is closed. So a run's loading processes ignore them all:
stopping is the business of the process that trains.
"""

from __future__ import annotations

import signal

STOPPING = tuple(
    int(getattr(signal, name)) for name in ("SIGINT", "SIGTERM", "SIGUSR1", "SIGHUP") if hasattr(signal, name)
)
"""Signals of these that the system has."""


def ignore_stopping() -> None:
    """Ignore all of them in this process; for a process that another one ends."""
    for number in STOPPING:
        signal.signal(number, signal.SIG_IGN)


def describe_signal(number: int) -> str:
    """A signal's name, for people."""
    return "Ctrl-C" if number == signal.SIGINT else signal.Signals(number).name
