"""Windows of partners: each image is a partner equally often, of others each epoch, whoever makes the batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import MakeYolo

from lehr.augment.partners import Partners
from lehr.config import build_config
from lehr.data.batch import Batch
from lehr.data.batch_makers import TrainBatches
from lehr.data.cache import open_store
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest, shard_requests, train_requests
from lehr.distributed.collectives import Ranks
from lehr.engine.data import epoch_requests
from lehr.options import AugmentOptions
from lehr.rng import generator
from lehr.sample import Sample
from lehr.techniques.partner_window import WINDOW, chosen_window, count_windows, ring_images, within_windows

MANY = [Sample(Path(f"{i}.png"), 64, 48, np.zeros((0, 4), np.float32), np.zeros(0, np.int64)) for i in range(403)]


def requests_of(epoch: int, window: int, batch: int = 8, count: int = 403) -> list[BatchRequest]:
    return within_windows(train_requests(MANY[:count], batch, 0, epoch), window)


def partners_of(requests: list[BatchRequest]) -> dict[int, list[int]]:
    """The three partners of each image of an epoch."""
    return {
        index: Partners(403, request.shown).draw(generator(0, "augment", request.epoch, index), 3)
        for request in requests
        for index in request.images
    }


@pytest.mark.parametrize("epochs", [80, pytest.param(300, marks=pytest.mark.slow)])
def test_every_image_is_a_partner_about_equally_often(epochs: int) -> None:
    counts = Counter[int]()
    for epoch in range(epochs):
        for partners in partners_of(requests_of(epoch, 50)).values():
            counts.update(partners)
    found = np.array([counts[index] for index in range(403)])
    # Three draws for each image of each epoch, each with the same chance for all: binomial, as with all partners.
    expected = 3 * epochs
    assert found.sum() == expected * 403
    assert abs(found / expected - 1).max() < 5 / expected**0.5
    assert found.std() == pytest.approx(expected**0.5, rel=0.15)


def test_partners_are_of_the_epoch_s_own_window_and_others_each_epoch() -> None:
    former: dict[int, set[int]] = {}
    for epoch in range(3):
        requests = requests_of(epoch, 50)
        order = [index for request in requests for index in request.images]
        place = {index: number for number, index in enumerate(order)}
        assert sorted(order) == list(range(403))
        near = {index: set(partners) for index, partners in partners_of(requests).items()}
        assert max(abs(place[index] - place[other]) for index, some in near.items() for other in some) < 56
        same = sum(len(near[index] & former.get(index, set())) for index in near)
        assert same < 0.1 * 3 * 403
        former = near


def test_windows_are_whole_batches_of_about_as_many_images_as_are_asked_for() -> None:
    for window in (1, 8, 20, 50, 100, 403, 1000):
        requests = requests_of(0, window)
        sizes = Counter(id(request.shown) for request in requests if request.shown is not None)
        shown = {id(request.shown): request.shown for request in requests if request.shown is not None}
        for number, images in shown.items():
            inside = [index for request in requests if id(request.shown) == number for index in request.images]
            assert images.tolist() == inside and len(inside) < max(1.6 * window + 8, 9)
        assert len(sizes) == (count_windows(403, 51, window) if count_windows(403, 51, window) > 1 else 0)


@pytest.mark.parametrize("window", [0, 403, 269])
def test_one_window_is_as_if_there_were_none(window: int) -> None:
    assert [request.shown for request in requests_of(1, window)] == [None] * 51


def test_images_that_are_shown_more_often_are_partners_more_often() -> None:
    drawn = [index % 100 for index in range(400)] + [7] * 100
    order = generator(0, "order").permutation(drawn).tolist()
    counts = Counter[int]()
    for epoch in range(20):
        requests = within_windows(train_requests(MANY, 8, 0, epoch, drawn=order), 60)
        for request in requests:
            for index, repeat in zip(request.images, request.repeats, strict=True):
                counts.update(Partners(403, request.shown).draw(generator(0, "augment", epoch, index, repeat), 3))
    assert counts[7] == pytest.approx(20 * 500 * 3 * 104 / 500, rel=0.06)


def test_what_is_chosen_follows_from_what_is_decoded_unless_it_is_given() -> None:
    assert [chosen_window(given, True) for given in (None, "all", 64)] == [0, 0, 64]  # type: ignore[arg-type]
    assert [chosen_window(given, False) for given in (None, "all", 64)] == [WINDOW, 0, 64]  # type: ignore[arg-type]
    assert [ring_images(count, 100) for count in (90, 149, 5000)] == [90, 149, 150]
    assert [ring_images(count, 0) for count in (90, 1536, 1537)] == [90, 1536, 0]


def test_without_the_option_an_epoch_is_what_it_was() -> None:
    config = build_config({"data": "x", "batch": 8})
    assert all(request.shown is None for request in epoch_requests(config, MANY, (0.0,), 0))
    windowed = epoch_requests(build_config({"data": "x", "batch": 8, "partner_window": 50}), MANY, (0.0,), 0)
    assert [request.images for request in windowed] == [request.images for request in requests_of(0, 0)]
    assert windowed[0].shown is not None and windowed[-1].shown is not None


@pytest.fixture
def samples(make_yolo: MakeYolo) -> list[Sample]:
    return list(load_dataset(str(make_yolo(suffix=".jpg"))).splits["train"])


def equal(one: Batch, other: Batch) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("images", "boxes", "classes", "indices")]
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize("on_device", [False, True], ids=["drawn", "packed"])
@pytest.mark.parametrize(
    ("workers", "cache", "ring"), [(0, "none", 3), (1, "encoded", 8), (2, "none", 5), (4, "none", 8)]
)
def test_neither_workers_nor_the_ring_change_a_batch(
    samples: list[Sample], workers: int, cache: str, ring: int, on_device: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lehr.data.cache.SMALLEST_RING", 1)
    requests = [each for epoch in (0, 1) for each in within_windows(train_requests(samples, 2, 0, epoch), 4)]
    options = AugmentOptions(degrees=5, mixup=0.3, copy_paste=0.3, cutmix=0.3)

    def batches(cache: str, ring: int, workers: int) -> list[Batch]:
        store = open_store(samples, 64, cache, lambda _: None, ring=ring)
        assert (store.ring is not None) == (ring > 0)
        loader = Loader(TrainBatches(store, options, 64, 0, 20, on_device=on_device), workers, batch=2)
        device = torch.device("cpu")
        return [each.to(device) for each in loader.batches(requests)]

    pairs = zip(batches("ram", 0, 0), batches(cache, ring, workers), strict=True)
    assert all(equal(one, other) for one, other in pairs)


def test_several_processes_have_the_partners_of_one() -> None:
    whole = requests_of(2, 50)
    shares = [shard_requests(whole, Ranks(rank=rank, count=2)) for rank in range(2)]
    for request, one, other in zip(whole, *shares, strict=True):
        assert sorted([*one.images, *(other.images if not other.idle else [])]) == sorted(request.images)
        assert one.shown is request.shown is other.shown


def test_each_image_is_decoded_about_once_an_epoch(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.data.cache.SMALLEST_RING", 1)
    count = len(samples)
    store = open_store(samples, 64, "none", lambda _: None, ring=count)
    decoded = Counter[int]()
    decode = store._decoded

    def counted(index: int) -> object:
        decoded[index] += 1
        return decode(index)

    monkeypatch.setattr(store, "_decoded", counted)
    make = TrainBatches(store, AugmentOptions(), 64, 0, 20)
    for request in within_windows(train_requests(samples, 2, 0, 0), 4):
        make(request)
    assert set(decoded.values()) == {1} and len(decoded) == count
