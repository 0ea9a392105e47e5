"""Batches reach the training process whatever a machine lacks, and waiting for them ends when it is asked to."""

from __future__ import annotations

import errno
import multiprocessing
import os
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import numpy as np
import pytest
import torch
from tests.conftest import make_squares
from tests.processes import Forked

from lehr.data import loader as loader_module
from lehr.data.batch import Batch
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.parcel import Parcel, describe_no_start, describe_slow_way, pack
from lehr.data.requests import BatchRequest
from lehr.data.worker_processes import LoadingStopped, describe_lost_worker
from lehr.errors import LehrError
from lehr.options import AugmentOptions

FULL = "unable to allocate shared memory(shm) for file </torch_1_2_3>: No space left on device (28)"
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="how torch shares memory elsewhere is another matter")


def refuse(self: torch.Tensor) -> torch.Tensor:
    raise RuntimeError(FULL)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    root = tmp_path_factory.mktemp("squares")
    make_squares(root, {"train": 6, "val": 2})
    return ImageStore(load_dataset(str(root)).splits["train"], 128)


def batch_of(store: ImageStore, on_device: bool = False) -> Batch:
    make = TrainBatches(store, AugmentOptions(degrees=5), 128, 0, 20, on_device=on_device)
    return make(BatchRequest(0, [0, 3, 5]))


def parts(batch: Batch) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    batch.map(lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
    return found


@pytest.mark.parametrize("on_device", [False, True])
@pytest.mark.parametrize("shared", [True, False])
def test_a_batch_is_unpacked_as_it_was(
    shared: bool, on_device: bool, store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = batch_of(store, on_device)
    wanted = [tensor.clone() for tensor in parts(batch)]
    if not shared:
        monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    parcel = pack(batch)
    assert bool(parcel.trouble) != shared
    assert (len(parcel.content) < 30_000) == shared or on_device
    monkeypatch.undo()
    unpacked = parcel.unpack().batch
    assert unpacked is not None and len(wanted) >= 5
    for before, after in zip(wanted, parts(unpacked), strict=True):
        assert torch.equal(before, after) and before.dtype == after.dtype
        for form in (torch.contiguous_format, torch.channels_last) if before.ndim == 4 else ():
            assert after.is_contiguous(memory_format=form) == before.is_contiguous(memory_format=form)
    assert (unpacked.instances, unpacked.faults, unpacked.whole) == (batch.instances, batch.faults, batch.whole)


def images_of(loader: Loader, requests: list[BatchRequest]) -> list[torch.Tensor]:
    return [batch.images.clone() for batch in loader.batches(requests)]


REQUESTS = [BatchRequest(0, [0, 1]), BatchRequest(0, [2, 3]), BatchRequest(1, [4, 5])]


@pytest.mark.parametrize("lacking", ["room", "a way to hand it over", "a way to take it"])
def test_batches_arrive_without_shared_memory(
    lacking: str, store: ImageStore, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    make = TrainBatches(store, AugmentOptions(), 128, 0, 20)
    wanted = images_of(Loader(make), REQUESTS)
    caplog.set_level("INFO", "lehr")
    if lacking == "room":
        monkeypatch.setattr(torch.Tensor, "share_memory_", refuse)
    elif lacking == "a way to hand it over":

        def no_socket(descriptor: int) -> None:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        monkeypatch.setattr("multiprocessing.reduction.DupFd", no_socket)
    else:
        monkeypatch.setattr("lehr.data.parcel.pickle.loads", cast(Any, lambda content: refuse(content)))
    found = images_of(Loader(make, workers=1), REQUESTS)
    assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
    said = [record.getMessage() for record in caplog.records if "through pipes" in record.getMessage()]
    assert len(said) == 1  # once, with the remedy
    remedies = {"room": "--shm-size", "a way to hand it over": "ulimit -n", "a way to take it": "/dev/shm"}
    assert remedies[lacking] in said[0]


def hang(request: BatchRequest) -> Batch:
    time.sleep(3600)
    raise AssertionError


def wait_for_a_hanging_worker(answer: Path) -> None:
    """Wait for a batch that never comes, and end as asked."""
    loader_module.POLL_SECONDS = 1
    loader = Loader(cast(EvalBatches, hang), workers=1)
    loader.stop_signal = lambda: int(signal.SIGTERM)
    try:
        list(loader.batches([BatchRequest(0, [0])]))
    except LoadingStopped as stopped:
        answer.write_text(f"{stopped.exit_code} {stopped}")


def test_waiting_for_images_ends_when_asked_and_a_hanging_worker_keeps_nobody(tmp_path: Path) -> None:
    answer = tmp_path / "answer"
    process = Forked(wait_for_a_hanging_worker, answer, out=tmp_path / "out")
    assert process.wait(60) == 0
    assert answer.read_text() == "143 Stopped by SIGTERM, waiting for images."


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.ENOSPC, ["/dev/shm", "--shm-size", "--workers 0"]),
        (errno.EROFS, ["/dev/shm", "--shm-size"]),
        (errno.EMFILE, ["Too many open files", "ulimit -n"]),
        (errno.EAGAIN, ["limit of processes", "fewer --workers"]),
    ],
)
def test_workers_that_cannot_be_started_are_a_message_with_the_remedy(
    number: int, words: list[str], store: ImageStore, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(multiprocessing.get_context("fork"), "Pipe", fail)
    before = set(multiprocessing.active_children())  # of other tests' loaders
    with pytest.raises(LehrError) as raised:
        Loader(EvalBatches(store, 128), workers=2).start()
    assert raised.value.exit_code == 1 and not set(multiprocessing.active_children()) - before
    assert all(word in str(raised.value) for word in words), raised.value
    assert "Traceback" not in capfd.readouterr().err


def test_messages_name_the_remedy() -> None:
    assert "--ipc=host" in describe_slow_way(FULL)
    assert "TMPDIR" in describe_slow_way("No usable temporary directory found")
    assert "--workers 3" in describe_no_start(3, OSError("odd"))
    assert "/dev/shm" in describe_lost_worker(1, -signal.SIGBUS)
    assert "(SIGKILL, process 1), probably out of memory" in describe_lost_worker(1, -signal.SIGKILL)
    assert "memory" not in describe_lost_worker(1, 1) and "--workers 0" in describe_lost_worker(1, 1)


def test_small_tensors_stay_in_the_pipe(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each tensor in shared memory takes a descriptor, of which there may be few."""
    shared: list[int] = []
    share: Callable[[torch.Tensor], torch.Tensor] = torch.Tensor.share_memory_

    def counted(self: torch.Tensor) -> torch.Tensor:
        shared.append(self.nbytes)
        return share(self)

    monkeypatch.setattr(torch.Tensor, "share_memory_", counted)
    parcel = pack(batch_of(store))
    assert isinstance(parcel, Parcel) and shared == [3 * 128 * 128 * 3]
    assert np.prod(parcel.unpack().batch.images.shape) == shared[0]  # type: ignore[union-attr]
