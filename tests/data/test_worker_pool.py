"""The pool of loading processes: it works ahead, says how it fails, and ends with the process that it works for."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import time
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from tests.conftest import make_squares
from tests.processes import Forked

from lehr.data.batch import Batch
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest
from lehr.data.worker_processes import WorkerLost, is_deadlocked
from lehr.errors import InputError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="processes are looked at in /proc")
FIRST = [BatchRequest(0, [index]) for index in range(4)]
SECOND = [BatchRequest(1, [index]) for index in (3, 1)]


class Noted:
    """Batches whose requests are noted in a folder when they are made."""

    def __init__(self, folder: Path) -> None:
        make_squares(folder / "data", {"train": 4, "val": 2})
        self.make = EvalBatches(ImageStore(load_dataset(str(folder / "data")).splits["train"], 64), 64)
        self.file = folder / "made"
        self.file.touch()

    def __call__(self, request: BatchRequest, empty: object = None) -> Batch:
        with self.file.open("a") as file:
            file.write(f"{request.epoch}:{request.images[0]} ")
        if request.epoch == 7:
            os.kill(os.getpid(), signal.SIGKILL)
        if request.epoch == 8:
            raise KeyError("a transform's own")
        if request.epoch == 9:
            raise InputError("an image is gone")
        return self.make(request)

    @property
    def made(self) -> list[str]:
        return self.file.read_text().split()

    def loader(self, workers: int = 1) -> Loader:
        return Loader(cast(TrainBatches, self), workers)

    def wait_for(self, count: int) -> None:
        for _ in range(1000):
            if len(self.made) >= count:
                return
            time.sleep(0.01)
        raise AssertionError(self.made)


@pytest.fixture
def noted(tmp_path: Path) -> Noted:
    return Noted(tmp_path)


def test_workers_begin_the_next_epoch_while_the_run_does_something_else(noted: Noted) -> None:
    loader = noted.loader()
    assert [batch.indices.tolist() for batch in loader.batches(FIRST, then=SECOND)] == [[0], [1], [2], [3]]
    noted.wait_for(6)
    assert [batch.indices.tolist() for batch in loader.batches(SECOND)] == [[3], [1]]
    assert noted.made == ["0:0", "0:1", "0:2", "0:3", "1:3", "1:1"]  # each once


def test_a_run_that_goes_on_elsewhere_gets_what_it_asks_for(noted: Noted) -> None:
    loader = noted.loader(2)
    next(loader.batches(FIRST, then=SECOND))  # and leave the rest
    for _ in range(3):
        assert [batch.indices.tolist() for batch in loader.batches(FIRST[1:])] == [[1], [2], [3]]
        assert [batch.indices.tolist() for batch in loader.batches(SECOND, then=FIRST)] == [[3], [1]]


def test_the_same_images_with_other_partners_are_another_request(noted: Noted) -> None:
    loader = noted.loader()
    one, other = (BatchRequest(0, [0], shown=np.array(shown, np.int32)) for shown in ([0, 1], [0, 2]))
    loader.expect([one])
    noted.wait_for(1)
    list(loader.batches([other]))
    assert len(noted.made) == 2
    loader.expect([one])
    list(loader.batches([BatchRequest(0, [0], shown=np.array([0, 1], np.int32))]))
    assert len(noted.made) == 3


def test_a_request_that_was_overtaken_is_refused(noted: Noted) -> None:
    loader = noted.loader()
    former = loader.batches(FIRST)
    next(former)
    next(loader.batches(SECOND))
    with pytest.raises(RuntimeError, match="other batches were requested"):
        next(former)


def test_a_worker_that_is_killed_ends_the_loading_with_a_message(noted: Noted) -> None:
    with pytest.raises(WorkerLost, match=r"loads images was killed \(SIGKILL, process \d+\), probably out of memory"):
        list(noted.loader(2).batches([*FIRST, BatchRequest(7, [0])]))


def test_an_error_of_a_worker_keeps_its_kind_and_its_traceback(noted: Noted) -> None:
    loader = noted.loader()
    with pytest.raises(KeyError, match="a transform's own") as raised:
        list(loader.batches([BatchRequest(8, [0])]))
    assert "in __call__" in "".join(raised.value.__notes__)
    with pytest.raises(InputError, match="an image is gone"):
        list(loader.batches([BatchRequest(9, [0])]))
    assert len(list(loader.batches(FIRST))) == 4  # and works on


def children(pid: int) -> list[int]:
    return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except OSError:
        return False


def wait_until_gone(pids: list[int]) -> None:
    for _ in range(1000):
        if not any(map(alive, pids)):
            return
        time.sleep(0.01)
    raise AssertionError(pids)


def test_workers_end_with_their_loader(noted: Noted) -> None:
    before = set(children(os.getpid()))
    first, second = noted.loader(2), noted.loader(2)
    first.start()
    second.start()  # whose processes were forked with the pipes of the first
    ours = sorted(set(children(os.getpid())) - before)
    assert len(ours) == 4
    del first
    wait_until_gone(ours[:2])
    assert [batch.indices.tolist() for batch in second.batches(FIRST)] == [[0], [1], [2], [3]]
    del second
    wait_until_gone(ours)


def load_and_hang(folder: Path) -> None:
    """Start workers, and wait to be killed."""
    loaders = [Noted(folder / name).loader(2) for name in "ab"]
    for loader in loaders:
        loader.start()
    (folder / "ready").touch()
    time.sleep(600)


def test_workers_end_when_the_training_process_is_killed(tmp_path: Path) -> None:
    process = Forked(load_and_hang, tmp_path, out=tmp_path / "out")
    for _ in range(3000):
        if (tmp_path / "ready").exists():
            break
        time.sleep(0.01)
    workers = children(process.pid)
    assert len(workers) >= 4
    os.kill(process.pid, signal.SIGKILL)
    process.wait(30)
    wait_until_gone(workers)


def test_a_large_request_does_not_block_a_worker_that_answers(noted: Noted, monkeypatch: pytest.MonkeyPatch) -> None:
    """Both sides write more than a pipe holds; a thread of the worker reads meanwhile."""

    def refuse(self: torch.Tensor) -> torch.Tensor:
        raise RuntimeError("no shared memory")

    monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)  # so that images go through the pipe
    shown = np.zeros(10**6, np.int32)
    requests = [BatchRequest(0, [index % 4] * 30, shown=shown) for index in range(8)]
    assert [len(batch) for batch in noted.loader().batches(requests)] == [30] * 8


class StuckOnce:
    """Batches the first of which is never made: its process waits for a lock that nobody gives back.

    The lock is one of the C library's, and Python's own is held meanwhile, so no thread of the process gets on.
    """

    def __init__(self, make: EvalBatches, once: Path) -> None:
        self._make, self._once = make, once
        self.nbytes = make.nbytes

    def __call__(self, request: BatchRequest, *empty: Any) -> Batch:
        if not self._once.exists():
            self._once.touch()
            mutex, library = ctypes.create_string_buffer(64), ctypes.PyDLL(None)
            library.pthread_mutex_lock(mutex)
            library.pthread_mutex_lock(mutex)
        return self._make(request, *empty)


def test_workers_that_are_stuck_are_replaced_and_no_batch_is_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("lehr.data.loader.POLL_SECONDS", 0.1)
    monkeypatch.setattr("lehr.data.worker_pool.PARENT_SECONDS", 0.1)
    make = Noted(tmp_path).make
    loader = Loader(cast(EvalBatches, StuckOnce(make, tmp_path / "once")), workers=1, batch=1)
    with caplog.at_level("WARNING", "lehr"):
        served = [batch.indices.tolist() for batch in loader.batches(FIRST)]
    assert served == [[0], [1], [2], [3]]
    assert [record.getMessage() for record in caplog.records] == [
        f"A process that loads images was stuck (process {caplog.records[0].args[0]}) and is replaced."
    ]


def test_workers_that_wait_for_work_or_a_slow_disk_are_not_stuck(tmp_path: Path) -> None:
    loader = Loader(Noted(tmp_path).make, workers=2, batch=1)
    next(iter(loader.batches(FIRST)))
    pool = loader._pool
    assert pool is not None
    time.sleep(0.2)  # both have nothing to do by now
    assert not any(is_deadlocked(cast(int, process.pid)) for process in pool._processes)
    assert not is_deadlocked(os.getpid())
    assert not is_deadlocked(2**22 + 1)
