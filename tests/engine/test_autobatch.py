"""AutoBatch in a run: what is measured, on which images, and that it is compared with the budget."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
from tests.conftest import MakeYolo

from lehr.augment.partners import Partners
from lehr.data.batch_makers import TrainBatches
from lehr.data.cache import open_store
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.engine import autobatch
from lehr.engine.autobatch import STEPS, crowded_requests
from lehr.options import AugmentOptions
from lehr.sample import Sample
from lehr.techniques.autobatch import Measured

GIB = 2**30


def test_a_size_that_takes_more_than_the_budget_is_not_taken_though_it_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond 16 images memory is half as much again as the line through smaller ones says."""
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=64 * GIB))
    tried: list[int] = []

    def measure(size: int) -> Measured:
        tried.append(size)
        return Measured(size, int(size * GIB * (1 if size <= 16 else 1.5)), 1.0)

    fits, told = autobatch._by_memory(measure, 64, 0.6, torch.device("cuda", 0))
    assert fits == 25 and "25 fit" in told  # 37.5 of 38.4 GiB
    assert tried[5] == 38 and 26 in tried  # what the line says, then less


def test_a_size_that_takes_too_much_among_the_first_ones_bounds_what_is_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: SimpleNamespace(total_memory=10 * GIB))
    fits, _ = autobatch._by_memory(lambda size: Measured(size, size * GIB, 1.0), 64, 0.5, torch.device("cuda", 0))
    assert fits == 5


def objects(count: int) -> Sample:
    boxes = np.tile(np.array([[4, 4, 20, 20]], np.float32), (count, 1))
    return Sample(SimpleNamespace(), 64, 64, boxes, np.zeros(count, np.int64))  # type: ignore[arg-type]


def test_the_most_crowded_images_are_measured_and_their_partners_are_crowded_too() -> None:
    samples = [objects(count) for count in (1, 7, 0, 9, 3, 9)]
    requests = crowded_requests(samples, 3)
    assert len(requests) == STEPS + 1 and len({tuple(request.repeats) for request in requests}) == STEPS + 1
    for request in requests:
        assert sorted(request.images) == [1, 3, 5]
        drawn = Partners(len(samples), request.shown).draw(np.random.default_rng(0), 50)
        assert set(drawn) == {1, 3, 5}
    assert sorted(set(crowded_requests(samples, 8)[0].images)) == list(range(6))


def test_batches_of_crowded_requests_can_be_made(make_yolo: MakeYolo) -> None:
    samples = list(load_dataset(str(make_yolo(counts={"train": 6, "val": 2}))).splits["train"])
    store = open_store(samples, 64, "ram", lambda _: None)
    loader = Loader(TrainBatches(store, AugmentOptions(), 64, 0, 20))
    batches = list(loader.batches(crowded_requests(samples, 8)))
    assert [len(batch) for batch in batches] == [8] * (STEPS + 1)
    assert not torch.equal(batches[0].images, batches[1].images)
