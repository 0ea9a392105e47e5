"""Replay: how many older images a batch holds, which, and that all of them are shown before one comes again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lehr.config import build_config
from lehr.data.requests import BatchRequest
from lehr.engine.data import EpochRequests, epoch_requests, first_request
from lehr.errors import InputError
from lehr.preview import preview
from lehr.sample import Sample
from lehr.techniques.class_weights import class_counts, shown_counts
from lehr.techniques.replay import Replay, draw_replayed, replayed_images

OWN, OLDER = 21, 10
MAPS = (0.5, 0.5)


def image(number: int, classes: tuple[int, ...], flat: bool = False) -> Sample:
    boxes = np.tile(np.array([[1, 1, 9, 9]], np.float32), (len(classes), 1))
    return Sample(Path(f"{number}.png"), 64, 32 if flat else 64, boxes, np.array(classes, np.int64))


SAMPLES = [image(i, (0,) if i % 3 else (), flat=i % 2 == 0) for i in range(OWN)]
SAMPLES += [image(OWN + i, (1, 1), flat=i < 5) for i in range(OLDER)]


def requests(epoch: int, **options: object) -> list[BatchRequest]:
    given = {"data": "x", "keep_val": "y", "replay": 0.25, "batch": 8, "epochs": 9, "seed": 3, **options}
    return epoch_requests(build_config(given), SAMPLES, MAPS, epoch, OWN)


def older(request: BatchRequest) -> list[int]:
    return [index for index in request.images if index >= OWN]


def test_each_batch_holds_the_share_and_each_own_image_comes_once() -> None:
    for epoch in range(3):
        batches = requests(epoch)
        assert [len(request.images) for request in batches] == [8, 8, 8, 4]  # 21 own ones, 6 of them a batch
        assert [len(older(request)) for request in batches] == [2, 2, 2, 1]
        own = [index for request in batches for index in request.images if index < OWN]
        assert sorted(own) == list(range(OWN))
        for request in batches:
            assert sorted(request.shown.tolist()) == sorted(index for each in batches for index in each.images)


def test_all_older_images_are_shown_before_one_comes_again() -> None:
    drawn = [draw_replayed(OLDER, 7, seed=3, epoch=epoch) for epoch in range(10)]
    turns = np.array(drawn).reshape(7, OLDER).tolist()
    assert all(sorted(turn) == list(range(OLDER)) for turn in turns)
    assert len(set(map(tuple, turns))) == 7
    batches = [[index - OWN for request in requests(epoch) for index in older(request)] for epoch in range(10)]
    assert [sorted(each) for each in batches] == [sorted(each) for each in drawn]


def test_an_epoch_is_known_without_those_before() -> None:
    config = build_config({"data": "x", "keep_val": "y", "replay": 0.25, "batch": 8, "epochs": 9, "seed": 3})
    of = EpochRequests(config, SAMPLES, OWN)
    assert of(4, MAPS) == (requests(4), requests(5))
    assert requests(4) != requests(4, seed=4)
    assert first_request(config, SAMPLES, OWN).images == requests(0)[0].images


def test_an_older_image_that_comes_again_in_an_epoch_is_counted() -> None:
    batches = requests(0, replay=0.75)  # 6 older ones beside 2, for 11 batches
    seen: dict[int, int] = {}
    for request in batches:
        for index, repeat in sorted(zip(request.images, request.repeats, strict=True)):
            assert repeat == seen.get(index, 0)
            seen[index] = repeat + 1
    assert sum(times for index, times in seen.items() if index >= OWN) == 63
    assert {times for index, times in seen.items() if index < OWN} == {1}


def test_older_images_are_spread_over_a_batch() -> None:
    """So that each of several processes, which take the batch in parts, has its share."""
    batches = [request.images for epoch in range(60) for request in requests(epoch) if len(request.images) == 8]
    places = [place for images in batches for place, index in enumerate(images) if index >= OWN]
    counts = np.bincount(places, minlength=8)
    assert counts.sum() == 360 and counts.min() > 25


def test_rectangular_batches_hold_older_images_of_like_shape() -> None:
    batches = requests(0, rect=True, replay=0.5)
    mixed = [len({SAMPLES[index].height for index in request.images}) > 1 for request in batches]
    assert sum(mixed) <= 2 < len(batches)  # one batch where the shapes meet, of the run's own and of the older ones
    assert sorted(index for request in batches for index in request.images if index < OWN) == list(range(OWN))


def test_what_chooses_images_chooses_among_the_run_s_own() -> None:
    batches = requests(0, background_share=0.0)
    own = [index for request in batches for index in request.images if index < OWN]
    assert len(own) == OWN and all(len(SAMPLES[index].classes) for index in own)
    assert [len(older(request)) for request in batches] == [2, 2, 2, 1]


def test_rates_and_counts_are_those_of_the_longer_epoch() -> None:
    run = preview(build_config({"data": "x", "keep_val": "y", "replay": 0.25, "batch": 8, "epochs": 9}), OWN, 2)
    assert (run.plan.batches, run.plan.batch, run.images) == (4, 8, OWN)
    plain = preview(build_config({"data": "x", "batch": 8, "epochs": 9}), OWN, 2)
    assert plain.plan.batches == 3


@pytest.mark.parametrize(
    ("batch", "share", "count"), [(16, 0.25, 4), (16, 0.01, 1), (4, 0.99, 3), (2, 0.5, 1), (8, 0, 0)]
)
def test_a_batch_holds_some_older_images_and_never_only_these(batch: int, share: float, count: int) -> None:
    assert replayed_images(batch, share) == count


def test_few_own_images_make_one_batch() -> None:
    replay = Replay(3, 16, 0.5)
    assert (replay.batches, replay.replayed, replay.images) == (1, 3, 6)


def test_one_older_image_is_shown_each_time() -> None:
    assert draw_replayed(1, 3, seed=0, epoch=5) == [0, 0, 0]


def test_classes_count_as_often_as_an_epoch_shows_them() -> None:
    counts = shown_counts(SAMPLES, OWN, 0.25, 2)
    shown = [SAMPLES[index] for epoch in range(10) for request in requests(epoch) for index in request.images]
    assert counts == pytest.approx([each / 10 for each in class_counts(shown, 2)])
    assert shown_counts(SAMPLES[:OWN], OWN, 0.0, 2) == class_counts(SAMPLES[:OWN], 2)


def test_replay_needs_older_data_and_room_in_a_batch() -> None:
    with pytest.raises(InputError, match=r"--replay 0\.25 needs --keep-val DATA"):
        build_config({"replay": 0.25})
    with pytest.raises(InputError, match="must hold at least 2 images"):
        preview(build_config({"data": "x", "keep_val": "y", "replay": 0.25, "batch": 1}), OWN, 2)
    with pytest.raises(InputError, match="less than 1"):
        build_config({"replay": 1.0, "keep_val": "y"})
