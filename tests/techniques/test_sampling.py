"""Sampling: an epoch shows each image as often as its share says, primary and partner alike, each time otherwise."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from lehr.augment.mosaic import mosaic
from lehr.augment.partners import Partners
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.data.batch_makers import TrainBatches
from lehr.data.cache import ImageStore
from lehr.data.requests import BatchRequest, shard_requests, train_requests
from lehr.distributed.collectives import Ranks
from lehr.options import AugmentOptions
from lehr.rng import generator
from lehr.sample import Sample
from lehr.techniques.image_weights import image_weights
from lehr.techniques.sampling import draw_images

SIDE = 64


def sample(*classes: int) -> Sample:
    boxes = np.tile(np.array([[8, 8, 40, 40]], np.float32), (len(classes), 1))
    return Sample(Path("a.png"), SIDE, SIDE, boxes, np.array(classes, np.int64))


def random_shares(rng: np.random.Generator) -> np.ndarray:
    """Shares of 1 to 60 images, some of them none."""
    weights = rng.gamma(rng.choice([0.1, 1, 20]), size=int(rng.integers(1, 61)))
    weights[rng.random(len(weights)) < rng.choice([0, 0.3])] = 0
    if not weights.any():
        weights[0] = 1
    return np.asarray(weights / weights.sum())


def slow_systematic(shares: np.ndarray, seed: int, epoch: int) -> list[int]:
    """Lay the images along a line, in random order, and count the points, a step apart, in each one's piece."""
    rng = generator(seed, "sampling", epoch)
    order, point = rng.permutation(len(shares)).tolist(), rng.random()
    counts, end = [0] * len(shares), 0.0
    for index in order:
        end += float(shares[index]) * len(shares)
        while point < end:
            counts[index] += 1
            point += 1
    return counts


def test_an_image_is_drawn_its_share_of_times_rounded_down_or_up() -> None:
    rng = np.random.default_rng(0)
    surplus = []
    for seed in range(1000):
        shares, epoch = random_shares(rng), int(rng.integers(100))
        drawn = draw_images(shares, seed, epoch)
        counts, wanted = np.bincount(drawn, minlength=len(shares)), shares * len(shares)
        assert len(drawn) == len(shares)
        assert counts.tolist() == slow_systematic(shares, seed, epoch)
        assert (counts >= np.floor(wanted + 1e-9)).all() and (counts <= np.ceil(wanted - 1e-9)).all()
        surplus.append(float((counts - wanted) @ rng.standard_normal(len(shares))))
    assert abs(np.mean(surplus)) < 5 * np.std(surplus) / len(surplus) ** 0.5


def test_over_many_epochs_the_shares_are_met_whatever_the_order() -> None:
    shares = np.array([0.31, 0.02, 0.0, 0.4, 0.07, 0.2])
    epochs = 6000
    drawn = [draw_images(shares, 1, epoch) for epoch in range(epochs)]
    counts = np.bincount(np.concatenate(drawn), minlength=6) / epochs
    np.testing.assert_allclose(counts, 6 * shares, atol=5 * 0.5 / epochs**0.5)
    assert counts[2] == 0
    first = np.bincount([order[0] for order in drawn], minlength=6) / epochs
    np.testing.assert_allclose(first, shares, atol=5 * 0.5 / epochs**0.5)  # the order is random, too


def test_equal_shares_show_each_image_once() -> None:
    for count in (1, 2, 7, 1000):
        assert sorted(draw_images(np.full(count, 1 / count), 0, 0)) == list(range(count))


def test_the_draw_depends_on_seed_and_epoch_alone() -> None:
    shares = random_shares(np.random.default_rng(5))
    assert draw_images(shares, 0, 3) == draw_images(shares, 0, 3)
    assert draw_images(shares, 0, 3) != draw_images(shares, 0, 4) != draw_images(shares, 1, 4)


RARE = [sample(0)] * 195 + [sample(1)] * 5
"""Class 1 in 5 of 200 images: image weights want it in half of what is shown."""


def plans(**options: float) -> list[Plan]:
    """The canvases of an epoch under image weights."""
    given = AugmentOptions(translate=0, scale=0, hsv_h=0, hsv_s=0, hsv_v=0, **options)
    found = []
    for request in train_requests(RARE, 16, 0, 0, drawn=draw_images(image_weights(RARE, (0, 0)), 0, 0)):
        for index, repeat in zip(request.images, request.repeats, strict=True):
            where = {"seed": 0, "epoch": 0, "index": index, "repeat": repeat, "shown": request.shown}
            found.append(plan_sample(RARE, given, SIDE, multi_image=True, **where))
    return found


@pytest.mark.parametrize(
    "options",
    [{"mosaic": 1}, {"mosaic": 0, "mixup": 1}, {"mosaic": 0, "cutmix": 1}, {"mosaic": 0, "copy_paste": 1}],
    ids=str,
)
def test_partners_follow_the_weights(options: dict[str, float]) -> None:
    drawn = draw_images(image_weights(RARE, (0, 0)), 0, 0)
    assert np.mean(np.array(drawn) >= 195) == pytest.approx(0.5, abs=0.01)
    assert np.bincount(drawn)[195:].tolist() == pytest.approx([20] * 5, abs=1)
    shown = [
        tile.index >= 195
        for plan in plans(**options)
        for part in (plan, *(other[0] for other in (plan.blend, plan.patch) if other is not None))
        for tile in part.tiles
    ]
    assert len(shown) >= 250
    assert np.mean(shown) == pytest.approx(0.5, abs=0.06)  # 0.14 of mosaics, where partners ignore the weights


def test_an_image_that_an_epoch_shows_again_is_augmented_otherwise() -> None:
    views = [(plan.tiles[0].index, plan.tiles[0].matrix.tobytes()) for plan in plans(mosaic=0, degrees=10)]
    assert len(set(views)) == len(views) == 200
    first = {"seed": 0, "epoch": 4, "index": 2, "multi_image": True}
    options = AugmentOptions()
    one, same = (plan_sample(RARE, options, SIDE, **first) for _ in range(2))
    assert one.hsv == same.hsv != plan_sample(RARE, options, SIDE, **first, repeat=1).hsv


def test_without_sampling_partners_are_any_images() -> None:
    rng = np.random.default_rng(3)
    found = Partners(7).draw(rng, 70_000)
    np.testing.assert_allclose(np.bincount(found) / 70_000, 1 / 7, atol=0.01)
    expected = np.random.default_rng(3)
    tiles = mosaic(RARE, SIDE, 9, Partners(200), np.random.default_rng(3))
    expected.uniform(size=2)
    assert [tile.index for tile in tiles] == [9, *expected.integers(200, size=3).tolist()]


def test_each_showing_is_numbered_in_the_order_of_the_epoch_also_in_rectangles() -> None:
    shapes = [replace(sample(0), height=32 + 8 * (i % 3)) for i in range(6)]
    for rect in (False, True):
        requests = train_requests(shapes, 4, 0, 0, drawn=[3, 1, 3, 3, 1, 0], rect=rect)
        pairs = [pair for each in requests for pair in zip(each.images, each.repeats, strict=True)]
        assert sorted(pairs) == [(0, 0), (1, 0), (1, 1), (3, 0), (3, 1), (3, 2)]
        assert all(sorted(each.shown.tolist()) == [0, 1, 1, 3, 3, 3] for each in requests if each.shown is not None)


def test_processes_share_the_showings_of_a_batch() -> None:
    whole = train_requests(RARE, 5, 0, 0, drawn=draw_images(image_weights(RARE, (0, 0)), 0, 0))
    for count in (2, 3, 8):
        shares = [shard_requests(whole, Ranks(rank, count)) for rank in range(count)]
        for request, *parts in zip(whole, *shares, strict=True):
            real = [part for part in parts if not part.idle]
            assert [i for part in real for i in part.images] == request.images
            assert [i for part in real for i in part.repeats] == request.repeats
            for part in parts:
                assert part.shown is request.shown and part.whole == request.images
                assert len(part.repeats) == len(part.images) > 0


@pytest.mark.parametrize("on_device", [False, True], ids=["CPU", "device"])
def test_batches_follow_the_request_on_cpu_and_device(on_device: bool, tmp_path: Path) -> None:
    for index, level in enumerate((50, 200)):
        cv2.imwrite(str(tmp_path / f"{index}.png"), np.full((SIDE, SIDE, 3), level, np.uint8))
    samples = [replace(sample(0), path=tmp_path / f"{min(i, 1)}.png") for i in range(9)]
    make = TrainBatches(ImageStore(samples, SIDE), AugmentOptions(hsv_v=0, hsv_s=0), SIDE, 0, 20, on_device=on_device)
    only = np.zeros(9, np.int32)
    batch = make(BatchRequest(0, [0, 0], repeats=[0, 1], shown=only))
    pixels = batch.packed.pixels.numpy() if batch.packed is not None else batch.images.numpy()
    assert set(np.unique(pixels)) <= {0, 50, 114}  # grey levels of image 0 and of what no tile covers
    again = make(BatchRequest(0, [0], repeats=[1], shown=only))
    assert not np.array_equal(again.boxes.numpy(), batch.boxes.numpy()[:1])
    rows = again.boxes.shape[1]
    np.testing.assert_array_equal(again.boxes.numpy(), batch.boxes.numpy()[1:, :rows])
