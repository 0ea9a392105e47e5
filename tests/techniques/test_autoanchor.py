"""AutoAnchor: recall against a slow count, the figures of a real data set, and the search."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest
import torch

from lehr.data.load import load_dataset
from lehr.models.anchor_head import default_anchors
from lehr.models.build import anchor_head, build_model
from lehr.sample import Sample
from lehr.techniques.autoanchor import (
    autoanchor,
    binned_sizes,
    fit_anchors,
    keep_places,
    kmeans,
    measure,
    mutate,
    object_sizes,
    side_ratio,
)

ANCHORS = default_anchors().double().numpy()


def some_sizes(count: int, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.exp(rng.normal(3.5, 1, (count, 1)) + rng.normal(0, 0.3, (count, 2))).clip(2, 640)


def test_recall_and_anchors_above_threshold_are_counted_as_one_would_by_hand() -> None:
    sizes = some_sizes(200)
    found = above = 0
    best_ratios = []
    for w, h in sizes:
        ratios = [min(w / aw, aw / w, h / ah, ah / h) for aw, ah in ANCHORS.reshape(-1, 2)]
        found += any(ratio > 1 / 3 for ratio in ratios)
        above += sum(ratio > 1 / 3 for ratio in ratios)
        best_ratios.append(max(ratios) if max(ratios) > 1 / 3 else 0)
    fit = measure(ANCHORS, sizes, 3.0)
    assert fit.bpr == pytest.approx(found / 200) and fit.aat == pytest.approx(above / 200)
    assert fit.fitness == pytest.approx(np.mean(best_ratios))


def test_the_figures_of_the_blood_cells_are_the_published_ones(bccd: Path) -> None:
    samples = load_dataset(str(bccd)).splits["train"]
    small, large = object_sizes(samples, 320), object_sizes(samples, 640)
    assert len(small) == len(large) == 2805
    assert round(measure(ANCHORS, small).bpr, 5) == round(measure(ANCHORS, large).bpr, 5) == 0.99964
    assert round(measure(ANCHORS, small).aat, 4) == 6.3376
    assert round(measure(ANCHORS, large).aat, 4) == 5.7504


def test_sizes_are_those_at_the_training_size() -> None:
    boxes = np.array([[0, 0, 100, 50], [10, 20, 30, 60]], np.float32)
    sample = Sample(Path("a"), 400, 200, boxes, np.zeros(2, np.int64))
    np.testing.assert_allclose(object_sizes([sample], 320), [[80, 40], [16, 32]], rtol=1e-6)


def test_anchors_that_fit_stay() -> None:
    sizes = ANCHORS.reshape(-1, 2).repeat(20, 0) * 1.1
    found = autoanchor(ANCHORS, sizes)
    assert not found.changed and found.anchors is ANCHORS and found.after == found.before


def test_anchors_ten_times_too_large_are_replaced_by_better_ones_in_order_of_area() -> None:
    sizes = some_sizes(600)
    found = autoanchor(ANCHORS * 10, sizes)
    assert found.before.bpr < 0.6 and found.after.bpr > 0.98 and found.changed
    assert found.anchors.shape == ANCHORS.shape
    areas = found.anchors.reshape(-1, 2).prod(1)
    assert (np.diff(areas) >= 0).all()  # the smallest go to the finest level
    again = autoanchor(ANCHORS * 10, sizes)
    np.testing.assert_array_equal(again.anchors, found.anchors)  # the same seed, the same anchors


def test_new_anchors_are_kept_only_if_they_are_better() -> None:
    sizes = np.full((50, 2), 40.0)
    perfect = np.full((3, 3, 2), 40.0)
    assert not autoanchor(perfect, sizes, always=True).changed
    tiny = np.ones((20, 2))  # nothing to fit
    assert not autoanchor(ANCHORS, tiny).changed
    assert fit_anchors(tiny, 9) is None


def test_of_a_trained_head_only_a_higher_recall_is_worth_other_anchors() -> None:
    sizes = np.concatenate((np.full((90, 2), 40.0), np.array([[600.0, 3.0]] * 10)))
    old = np.full((3, 3, 2), 60.0)  # a recall of 0.9, as what is found has, at a ratio of 2/3

    def better_ratio(*_: object, **__: object) -> np.ndarray:
        return np.full((9, 2), 40.0)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("lehr.techniques.autoanchor.fit_anchors", better_ratio)
        assert not autoanchor(old, sizes, trained=True).changed
        assert autoanchor(old, sizes).changed and autoanchor(old, sizes, trained=True, always=True).changed
    found = autoanchor(old, sizes, trained=True)
    assert found.changed and found.before.bpr == 0.9 and found.after.bpr == 1.0


def test_new_anchors_take_the_places_of_the_most_alike_old_ones_of_their_level() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1_000):
        new, old = (np.exp(rng.normal(3, 1, (2, 3, 2))) for _ in range(2))
        placed = keep_places(new, old)
        for level in range(2):
            free, left = {0, 1, 2}, {0, 1, 2}
            while left:
                best = min(
                    (sum(abs(np.log(new[level, n, side] / old[level, o, side])) for side in (0, 1)), n, o)
                    for n in left
                    for o in free
                )
                np.testing.assert_array_equal(placed[level, best[2]], new[level, best[1]])
                left.remove(best[1])
                free.remove(best[2])


def test_new_anchors_of_weights_keep_the_order_of_levels() -> None:
    sizes = some_sizes(500) / 6
    found = autoanchor(ANCHORS, sizes, trained=True)
    areas = found.anchors.prod(2)
    assert found.changed and all(areas[level].max() <= areas[level + 1].min() for level in range(2))
    by_area = fit_anchors(sizes, 9)
    assert by_area is not None
    np.testing.assert_array_equal(found.anchors, keep_places(by_area.reshape(3, 3, 2), ANCHORS))
    np.testing.assert_array_equal(autoanchor(ANCHORS, sizes).anchors, by_area.reshape(3, 3, 2))  # of random weights


def test_the_same_head_draws_boxes_that_grow_with_its_anchors() -> None:
    model = build_model("yolov5n", ("a",), 64, width=0.125).eval()
    head = anchor_head(model)
    assert head is not None
    image = torch.rand(1, 3, 64, 64)
    with torch.inference_mode():
        before, scores = model(image).decode()
        head.set_anchors(head.pixel_anchors * torch.tensor([3.0, 0.5]))
        after, other_scores = model(image).decode()
    centre, size = (before[..., :2] + before[..., 2:]) / 2, before[..., 2:] - before[..., :2]
    torch.testing.assert_close((after[..., :2] + after[..., 2:]) / 2, centre)
    torch.testing.assert_close(after[..., 2:] - after[..., :2], size * torch.tensor([3.0, 0.5]), rtol=1e-4, atol=1e-3)
    assert torch.equal(scores, other_scores)


def test_kmeans_finds_clusters_in_whitened_sizes() -> None:
    rng = np.random.default_rng(1)
    centres = np.array([[10, 200], [50, 220], [90, 210]], float)
    sizes = (centres[:, None] + rng.normal(0, 1.0, (3, 100, 2))).reshape(-1, 2)
    found = kmeans(sizes, np.ones(len(sizes)), 3, np.random.default_rng(0))
    np.testing.assert_allclose(found[found[:, 0].argsort()], centres, atol=1.0)


def test_mutation_only_ever_improves() -> None:
    sizes, weights = binned_sizes(some_sizes(500))
    start = np.full((9, 2), 30.0) * np.linspace(0.5, 2, 9)[:, None]

    def fitness(anchors: np.ndarray) -> float:
        best = side_ratio(sizes, anchors).max(1)
        return float(np.average(np.where(best > 0.25, best, 0), weights=weights))

    values = [fitness(mutate(start, sizes, weights, 4.0, np.random.default_rng(3), n)) for n in (0, 20, 200)]
    assert values[0] < values[1] < values[2]


def test_binning_keeps_count_and_mean() -> None:
    sizes = some_sizes(5000)
    binned, weights = binned_sizes(sizes)
    assert weights.sum() == 5000 and len(binned) < 5000
    np.testing.assert_allclose(np.average(np.log(binned), axis=0, weights=weights), np.log(sizes).mean(0), rtol=1e-9)


def test_a_million_boxes_are_fitted_within_half_a_minute() -> None:
    sizes = some_sizes(10**6)
    started = time.perf_counter()
    found = autoanchor(ANCHORS * 10, sizes)
    assert time.perf_counter() - started < 30
    assert found.changed and found.after.bpr > 0.98
