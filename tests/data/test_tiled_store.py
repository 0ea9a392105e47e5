"""The pixels of tiles: those of the image, however it is kept; and batches of them, whoever makes them."""

from __future__ import annotations

from collections import Counter
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from lehr.augment.letterbox import resize
from lehr.data.batch import Batch
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.cache import ImageStore, open_store
from lehr.data.images import read_image
from lehr.data.loader import Loader
from lehr.data.requests import BatchRequest, eval_requests, shard_requests, train_requests
from lehr.data.tiled_split import TiledSplit, Tiling
from lehr.data.tiled_store import FULL_SIZE, TiledStore
from lehr.distributed.collectives import Ranks
from lehr.options import AugmentOptions
from lehr.sample import Sample
from lehr.techniques.partner_window import count_windows, within_windows
from lehr.techniques.tiled_training import images_together, ring_of_tiles, tile_window

TILING = Tiling(64, 0.25, 0.3)


def make_images(folder: Path, suffix: str, count: int = 3) -> list[Sample]:
    """Images of noise with bright squares, which are the objects."""
    samples = []
    for number in range(count):
        rng = np.random.default_rng(number)
        width, height = 200 + 20 * number, 150
        image = rng.integers(0, 120, (height, width, 3)).astype(np.uint8)
        low = rng.integers((0, 0), (width - 9, height - 9), (12, 2))
        boxes = np.concatenate((low, low + 9), 1)
        for x1, y1, x2, y2 in boxes.tolist():
            image[y1:y2, x1:x2] = 255
        cv2.imwrite(str(folder / f"{number}{suffix}"), image)
        path = folder / f"{number}{suffix}"
        samples.append(Sample(path, width, height, boxes.astype(np.float32), np.zeros(12, np.int64), path))
    return samples


def empty_images(count: int) -> list[Sample]:
    """Images of 20 tiles that are not there."""
    none = np.zeros((0, 4), np.float32), np.zeros(0, np.int64)
    return [Sample(Path(f"{number}.png"), 240, 200, *none) for number in range(count)]


def tiled(samples: list[Sample], cache: str = "ram", imgsz: int = 64, ring: int = 0) -> TiledStore:
    images = open_store(samples, FULL_SIZE, cache, lambda _: None, ring=ring, smallest=1)
    return TiledStore(images, TiledSplit(samples, TILING), imgsz)


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".ppm", ".jpg"])
@pytest.mark.parametrize(("cache", "ring"), [("ram", 0), ("encoded", 2), ("none", 0), ("none", 1)])
@pytest.mark.parametrize("imgsz", [64, 32])
def test_a_tile_is_its_part_of_the_image(suffix: str, cache: str, ring: int, imgsz: int, tmp_path: Path) -> None:
    samples = make_images(tmp_path, suffix, 2)
    store = tiled(samples, cache, imgsz, ring)
    for shown in (store, store.in_epoch(0, 3)):
        for index in (0, 5, len(shown.samples) - 1):
            x1, y1, x2, y2 = shown.samples.window(index)
            pixels, size = shown(index)
            whole = read_image(shown.samples[index].path)
            assert size == (64, 64)
            assert (pixels == resize(whole[y1:y2, x1:x2], imgsz, imgsz)).all()
            assert shown.unread(index)[0].shape == pixels.shape
        shown.release()


def test_boxes_of_tiles_are_where_their_objects_are(tmp_path: Path) -> None:
    store = tiled(make_images(tmp_path, ".png"))
    options = AugmentOptions(mosaic=0, translate=0, scale=0, hsv_h=0, hsv_s=0, hsv_v=0, fliplr=0, min_box_side=0)
    make, found = TrainBatches(store, options, 64, 0, 4), 0
    for epoch in range(2):
        request = BatchRequest(epoch, list(range(len(store.samples))))
        batch = make(request)
        for image, boxes, kinds in zip(batch.images.numpy(), batch.boxes, batch.classes, strict=True):
            bright = image.min(0) == 255
            covered = np.zeros_like(bright)
            for x1, y1, x2, y2 in boxes[kinds >= 0].round().int().tolist():
                assert bright[y1:y2, x1:x2].all()
                covered[y1:y2, x1:x2] = True
                found += 1
            assert (bright & ~covered).mean() < 0.03  # strips of objects of which too little is seen
    assert found > 100


def same(one: Batch, other: Batch) -> bool:
    parts = ("images", "boxes", "classes", "indices")
    return all(torch.equal(getattr(one, part), getattr(other, part)) for part in parts)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_are_the_same_for_any_cache_workers_and_processes(workers: int, tmp_path: Path) -> None:
    samples = make_images(tmp_path, ".png")
    options = AugmentOptions(mixup=0.5, copy_paste=0.5, cutmix=0.5)
    plain = TrainBatches(tiled(samples), options, 64, 7, 9)
    requests = [request for epoch in range(2) for request in train_requests(plain.store.samples, 16, 7, epoch)[:2]]
    whole = [plain(request) for request in requests]
    assert not torch.equal(whole[0].images, whole[2].images)
    loader = Loader(TrainBatches(tiled(samples, "encoded", ring=2), options, 64, 7, 9), workers, batch=16)
    try:
        made = list(loader.batches(requests))
    finally:
        loader.close()
    assert all(map(same, whole, made))
    for rank in range(2):
        ranks = Ranks(rank, 2)
        for full, request in zip(whole, shard_requests(requests, ranks), strict=True):
            part = plain(request)
            rows = [full.indices.tolist().index(index) for index in part.indices.tolist()]
            assert torch.equal(part.images, full.images[rows])


def test_crops_for_the_device_are_those_of_tiles(tmp_path: Path) -> None:
    from lehr.augment.draw_on_device import draw_canvases

    store = tiled(make_images(tmp_path, ".png"))
    request = BatchRequest(1, [0, 5, 9, 20])
    how: dict[str, Any] = {"imgsz": 64, "seed": 0, "epochs": 9}
    here = TrainBatches(store, AugmentOptions(), **how)(request)
    packed = TrainBatches(store, AugmentOptions(), on_device=True, **how)(request).packed
    assert packed is not None
    there = draw_canvases(packed)
    assert (here.images.float() - there.float()).abs().mean() < 3


def test_an_evaluation_shows_tiles_of_the_grid_that_is_not_shifted(tmp_path: Path) -> None:
    store = tiled(make_images(tmp_path, ".png"))
    requests = eval_requests(store, 8)
    assert sorted(index for request in requests for index in request.images) == list(range(len(store.samples)))
    batch = EvalBatches(store, 64)(requests[0])
    index = int(batch.indices[0])
    assert (batch.images[0].permute(1, 2, 0).numpy() == store(index)[0]).all()


def test_tiles_of_an_image_are_shown_in_one_window_each_once(tmp_path: Path) -> None:
    split = TiledSplit(empty_images(12), TILING)
    orders = []
    for epoch in range(3):
        arrange = partial(images_together, split, 4, 0, epoch)
        requests = train_requests(split, 8, 0, epoch, arrange=arrange)
        order = [index for request in requests for index in request.images]
        assert sorted(order) == list(range(len(split)))
        spread = [[place for place, index in enumerate(order) if index in split.tiles_of(image)] for image in range(12)]
        assert max(max(places) - min(places) for places in spread) < len(split) / 4
        assert max(max(places) - min(places) for places in spread) > len(split) / 8  # mixed with those of others
        orders.append([image for image, _ in Counter(split.image_of(index) for index in order).items()])
    assert orders[0] != orders[1] != orders[2]


def test_each_image_is_decoded_about_once_an_epoch(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples = make_images(tmp_path, ".png", 12)
    split = TiledSplit(samples, TILING)
    window = tile_window(split, 6)
    store, decoded = tiled(samples, "encoded", ring=ring_of_tiles(split, window)), Counter[int]()
    decode = store.images._decoded

    def counted(index: int) -> Any:
        decoded[index] += 1
        return decode(index)

    monkeypatch.setattr(store.images, "_decoded", counted)
    windows = count_windows(len(split), -(-len(split) // 4), window)
    arrange = partial(images_together, split, windows, 0, 0)
    make = TrainBatches(store, AugmentOptions(), 64, 0, 20)
    for request in within_windows(train_requests(split, 4, 0, 0, arrange=arrange), window):
        make(request)
    assert windows == 6 and len(decoded) == 12 and decoded.total() <= 20  # one across two windows counts twice


def test_windows_and_the_ring_hold_the_images_that_there_is_memory_for(tmp_path: Path) -> None:
    split = TiledSplit(empty_images(99), TILING)
    assert len(split.tiles_of(0)) == 20
    assert tile_window(split, 0) == tile_window(split, 1) == 20
    assert tile_window(split, 30) == 14 * 20 and tile_window(split, 10**6) == 1024
    assert ring_of_tiles(split, 14 * 20) == 30 and ring_of_tiles(split, 0) == ring_of_tiles(split, 10**6) == 99


def test_images_are_kept_at_full_size(tmp_path: Path) -> None:
    samples = make_images(tmp_path, ".png", 1)
    assert ImageStore(samples, FULL_SIZE)(0)[0].shape == (150, 200, 3)
