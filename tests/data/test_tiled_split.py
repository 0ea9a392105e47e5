"""A split of tiles: whole objects in at least one, cut ones by their visible share, other windows in each epoch."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from lehr.data.tiled_split import MAX_TILES, TiledSplit, Tiling, describe_tiles, images_of, in_tiles, of_first_images
from lehr.errors import InputError
from lehr.sample import Ignored, Sample

TILING = Tiling(64, 0.25, 0.3)


def sample(width: int, height: int, count: int, side: float, seed: int = 0) -> Sample:
    rng = np.random.default_rng(seed)
    low = rng.uniform((0, 0), (width - side, height - side), (count, 2))
    boxes = np.concatenate((low, low + side), 1).astype(np.float32)
    return Sample(Path(f"{seed}.png"), width, height, boxes, rng.integers(0, 3, count), Path(f"{seed}.txt"))


@pytest.mark.parametrize("epoch", [None, 0, 1, 7])
def test_every_object_up_to_half_the_overlap_is_whole_in_a_tile_of_each_epoch(epoch: int | None) -> None:
    image = sample(300, 210, 400, 8)
    split = TiledSplit([image], TILING)
    split = split if epoch is None else split.in_epoch(0, epoch)
    whole = set()
    for index in range(len(split)):
        x, y, _, _ = split.window(index)
        tile = split[index]
        whole |= {tuple(box) for box in (tile.boxes + np.array([x, y, x, y])).round(3).tolist()}
        assert (tile.width, tile.height) == (64, 64) and tile.path == image.path
    assert whole.issuperset(tuple(box) for box in image.boxes.astype(np.float64).round(3).tolist())


def test_cut_objects_are_those_of_which_a_share_is_visible_and_nothing_reaches_out() -> None:
    image = sample(300, 210, 300, 30, 3)
    split, cut = TiledSplit([image], TILING).in_epoch(5, 2), 0
    for index in range(len(split)):
        x1, y1, x2, y2 = split.window(index)
        expected = []
        for (left, top, right, bottom), kind in zip(image.boxes.tolist(), image.classes.tolist(), strict=True):
            width, height = min(right, x2) - max(left, x1), min(bottom, y2) - max(top, y1)
            if width > 0 and height > 0 and width * height >= 0.3 * (right - left) * (bottom - top):
                box = (max(left, x1) - x1, max(top, y1) - y1, min(right, x2) - x1, min(bottom, y2) - y1)
                expected.append((*box, kind))
                cut += width * height < 0.99 * (right - left) * (bottom - top)
        found = np.concatenate((split[index].boxes, split[index].classes[:, None]), 1)
        assert np.allclose(found, np.array(expected).reshape(-1, 5), atol=1e-4)
    assert cut > 100


def test_windows_of_an_epoch_depend_on_the_seed_the_epoch_and_the_image_alone() -> None:
    split = TiledSplit([sample(300, 210, 5, 8), sample(300, 210, 5, 8, 1), sample(50, 400, 5, 8, 2)], TILING)
    seen = {}
    for seed, epoch in ((0, 0), (0, 1), (1, 0)):
        shifted = split.in_epoch(seed, epoch)
        backwards = pickle.loads(pickle.dumps(split)).in_epoch(seed, epoch)
        windows = [shifted.window(index) for index in range(len(split))]
        assert [backwards.window(index) for index in reversed(range(len(split)))] == windows[::-1]
        assert [(tile.width, tile.height) for tile in shifted] == [(tile.width, tile.height) for tile in split]
        seen[seed, epoch] = windows
    assert len({tuple(windows) for windows in seen.values()}) == 3
    one, other = split.tiles_of(0), split.tiles_of(1)
    assert [seen[0, 0][index] for index in one] != [seen[0, 0][index] for index in other]


def test_shifts_take_all_places_of_their_range_about_equally_often() -> None:
    split = TiledSplit([sample(300, 64, 1, 8)], TILING)
    low, high = split._grids[300, 64].x.shifts
    starts = [split.in_epoch(0, epoch).window(2)[0] - 96 for epoch in range(4000)]
    counts = np.bincount(np.array(starts) - low, minlength=high - low + 1)
    assert len(counts) == high - low + 1 and abs(counts * len(counts) / 4000 - 1).max() < 0.4


def test_small_images_stay_whole_and_marks_of_difficult_objects_with_their_objects() -> None:
    image = sample(60, 40, 4, 8)
    ignored = Ignored(image.boxes[:1], image.classes[:1], np.ones(1, np.bool_))
    marked = replace(image, difficult=np.array([True, False, True, False]), ignored=ignored)
    (tile,) = TiledSplit([marked], TILING)
    assert (tile.width, tile.height) == (60, 40) and (tile.boxes == image.boxes).all()
    assert tile.difficult is not None and tile.difficult.tolist() == [True, False, True, False]
    assert (tile.ignored.boxes == image.boxes[:1]).all() and tile.ignored.crowd.all()
    region = replace(ignored, boxes=np.array([[40, 5, 120, 15]], np.float32))
    shown = [tile.ignored.boxes.tolist() for tile in TiledSplit([replace(marked, width=300, ignored=region)], TILING)]
    assert shown == [[[40, 5, 64, 15]], [[0, 5, 64, 15]], [[0, 5, 26, 15]], [], [], []]


def test_a_split_is_parted_by_its_images() -> None:
    images = [sample(300, 210, 5, 8, number) for number in range(3)]
    split = in_tiles(images, TILING)
    first, rest = of_first_images(split, 1)
    assert len(first) + len(rest) == len(split) and list(images_of(rest)) == images[1:]
    assert in_tiles(images, None) is images and of_first_images(images, 2) == (images[:2], images[2:])


def test_too_many_tiles_are_refused_before_they_are_made() -> None:
    with pytest.raises(InputError, match=f"--tile 64 --overlap 0.9: 1 image would be .* up to {MAX_TILES:,}"):
        TiledSplit([sample(16_000, 16_000, 1, 8)], Tiling(64, 0.9, 0.1))


def test_a_line_says_how_many_tiles_an_epoch_shows_and_what_to_do_about_many_empty_ones() -> None:
    few = TiledSplit([sample(300, 210, 1, 8)], TILING)
    assert describe_tiles(few).startswith(
        "--tile 64 --overlap 0.25: 1 image is 30 tiles, all of which an epoch shows; "
    )
    assert "--background-share 0.2" in describe_tiles(few)
    assert "--background-share" not in describe_tiles(TiledSplit([sample(300, 210, 500, 8)], TILING))
