"""Detections of tiles are merged to each object once, whatever borders cut it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from lehr.augment.tile_grid import tile_grid
from lehr.evaluation import tile_merging
from lehr.evaluation.tile_merging import TileDetections, merge_tiles

SIZE = (1500, 1100)


def of(rows: list[tuple[tuple[float, ...], float, int, int]]) -> TileDetections:
    """Detections from (box, score, class, tile)."""
    boxes, scores, classes, tiles = zip(*rows, strict=True)
    return TileDetections(
        np.array(boxes, float), np.array(scores, float), np.array(classes, np.int64), np.array(tiles, np.int64)
    )


def iou(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
    """Each of (n, 4) with each of (m, 4), the obvious way."""
    low, high = np.maximum(a[:, None, :2], b[None, :, :2]), np.minimum(a[:, None, 2:], b[None, :, 2:])
    shared = np.clip(high - low, 0, None).prod(-1)
    area = [(c[:, 2:] - c[:, :2]).prod(-1) for c in (a, b)]
    return shared / (area[0][:, None] + area[1][None] - shared)


def scattered(rng: np.random.Generator, count: int, low: int, high: int) -> NDArray[np.float64]:
    """Boxes that do not touch one another."""
    boxes = np.zeros((0, 4))
    while len(boxes) < count:
        size = rng.uniform(low, high, 2)
        start = rng.uniform(0, np.array(SIZE) - size)
        box = np.concatenate((start, start + size))[None]
        apart = (boxes[:, 0] > box[0, 2] + 9) | (boxes[:, 2] < box[0, 0] - 9)
        apart |= (boxes[:, 1] > box[0, 3] + 9) | (boxes[:, 3] < box[0, 1] - 9)
        if apart.all():
            boxes = np.concatenate((boxes, box))
    return boxes


def seen(
    objects: NDArray[np.float64], classes: NDArray[np.int64], windows: NDArray[np.int64], rng: np.random.Generator
) -> TileDetections:
    """What a good detector finds in each tile: the visible part of each object, a little off where it is not cut."""
    rows = []
    for tile, window in enumerate(windows):
        for box, label in zip(objects, classes, strict=True):
            part = np.concatenate((np.maximum(box[:2], window[:2]), np.minimum(box[2:], window[2:])))
            if (part[2:] - part[:2] > 8).all():
                uncut = (part != window) | (box == window)
                off = np.where(uncut, part + rng.uniform(-0.7, 0.7, 4), part)
                whole = (part == box).all()
                score = rng.uniform(0.6, 0.9) if whole else rng.uniform(0.3, 0.9)
                rows.append((tuple(np.clip(off, np.tile(window[:2], 2), np.tile(window[2:], 2))), score, label, tile))
    return of(rows)


@pytest.mark.parametrize("overlap", [0.0, 0.1, 0.2, 0.5])
@pytest.mark.parametrize(("low", "high", "count"), [(15, 40, 250), (60, 160, 40), (200, 700, 4)])
def test_each_object_is_found_once_and_whole(low: int, high: int, count: int, overlap: float) -> None:
    for seed in range(5):
        rng = np.random.default_rng(seed)
        objects, classes = scattered(rng, count, low, high), rng.integers(0, 3, count)
        windows = np.array(list(tile_grid(*SIZE, 320, overlap).windows()))
        found = seen(objects, classes, windows, rng)
        merged = merge_tiles(found, windows, SIZE, max_det=1000)
        overlaps = iou(merged.boxes, objects)
        best = overlaps.argmax(1)
        assert len(merged) == count and sorted(best) == list(range(count))
        assert overlaps.max(1).min() > 0.8
        np.testing.assert_array_equal(merged.classes, classes[best])
        assert (np.diff(merged.scores) <= 0).all()


def test_one_tile_stays_as_it_is() -> None:
    found = of([((0, 0, 50, 50), 0.5, 0, 0), ((0, 0, 50, 48), 0.9, 0, 0)])
    merged = merge_tiles(found, np.array([[0, 0, 640, 480]]), (640, 480))
    np.testing.assert_array_equal(merged.scores, [0.9, 0.5])
    assert len(merge_tiles(found, np.array([[0, 0, 640, 480]]), (640, 480), max_det=1)) == 1


WINDOWS = np.array([[0, 0, 100, 100], [80, 0, 180, 100]])
WIDE = (180, 100)


def test_a_small_object_in_front_of_a_large_one_of_its_class_stays() -> None:
    """Both whole, in different tiles or in one: the intersection over the smaller box would make them one."""
    large, small = (82.5, 5, 170, 95), (84, 30, 96, 45)
    merged = merge_tiles(of([(large, 0.9, 0, 1), (small, 0.8, 0, 0), (small, 0.7, 0, 1)]), WINDOWS, WIDE)
    np.testing.assert_array_equal(merged.boxes, [large, small])


def test_a_fragment_gives_way_to_the_whole_object_whatever_class_it_looks_like() -> None:
    whole, part = (85, 20, 150, 60), (85, 20, 100, 60)
    merged = merge_tiles(of([(part, 0.9, 1, 0), (whole, 0.6, 0, 1)]), WINDOWS, WIDE)
    np.testing.assert_array_equal(merged.boxes, [whole])
    assert merged.classes.tolist() == [0] and merged.scores.tolist() == [0.6]


def test_but_not_to_one_of_a_low_score() -> None:
    whole, part = (85, 20, 150, 60), (85, 20, 100, 60)
    assert len(merge_tiles(of([(part, 0.9, 1, 0), (whole, 0.3, 0, 1)]), WINDOWS, WIDE)) == 2


def test_fragments_of_one_object_are_joined_each_side_where_it_is_seen() -> None:
    left, right = (40, 20, 99, 61), (81, 21, 150, 60)
    merged = merge_tiles(of([(left, 0.5, 0, 0), (right, 0.7, 0, 1)]), WINDOWS, WIDE)
    np.testing.assert_array_equal(merged.boxes, [[40, 21, 150, 60]])  # above and below of the better one
    assert merged.scores.tolist() == [0.7]


def test_fragments_of_neighbours_are_not_joined() -> None:
    """They cross the same border, one above the other."""
    rows = [((40, 10, 100, 40), 0.9, 0, 0), ((80, 12, 140, 42), 0.8, 0, 1)]
    rows += [((50, 45, 100, 75), 0.7, 0, 0), ((80, 47, 150, 77), 0.6, 0, 1)]
    merged = merge_tiles(of(rows), WINDOWS, WIDE)
    np.testing.assert_array_equal(merged.boxes, [[40, 10, 140, 40], [50, 45, 150, 75]])


def test_fragments_that_look_like_different_classes_are_of_the_better_one() -> None:
    """Two tiles that agree on what they both show see one object; a fragment of the own class comes first."""
    left, right = ((40, 20, 100, 60), 0.5, 0, 0), ((80, 20, 150, 60), 0.7, 1, 1)
    merged = merge_tiles(of([left, right]), WINDOWS, WIDE)
    np.testing.assert_array_equal(merged.boxes, [[40, 20, 150, 60]])
    assert merged.classes.tolist() == [1]
    merged = merge_tiles(of([left, right, ((80, 20, 150, 60), 0.4, 0, 1)]), WINDOWS, WIDE)
    assert merged.classes.tolist() == [0] and merged.scores.tolist() == [0.5]


def test_classes_suppress_one_another_only_where_they_count_as_one() -> None:
    whole = of([((82.5, 20, 97, 60), 0.5, 0, 0), ((83, 20, 96, 60), 0.7, 1, 1)])
    assert len(merge_tiles(whole, WINDOWS, WIDE)) == 2 and len(merge_tiles(whole, WINDOWS, WIDE, agnostic=True)) == 1


def test_the_images_own_border_cuts_nothing() -> None:
    """A box at the edge of the image is whole, so that it stands for a fragment."""
    merged = merge_tiles(of([((83, 0, 180, 50), 0.6, 0, 1), ((83, 0, 100, 50), 0.9, 0, 0)]), WINDOWS, WIDE)
    np.testing.assert_array_equal(merged.boxes, [[83, 0, 180, 50]])


def test_pairs_are_the_same_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(0)
    objects = scattered(rng, 60, 20, 90)
    windows = np.array(list(tile_grid(*SIZE, 320, 0.2).windows()))
    found = seen(objects, np.zeros(60, np.int64), windows, rng)
    whole = merge_tiles(found, windows, SIZE)
    monkeypatch.setattr(tile_merging, "PAIRS", 7)
    np.testing.assert_array_equal(merge_tiles(found, windows, SIZE).boxes, whole.boxes)


def test_pairs_that_touch_are_all_found() -> None:
    rng = np.random.default_rng(1)
    start = rng.uniform(0, 100, (200, 2))
    boxes = np.concatenate((start, start + rng.uniform(0.1, 20, (200, 2))), 1)
    pairs = {tuple(sorted(pair)) for a, b in tile_merging._touching(boxes) for pair in zip(a, b, strict=True)}
    assert pairs == {(i, j) for i, j in np.argwhere(iou(boxes, boxes) > 0).tolist() if i < j}


def test_scores_tie_in_the_order_given() -> None:
    rows = [((10.0 * i, 0.0, 10.0 * i + 5, 5.0), 0.5, 0, 0) for i in range(9)]
    merged = merge_tiles(replace(of(rows)), WINDOWS, WIDE)
    np.testing.assert_array_equal(merged.boxes[:, 0], 10.0 * np.arange(9))
