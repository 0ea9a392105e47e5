"""Batches: the same whatever the workers and the cache; letterboxed ones lead back to the image."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import cast

import numpy as np
import pytest
import torch
from tests.conftest import MakeYolo
from tests.processes import Forked

from lehr.data.batch import Batch, pad_objects
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.cache import ImageStore, open_store
from lehr.data.load import load_dataset
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest, eval_requests, train_requests
from lehr.errors import InputError
from lehr.options import AugmentOptions
from lehr.sample import Sample


@pytest.fixture
def samples(make_yolo: MakeYolo) -> list[Sample]:
    return list(load_dataset(str(make_yolo(suffix=".png"))).splits["train"])


def batches(samples: list[Sample], cache: str, workers: int) -> list[Batch]:
    store = open_store(samples, 64, cache, lambda _: None)
    loader = Loader(TrainBatches(store, AugmentOptions(degrees=5, mixup=0.3), 64, 0, 20), workers)
    return [b for epoch in (0, 1) for b in loader.batches(train_requests(samples, 4, 0, epoch))]


def same(one: Batch, other: Batch) -> bool:
    pairs = [(getattr(one, name), getattr(other, name)) for name in ("images", "boxes", "classes", "indices")]
    return all(torch.equal(a, b) for a, b in pairs)


@pytest.mark.parametrize(
    ("cache", "workers"), [("none", 0), ("disk", 0), ("ram", 2), ("disk", 1), ("encoded", 0), ("encoded", 2)]
)
def test_workers_and_cache_change_nothing(
    samples: list[Sample], cache: str, workers: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEHR_CACHE", str(tmp_path / "cache"))
    expected = batches(samples, "ram", 0)
    found = batches(samples, cache, workers)
    assert len(found) == len(expected) == 4
    assert all(same(a, b) for a, b in zip(expected, found, strict=True))


FEW = [Sample(Path(f"{i}.png"), 64, 48 + i % 5, np.zeros((0, 4), np.float32), np.zeros(0, np.int64)) for i in range(37)]


def test_an_epoch_has_every_image_once_in_an_order_of_its_own() -> None:
    epochs = [[i for key in train_requests(FEW, 8, 5, epoch) for i in key.images] for epoch in range(3)]
    assert all(sorted(order) == list(range(37)) for order in epochs)
    assert epochs[0] != epochs[1] != epochs[2]
    assert [len(key.images) for key in train_requests(FEW, 8, 5, 0)] == [8, 8, 8, 8, 5]


def test_mosaic_closes_for_the_last_epochs(samples: list[Sample]) -> None:
    make = TrainBatches(ImageStore(samples, 64), AugmentOptions(close_mosaic=3), 64, 0, 10)
    assert [make.mosaic_on(epoch) for epoch in (0, 6, 7, 9)] == [True, True, False, False]


def test_images_of_a_batch_lie_channels_last_as_the_step_wants_them(samples: list[Sample]) -> None:
    batch = batches(samples, "ram", 0)[0]
    assert batch.images.shape == (4, 3, 64, 64) and batch.images.dtype == torch.uint8
    assert batch.images.is_contiguous(memory_format=torch.channels_last)


def test_padding_is_told_by_class_minus_one() -> None:
    boxes, classes = pad_objects(
        [np.ones((2, 4), np.float32), np.zeros((0, 4), np.float32)], [np.array([3, 1]), np.zeros(0, np.int64)]
    )
    assert boxes.shape == (2, 2, 4) and classes.tolist() == [[3, 1], [-1, -1]]
    nothing, none = pad_objects([np.zeros((0, 4), np.float32)], [np.zeros(0, np.int64)])
    assert nothing.shape == (1, 0, 4) and none.shape == (1, 0)


def test_letterboxed_batches_lead_back_to_the_image(samples: list[Sample]) -> None:
    store = ImageStore(samples, 96)
    for square, shape in ((True, (96, 96)), (False, (96, 96))):
        make = EvalBatches(store, 96, square)
        batch = make(BatchRequest(0, [0, 3]))
        assert tuple(batch.images.shape[2:]) == shape
        scale, offset = batch.placements[:, None, [0, 1, 0, 1]], batch.placements[:, None, [2, 3, 2, 3]]
        back = (batch.boxes - offset) / scale
        for row, index in enumerate((0, 3)):
            np.testing.assert_allclose(back[row].numpy(), samples[index].boxes, atol=1e-4)


def test_evaluation_rectangles_are_whole_strides_and_as_small_as_can_be(tmp_path: Path) -> None:
    wide = [Sample(tmp_path / "x", 640, 480, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))]
    assert EvalBatches(ImageStore(wide, 320), 320).shape([0]) == (320, 256)
    assert EvalBatches(ImageStore(wide, 320), 320, square=True).shape([0]) == (320, 320)


def test_evaluation_sees_every_image_once(samples: list[Sample]) -> None:
    requests = eval_requests(ImageStore(samples, 64), 4)
    assert sorted(i for key in requests for i in key.images) == list(range(len(samples)))


@pytest.mark.parametrize("workers", [0, 1])
def test_an_image_that_breaks_during_the_run_is_replaced_and_named(samples: list[Sample], workers: int) -> None:
    make = TrainBatches(ImageStore(samples, 64), AugmentOptions(), 64, 0, 20)
    loader, requests = Loader(make, workers), train_requests(samples, 6, 0, 0)
    before = list(loader.batches(requests))
    assert not any(batch.faults for batch in before)
    samples[2].path.write_bytes(b"junk")
    after = list(loader.batches(requests))
    faults = [fault for batch in after for fault in batch.faults]
    assert faults and all(fault.startswith(f"{samples[2].path}: ") for fault in faults)
    changed = 0
    for one, other in zip(before, after, strict=True):
        assert torch.equal(one.indices, other.indices)
        changed += sum(not torch.equal(a, b) for a, b in zip(one.images, other.images, strict=True))
    assert changed == len(faults)  # the others are drawn as they were


def test_the_picture_that_takes_its_place_has_its_own_objects(samples: list[Sample]) -> None:
    still = AugmentOptions(mosaic=0, translate=0, scale=0, fliplr=0, hsv_h=0, hsv_s=0, hsv_v=0)
    make = TrainBatches(ImageStore(samples, 64), still, 64, 0, 20)
    whole = [make(BatchRequest(0, [index])) for index in range(len(samples))]
    samples[2].path.unlink()
    instead = make(BatchRequest(0, [2]))
    same = [torch.equal(instead.images, other.images) for other in whole]
    assert sum(same) == 1 and not same[2]
    assert torch.equal(instead.boxes, whole[same.index(True)].boxes)


def test_when_no_image_can_be_read_the_run_cannot_go_on(samples: list[Sample]) -> None:
    make = TrainBatches(ImageStore(samples, 64), AugmentOptions(), 64, 0, 20)
    for sample in samples:
        sample.path.unlink()
    with pytest.raises(InputError, match="Does the data set still exist"):
        make(BatchRequest(0, [0]))


def test_an_evaluation_goes_on_without_an_image_only_where_it_may(samples: list[Sample]) -> None:
    store = ImageStore(samples, 64)
    samples[1].path.unlink()
    with pytest.raises(InputError, match=samples[1].path.name):
        EvalBatches(store, 64)(BatchRequest(0, [0, 1]))
    batch = EvalBatches(store, 64, tolerant=True)(BatchRequest(0, [0, 1, 2]))
    assert batch.indices.tolist() == [0, -1, 2] and len(batch.faults) == 1
    assert (batch.images[1] == 114).all() and (batch.classes[1] == -1).all()


def test_a_cache_file_is_made_once_and_made_anew_when_an_image_changes(
    samples: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LEHR_CACHE", str(tmp_path / "cache"))
    said: list[str] = []
    for _ in range(2):
        open_store(samples, 64, "disk", said.append)
    assert len(said) == 1
    samples[0].path.write_bytes(samples[1].path.read_bytes())
    store = open_store(samples, 64, "disk", said.append)
    assert len(said) == 2
    np.testing.assert_array_equal(store(0)[0], store(1)[0])


def test_too_little_memory_for_the_cache_is_said(samples: list[Sample], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lehr.data.cache.free_memory", lambda: 1000)
    said: list[str] = []
    store = open_store(samples, 64, "ram", said.append)
    assert "GiB" in said[0] and store(0)[0].shape == (64, 64, 3)


def leave_and_load(data: Path, freed: Path) -> None:
    """Leave something to the garbage collector, and load an image with a worker that runs it."""
    samples = list(load_dataset(str(data)).splits["train"])

    class Left:
        def __init__(self) -> None:
            self.itself = self

        def __del__(self) -> None:
            with freed.open("a") as file:
                file.write(f"{os.getpid()}\n")

    def collect(request: BatchRequest) -> Batch:
        gc.collect()
        return make(request)

    make = EvalBatches(ImageStore(samples, 64), 64)
    gc.unfreeze()
    gc.collect()
    gc.disable()
    Left()
    loader = Loader(cast(TrainBatches, collect), workers=1)
    assert [len(batch) for batch in loader.batches([BatchRequest(7, [0, 1])])] == [2]
    assert not freed.exists()
    gc.enable()
    gc.collect()


def test_workers_do_not_free_what_the_run_left_to_the_garbage_collector(make_yolo: MakeYolo, tmp_path: Path) -> None:
    """A CUDA object that is freed in a forked process aborts it; in a process that has less to look through."""
    process = Forked(leave_and_load, make_yolo(suffix=".png"), tmp_path / "freed", out=tmp_path / "out")
    assert process.wait() == 0, process.out
    assert (tmp_path / "freed").read_text().split() == [str(process.pid)]
