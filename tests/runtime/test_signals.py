"""Loading processes that die do not interrupt what is being saved."""

from __future__ import annotations

import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess

import pytest
from torch.utils.data import DataLoader

from lehr.runtime.signals import ignore_lost_workers

pytestmark = pytest.mark.skipif(not hasattr(signal, "SIGCHLD"), reason="there is no signal of a child that ends")


class Loaders:
    """Two loaders, each with a process of its own."""

    def __init__(self) -> None:
        context = "fork" if "fork" in multiprocessing.get_all_start_methods() else None
        self.loaders = [
            DataLoader([1, 2], num_workers=1, persistent_workers=True, multiprocessing_context=context)
            for _ in range(2)
        ]
        before = set(multiprocessing.active_children())
        self.iterators = [iter(loader) for loader in self.loaders]
        self.processes: list[BaseProcess] = sorted(
            set(multiprocessing.active_children()) - before, key=lambda process: process.pid or 0
        )

    def kill(self, which: int) -> None:
        """Kill a loader's process, and wait until it has ended."""
        process = self.processes[which]
        assert process.pid is not None
        os.kill(process.pid, signal.SIGKILL)
        for _ in range(500):  # a wait for its end would be interrupted
            if os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                break
            time.sleep(0.01)
        time.sleep(0.01)


def end_another_process() -> None:
    process = multiprocessing.get_context("fork").Process(target=os.getpid)
    process.start()
    process.join()
    time.sleep(0.01)


def test_pytorch_raises_wherever_the_process_is() -> None:
    loaders = Loaders()
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        loaders.kill(0)
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        loaders.kill(1)


def test_workers_that_die_one_after_another_interrupt_nothing_then_or_later() -> None:
    loaders = Loaders()
    handler = signal.getsignal(signal.SIGCHLD)
    saved = []
    with ignore_lost_workers():
        loaders.kill(0)
        loaders.kill(1)
        saved.append("all")
    assert saved == ["all"]
    assert signal.getsignal(signal.SIGCHLD) is handler
    end_another_process()


def test_a_worker_that_dies_afterwards_is_noticed() -> None:
    loaders = Loaders()
    with ignore_lost_workers():
        loaders.kill(0)
    with pytest.raises(RuntimeError, match="DataLoader worker"):
        loaders.kill(1)


def test_an_error_of_the_block_comes_through() -> None:
    loaders = Loaders()
    with pytest.raises(OSError, match="full"), ignore_lost_workers():
        loaders.kill(0)
        raise OSError("full")
    end_another_process()
