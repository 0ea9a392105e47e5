"""The bootstrap equals an evaluation of images that stand there as often as they were drawn; its intervals hold."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch
from benchmarks.bootstrap_coverage import World, coverage
from tests.evaluation.test_ignored import NAMES
from tests.evaluation.test_ignored import make_case as with_ignored
from tests.evaluation.test_metrics import make_case

from lehr.errors import InputError
from lehr.evaluation.bootstrap import MIN_IMAGES, Comparison, Interval, average_precision, compare, tails
from lehr.evaluation.matching import MatchRecord
from lehr.evaluation.metrics import Metrics, evaluate_detections, measure
from lehr.sample import Sample


def recorded(samples: list[Sample], names: tuple[str, ...], rows: np.ndarray) -> tuple[Metrics, MatchRecord]:
    metrics, record = measure(samples, names, rows, record=True)
    assert record is not None
    return metrics, record


def ignored_case(seed: int) -> tuple[list[Sample], tuple[str, ...], np.ndarray]:
    """Objects that are ignored and crowds among the others."""
    samples, rows = with_ignored(seed)
    return samples, NAMES, rows


def without_ties(rows: np.ndarray) -> np.ndarray:
    """Scores that all differ, so that no order of equal ones decides."""
    rows = rows.copy()
    rows[:, 5] = np.random.default_rng(0).permutation(len(rows)) / len(rows)
    return rows


def repeated(samples: list[Sample], rows: np.ndarray, weights: np.ndarray) -> tuple[list[Sample], np.ndarray]:
    """The images as often as they were drawn, each with its objects and detections."""
    images = np.repeat(np.arange(len(samples)), weights)
    parts = [
        np.concatenate((np.full((sum(rows[:, 0] == i), 1), new), rows[rows[:, 0] == i, 1:]), 1)
        for new, i in enumerate(images)
    ]
    return [samples[i] for i in images], np.concatenate(parts)


@pytest.mark.parametrize("seed", range(3))
def test_a_record_holds_the_average_precision_to_the_last_bits(seed: int) -> None:
    for samples, names, rows in (make_case(seed), ignored_case(seed)):
        metrics, record = recorded(samples, names, rows)
        assert metrics == evaluate_detections(samples, names, rows)
        found = average_precision(record, np.ones((len(samples), 1)))[:, 0]
        np.testing.assert_allclose(found, [metrics.map_max_det, metrics.map50_max_det], rtol=0, atol=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_a_draw_measures_each_image_as_often_as_it_was_drawn(seed: int) -> None:
    for samples, names, rows in (make_case(seed), ignored_case(seed)):
        rows = without_ties(rows)
        _, record = recorded(samples, names, rows)
        drawn = np.random.default_rng(seed).integers(0, 3, (len(samples), 4))
        slow = []
        for weights in drawn.T:
            images, found = repeated(samples, rows, weights)
            metrics = evaluate_detections(images, names, found)
            slow.append([metrics.map_max_det, metrics.map50_max_det])
        np.testing.assert_allclose(average_precision(record, drawn.astype(np.float64)).T, slow, atol=1e-12)
        # In float32 a recall may reach 0.35, say, or miss it by rounding.
        np.testing.assert_allclose(average_precision(record, drawn.astype(np.float32)).T, slow, atol=2e-3)


def test_a_draw_without_objects_measures_nothing() -> None:
    samples, names, rows = make_case(0)
    _, record = recorded(samples, names, rows)
    empty = np.array([len(sample.classes) == 0 for sample in samples], np.float64)
    assert empty.any()
    assert np.isnan(average_precision(record, empty[:, None])).all()


def test_what_follows_the_last_match_of_a_class_is_not_kept() -> None:
    samples, names, rows = make_case(1)
    _, record = recorded(samples, names, rows)
    more = np.column_stack((np.zeros(500), np.tile([600, 600, 620, 620], (500, 1)), np.full(500, 1e-4), np.zeros(500)))
    _, same = recorded(samples, names, np.concatenate((rows, more)))
    assert all(np.array_equal(getattr(same, name), getattr(record, name)) for name in MatchRecord.__slots__)


def test_equal_evaluations_are_no_different() -> None:
    _, record = recorded(*make_case(2))
    found = compare(record, record)
    assert (found.difference, found.low, found.high, found.verdict) == (0, 0, 0, "no difference")
    assert found.describe() == "no difference from the start at this sample size (0.000 to 0.000)"


def test_better_one_way_is_worse_the_other_way() -> None:
    samples, names, rows = make_case(3)
    _, good = recorded(samples, names, rows)
    spoilt = rows.copy()
    spoilt[:, 1:5] += 20
    _, bad = recorded(samples, names, spoilt)
    better, worse = compare(bad, good), compare(good, bad)
    assert (better.verdict, worse.verdict) == ("better", "worse")
    assert better.low < better.difference < better.high
    opposite = (-worse.difference, -worse.high, -worse.low)
    np.testing.assert_allclose((better.difference, better.low, better.high), opposite)
    assert better.map50.verdict == "better"
    low, high = f"{better.low:.3f}", f"{better.high:.3f}"
    assert better.describe() == f"better than the start by {better.difference:.3f} mAP50-95 ({low} to {high})"
    assert worse.describe("x") == f"worse than x by {better.difference:.3f} mAP50-95 ({low} to {high})"


def test_the_same_seed_draws_the_same_and_blocks_decide_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    _, first = recorded(*make_case(4))
    samples, names, rows = make_case(4)
    rows[::3, 1:5] += 9
    _, second = recorded(samples, names, rows)
    found = compare(first, second, draws=100, seed=1)
    assert compare(first, second, draws=100, seed=2) != found
    monkeypatch.setattr("lehr.evaluation.bootstrap.BLOCK", 7)
    assert compare(first, second, draws=100, seed=1) == found


def test_few_images_tell_nothing() -> None:
    rng = np.random.default_rng(0)
    world = World(rng, MIN_IMAGES - 1)
    found = compare(world.detector(rng, -2.0), world.detector(rng, 2.0))
    assert (found.low, found.high, found.verdict) == (-1, 1, "no difference")


def test_evaluations_of_other_images_are_not_compared() -> None:
    _, first = recorded(*make_case(0))
    for other in (make_case(1), make_case(0, images=24)):
        with pytest.raises(InputError, match="other images or other objects"):
            compare(first, recorded(*other)[1])
    samples, names, rows = make_case(0)
    nothing = [dataclasses.replace(s, boxes=s.boxes[:0], classes=s.classes[:0]) for s in samples]
    _, none = recorded(nothing, names, rows)
    with pytest.raises(InputError, match="no object"):
        compare(none, none)


def test_tails_are_students() -> None:
    from scipy.stats import norm, t

    for count in (10, 20, 87, 5000):
        wanted = norm.cdf(-np.sqrt(count / (count - 1)) * t.ppf(0.975, count - 1))
        assert tails(count, 0.95) == pytest.approx((wanted, 1 - wanted), rel=2e-3)


def test_an_interval_contains_the_truth_about_as_often_as_it_says() -> None:
    # 120 pairs: 0.89 is 3 standard errors below 0.95. The thorough one is benchmarks/bootstrap_coverage.py.
    inside, told, _ = coverage((0.0, 0.0), images=25, pairs=120, draws=150)
    assert 0.89 <= inside < 1
    assert 0 < told <= 0.11


def test_a_record_survives_being_kept() -> None:
    _, record = recorded(*ignored_case(0))
    state = record.state_dict()
    again = MatchRecord.from_state_dict(state)
    assert all(np.array_equal(getattr(again, name), getattr(record, name)) for name in MatchRecord.__slots__)
    wrong = {
        "images": 3,
        "detections": torch.full_like(state["detections"], -1),
        "hits": state["hits"][:-1],
        "ends": state["ends"].flip(0),
        "object_ends": state["object_ends"][:-1],
        "objects": state["objects"].long(),
    }
    for name, value in wrong.items():
        with pytest.raises(ValueError, match="record"):
            MatchRecord.from_state_dict({**state, name: value})


def test_small_bounds_show_which_side_of_0_they_are() -> None:
    found = Comparison(0.0102, 0.0003, 0.02, Interval(0, 0, 0), 100)
    assert found.describe() == "better than the start by 0.0102 mAP50-95 (0.0003 to 0.0200)"
    assert Comparison(0.001, -0.004, 0.006, Interval(0, 0, 0), 100).describe() == (
        "no difference from the start at this sample size (-0.004 to 0.006)"
    )
