"""Processes that load images: how they start, and how they end with the training process."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import signal
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from pathlib import Path
from typing import TypeVar

import cv2
import torch

from lehr.errors import LehrError, Stopped
from lehr.runtime.signals import describe_signal, ignore_stopping

Started = TypeVar("Started")
_PROCESSES: weakref.WeakSet[BaseProcess] = weakref.WeakSet()


class LoadingStopped(Stopped):
    """A run was asked to stop while it waited for a batch."""


class WorkerLost(LehrError):
    """A loading process ended before the training process.

    Args:
        pid: of the process.
        exitcode: its exit code, negative for the signal that ended it; None if it is not known.
    """

    def __init__(self, pid: int | None, exitcode: int | None) -> None:
        super().__init__(describe_lost_worker(pid, exitcode))


@contextlib.contextmanager
def frozen_garbage() -> Iterator[None]:
    """Keep forked processes from collecting this one's garbage: freeing a CUDA object there aborts them."""
    frozen_by_others = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        if not frozen_by_others:
            gc.unfreeze()


def start_worker() -> None:
    """Prepare a loading process, which leaves signals to the training process, and has one thread."""
    ignore_stopping()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def start_processes(start: Callable[[], Started]) -> Started:
    """Start and supervise loading processes.

    Those left when this process ends are killed, since a hanging one would be waited for. If not all can be started,
    the started ones are killed, too.

    Args:
        start: starts them.

    Raises:
        OSError: the system lacks what they need.
    """
    before = set(multiprocessing.active_children())
    try:
        started = start()
    except OSError:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
            process.join()
        raise
    if not _PROCESSES:
        Finalize(None, kill_processes, exitpriority=0)  # before multiprocessing waits for them
    _PROCESSES.update(set(multiprocessing.active_children()) - before)
    return started


def kill_processes() -> None:
    """Kill all loading processes of this one, which may hang."""
    left = [process for process in multiprocessing.active_children() if process in _PROCESSES]
    for process in left:
        process.kill()
    for process in left:
        process.join()


def is_deadlocked(pid: int) -> bool:
    """Return whether all threads of a process wait for locks, as when it was forked while one was held.

    A process that waits for a slow disk, a network, a pipe or work is none of these. False if the system does not say
    what threads wait for.

    Args:
        pid: of the process.
    """
    try:
        waits = [(task / "wchan").read_text() for task in Path(f"/proc/{pid}/task").iterdir()]
    except OSError:
        return False
    return bool(waits) and all("futex" in wait for wait in waits)


def describe_lost_worker(pid: int | None, exitcode: int | None) -> str:
    """Explain why a loading process probably ended, and what to do.

    Args:
        pid: of the process.
        exitcode: its exit code, negative for the signal that ended it; None if it is not known.
    """
    bus_error = getattr(signal, "SIGBUS", None)
    if exitcode is None or exitcode >= 0:
        return (
            f"A process that loads images ended unexpectedly (process {pid}). --workers 0 loads in the training "
            "process and shows the error."
        )
    if -exitcode == bus_error:
        why = "no room left in /dev/shm. Give it more: docker run --shm-size=8g, or --ipc=host; or use --workers 0."
    else:
        why = "probably out of memory. Use fewer --workers."
    return f"A process that loads images was killed ({describe_signal(-exitcode)}, process {pid}), {why}"
