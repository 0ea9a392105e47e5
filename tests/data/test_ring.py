"""The ring: batches come from loading processes as they would be made here, and a slot is used again only when free."""

from __future__ import annotations

import multiprocessing
import weakref
from collections.abc import Iterator
from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tests.conftest import make_squares

from lehr.data import block as block_module
from lehr.data.batch import Batch
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.block import Block, Place
from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest, train_requests
from lehr.data.ring import Arena, Ring, place_batch
from lehr.options import AugmentOptions

pytestmark = pytest.mark.skipif(
    "fork" not in multiprocessing.get_all_start_methods(), reason="processes share no anonymous memory"
)
EVERYTHING = AugmentOptions(degrees=5, mixup=0.5, cutmix=0.5, erasing=0.5, copy_paste=0.5)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> ImageStore:
    root = tmp_path_factory.mktemp("squares")
    make_squares(root, {"train": 9, "val": 2})
    return ImageStore(load_dataset(str(root)).splits["train"], 64)


def makers(store: ImageStore) -> dict[str, TrainBatches | EvalBatches]:
    return {
        "packed": TrainBatches(store, EVERYTHING, 64, 0, 20, on_device=True),
        "drawn": TrainBatches(store, EVERYTHING, 64, 0, 20),
        "rect": TrainBatches(store, AugmentOptions(), 64, 0, 20, rect=True),
        "eval": EvalBatches(store, 64),
    }


def tensors(batch: Batch) -> list[torch.Tensor]:
    found: list[torch.Tensor] = []
    batch.map(lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
    return found


def same(one: Batch, other: Batch) -> bool:
    pairs = list(zip(tensors(one), tensors(other), strict=True))
    plain = [f.name for f in fields(Batch) if f.name in ("faults", "instances", "whole", "idle")]
    return (
        all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs)
        and all(a.stride() == b.stride() for a, b in pairs if a.numel() > 0)
        and all(getattr(one, name) == getattr(other, name) for name in plain)
        and (one.packed is None) == (other.packed is None)
    )


@pytest.mark.parametrize("kind", ["packed", "drawn", "rect", "eval"])
def test_batches_by_the_ring_are_those_made_here(kind: str, store: ImageStore) -> None:
    make = makers(store)[kind]
    requests = [request for epoch in range(2) for request in train_requests(store.samples, 2, 0, epoch)]
    by_ring = 0
    for request, batch in zip(requests, Loader(make, 2, batch=2).batches(requests), strict=True):
        by_ring += batch.block is not None
        assert same(batch, make(request))
    assert by_ring == len(requests) == 10


def test_batches_that_are_kept_keep_their_slots(store: ImageStore) -> None:
    make = makers(store)["drawn"]
    requests = [request for epoch in range(4) for request in train_requests(store.samples, 1, 0, epoch)]
    kept = list(Loader(make, 1, batch=1).batches(requests))
    assert {batch.block is None for batch in kept} == {True, False}  # the ring is smaller, and the rest came as well
    assert all(same(batch, make(request)) for batch, request in zip(kept, requests, strict=True))


def test_a_batch_larger_than_a_slot_comes_all_the_same(store: ImageStore) -> None:
    make = makers(store)["drawn"]
    requests = [BatchRequest(epoch, images) for epoch, images in enumerate(([*range(9)], [5], [*range(8, -1, -1)]))]
    batches = list(Loader(make, 1, batch=1).batches(requests))
    assert [batch.block is None for batch in batches] == [True, False, True]
    assert all(same(batch, make(request)) for batch, request in zip(batches, requests, strict=True))


def test_a_ring_that_the_system_refuses_is_done_without(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise OSError(12, "Cannot allocate memory")

    monkeypatch.setattr("lehr.data.ring.mmap.mmap", refuse)
    make, requests = makers(store)["eval"], [BatchRequest(0, [0, 1])]
    assert same(next(Loader(make, 1, batch=2).batches(requests)), make(requests[0]))


def test_a_ring_takes_a_share_of_the_free_memory(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make, requests = makers(store)["drawn"], [BatchRequest(0, [0, 1]), BatchRequest(0, [2, 3])]
    for share, slots in ((100, 2 * 6), (4, 4), (1, None)):  # in slots of two workers; 4 ahead and some in use at most
        monkeypatch.setattr("lehr.data.loader.free_memory", lambda n=share: int((n + 0.5) * make.nbytes(2) / 0.15) * 3)
        loader = Loader(make, 2, batch=2, processes=3)
        batches = list(loader.batches(requests))
        assert all(same(batch, make(request)) for batch, request in zip(batches, requests, strict=True))
        ring = loader._pool.ring if loader._pool is not None else None
        assert (None if ring is None else ring.nbytes // ring.slot_bytes) == slots


@pytest.mark.parametrize("forks", [True, False])
@pytest.mark.parametrize(("room", "ahead"), [(1000, 4), (12, 4), (7, 2), (3, 1), (0, 1)])
def test_batches_on_their_way_take_a_share_of_the_free_memory_with_and_without_a_ring(
    room: int, ahead: int, forks: bool, store: ImageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Room for so many batches, of three workers."""
    make = makers(store)["drawn"]
    monkeypatch.setattr("lehr.data.loader.free_memory", lambda: int((room + 0.5) * make.nbytes(2) / 0.15))
    monkeypatch.setattr(multiprocessing, "get_all_start_methods", lambda: ["fork", "spawn"] if forks else ["spawn"])
    ring, prefetch = Loader(make, 3, batch=2)._ring()
    assert prefetch == ahead
    assert (ring is not None) == (forks and room >= 3)
    assert ring is None or ring.nbytes <= max(room, 3 * 4) * ring.slot_bytes


def test_large_batches_are_made_two_ahead(store: ImageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    make = makers(store)["drawn"]
    monkeypatch.setattr("lehr.data.loader.free_memory", lambda: 2**40)
    monkeypatch.setattr("lehr.data.loader.LARGE", (3 * 4 + 3) * make.nbytes(2) - 1)
    assert Loader(make, 3, batch=2)._ring()[1] == 2
    monkeypatch.setattr("lehr.data.loader.LARGE", (3 * 4 + 3) * make.nbytes(2))
    assert Loader(make, 3, batch=2)._ring()[1] == 4


def test_a_slot_is_free_when_the_last_tensor_of_its_batch_is_gone(store: ImageStore) -> None:
    make, ring = makers(store)["packed"], Ring(10**6, 2, 1)
    slot = ring.take(0)
    assert slot is not None and ring.free(0) == 1
    arena = ring.arena(slot)
    message = place_batch(make(BatchRequest(0, [0, 1]), arena.empty), arena, slot)
    assert message is not None
    batch: Batch | None = ring.batch(message)
    assert batch is not None and batch.block is not None
    assert all(place.offset % 256 == 0 for place in batch.block.places)
    boxes, indices = batch.boxes[:1], batch.indices
    batch = None
    assert ring.free(0) == 1
    del boxes
    assert ring.free(0) == 2 and indices.tolist() == [0, 1]  # what stays with the host is a copy


def test_a_slot_s_room_is_what_the_batches_of_the_run_need(store: ImageStore) -> None:
    for make in makers(store).values():
        for request in train_requests(store.samples, 3, 0, 0):
            arena = Arena(np.empty(make.nbytes(3) // 8 * 8, np.uint8))
            assert place_batch(make(request, arena.empty), arena, 0) is not None


@pytest.fixture
def events(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """Events of a stand-in for CUDA, which have happened when they are told so."""
    made: list[Any] = []

    class Event:
        def __init__(self) -> None:
            self.done = False
            made.append(self)

        def record(self, stream: Any) -> None:
            pass

        def query(self) -> bool:
            return self.done

    monkeypatch.setattr(torch.cuda, "Event", Event)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: None)
    yield made
    block_module._COPYING.clear()


def test_a_slot_is_not_free_while_the_device_copies_from_it(events: list[Any]) -> None:
    ring = Ring(4096, 1, 1)
    slot = ring.take(0)
    assert slot == 0
    places = (Place(torch.float32, (2, 3), (3, 1), 0), Place(torch.int64, (4,), (1,), 256))
    array = ring._memory[:512]
    ring._used[slot] = weakref.ref(array, lambda _: ring.give_back(slot))
    block: Block | None = Block(torch.from_numpy(array), places, pinned=True)
    assert block is not None
    there = list(block.to(torch.device("cpu")))
    assert [(tensor.shape, tensor.dtype) for tensor in there] == [((2, 3), torch.float32), ((4,), torch.int64)]
    del array, there
    block = None
    assert ring.free(0) == 0
    events[0].done = True
    assert ring.free(0) == 1


@pytest.mark.parametrize("workers", [1, 3])
def test_no_batch_of_a_run_lacks_a_slot_while_the_device_copies_two(
    workers: int, events: list[Any], store: ImageStore
) -> None:
    """As the feed does on CUDA: a batch ahead of the step, its copy done when the next but one begins."""
    make, requests = makers(store)["packed"], train_requests(store.samples, 1, 0, 0)
    loader = Loader(make, workers, batch=1)
    loader.start()
    assert loader._pool is not None and loader._pool.ring is not None
    loader._pool.ring._pinned = True
    for _ in range(8):
        ahead: Batch | None = None
        for request, batch in zip(requests, loader.batches(requests, then=requests), strict=True):
            assert batch.block is not None
            images = make(request).packed
            assert images is not None and torch.equal(batch.block.to(torch.device("cpu"))[5], images.pixels)
            for event in events[:-2]:
                event.done = True
            assert ahead is not batch
            ahead = batch
    assert (loader.served, loader.outside) == (8 * len(requests), 0)


def test_many_batches_outside_of_the_ring_are_said_once(
    store: ImageStore, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lehr.data.loader.MANY_OUTSIDE", 4)
    loader = Loader(makers(store)["drawn"], 1, batch=1)
    kept = list(loader.batches([BatchRequest(epoch, [0]) for epoch in range(20)]))
    outside = sum(batch.block is None for batch in kept)
    assert (loader.served, loader.outside) == (20, outside) and outside >= 8
    said = [record.getMessage() for record in caplog.records if "did not fit" in record.getMessage()]
    assert len(said) == 1 and said[0].startswith("4 of ")


def test_two_rings_of_one_run_are_apart(store: ImageStore, tmp_path: Path) -> None:
    train, val = Loader(makers(store)["drawn"], 1, batch=2), Loader(makers(store)["eval"], 1, batch=2)
    requests = train_requests(store.samples, 2, 0, 0)
    for one, other, request in zip(train.batches(requests), val.batches(requests), requests, strict=True):
        assert same(one, makers(store)["drawn"](request)) and same(other, makers(store)["eval"](request))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device")
@pytest.mark.parametrize("kind", ["packed", "drawn", "eval"])
def test_the_device_gets_the_ring_s_batches_without_waiting(kind: str, store: ImageStore) -> None:
    from lehr.data.feed import DevicePrefetcher

    make, device = makers(store)[kind], torch.device("cuda", 0)
    requests = [request for epoch in range(3) for request in train_requests(store.samples, 2, 0, epoch)]
    feed = DevicePrefetcher(Loader(make, 2, pin=True, batch=2), device)
    next(feed.batches(requests))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    try:
        there = list(feed.batches(requests))
    finally:
        torch.cuda.set_sync_debug_mode("default")
    for request, batch in zip(requests, there, strict=True):
        wanted = make(request).to(device)
        assert torch.equal(batch.images, wanted.images) and torch.equal(batch.boxes, wanted.boxes)
        assert torch.equal(batch.classes, wanted.classes) and torch.equal(batch.indices, wanted.indices)
    assert feed.loader.pinned
