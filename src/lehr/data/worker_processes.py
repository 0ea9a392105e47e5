"""The processes that load images: how they begin, and how they end with the one that they work for."""

from __future__ import annotations

import contextlib
import gc
import multiprocessing
import sys
import warnings
import weakref
from collections.abc import Callable, Iterator
from multiprocessing.process import BaseProcess
from multiprocessing.util import Finalize
from typing import TypeVar

import cv2
import torch

from lehr.errors import Stopped
from lehr.runtime.signals import ignore_lost_workers, ignore_stopping

Started = TypeVar("Started")
_PROCESSES: weakref.WeakSet[BaseProcess] = weakref.WeakSet()


class LoadingStopped(Stopped):
    """A run was asked to stop while it waited for a batch."""


@contextlib.contextmanager
def frozen_garbage() -> Iterator[None]:
    """Keep forked processes from collecting what this one left: a CUDA object that is freed there aborts them."""
    frozen_by_others = gc.get_freeze_count() > 0
    gc.freeze()
    try:
        yield
    finally:
        if not frozen_by_others:
            gc.unfreeze()


@contextlib.contextmanager
def without_torchs_advice() -> Iterator[None]:
    """Keep torch from warning of more workers than cores, several times a run; `engine/data.py` says it once."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="This DataLoader will create")
        yield


def start_worker(_: int) -> None:
    """Prepare a loading process, which leaves signals to the one that trains, and has one thread."""
    ignore_stopping()
    cv2.setNumThreads(0)
    torch.set_num_threads(1)


def start_processes(start: Callable[[], Started]) -> Started:
    """Start loading processes, and look after them.

    Those that are left when this process ends are killed: one that hangs hears nothing, and is waited for. Where not
    all can be started, so are those that were, and torch's half-made loader, which fails once more, is not heard.

    Args:
        start: starts them.

    Raises:
        OSError: the system lacks what they need.
    """
    before, hook = set(multiprocessing.active_children()), sys.unraisablehook
    try:
        started = start()
    except OSError as error:
        reason = OSError(error.errno, error.strerror)
        sys.unraisablehook = lambda _: None
    else:
        if not _PROCESSES:
            Finalize(None, kill_processes, exitpriority=0)  # before multiprocessing waits for them
        _PROCESSES.update(set(multiprocessing.active_children()) - before)
        return started
    try:
        for process in set(multiprocessing.active_children()) - before:
            process.kill()
            process.join()
        gc.collect()  # and with it the loader
    finally:
        sys.unraisablehook = hook
    raise reason


def kill_processes() -> None:
    """Kill all loading processes of this one, which may hang; torch would wait for them before it ends them."""
    left = [process for process in multiprocessing.active_children() if process in _PROCESSES]
    if left:
        with ignore_lost_workers():
            for process in left:
                process.kill()
            for process in left:
                process.join()


def describe_lost_worker(error: str) -> str:
    """Say what probably took a loading process away, and what to do.

    Args:
        error: torch's message.
    """
    if "Bus error" in error:
        why = "for want of room in /dev/shm. Give it more: docker run --shm-size=8g, or --ipc=host; or use --workers 0."
    else:
        why = "perhaps for want of memory. Use fewer --workers."
    return f"{error}\nA process that loads images was killed, {why}"
