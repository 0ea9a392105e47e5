"""The box filter: which cut boxes stay objects, by limits of the user's own, in every part that cuts boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.augment.test_plan import make_world

from lehr.augment.box_filter import BoxLimits, box_limits, visible
from lehr.augment.plan import plan_sample
from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import AugmentOptions
from lehr.sample import Sample

STILL = {"mosaic": 0, "translate": 0, "scale": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "fliplr": 0}
SIDE = 96


def slowly(box: list[float], width: float, height: float, limits: BoxLimits) -> tuple[list[float], bool]:
    """One box at a time, side by side."""
    left, top, right, bottom = box
    cut = [min(max(left, 0), width), min(max(top, 0), height), min(max(right, 0), width), min(max(bottom, 0), height)]
    w, h = cut[2] - cut[0], cut[3] - cut[1]
    if not (w > limits.min_side and h > limits.min_side):
        return cut, False
    if w * h < limits.min_visible * ((right - left) * (bottom - top)):
        return cut, False
    return cut, max(w, h) / min(w, h) < limits.max_ratio


def test_a_thousand_boxes_are_cut_and_kept_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    kept_at_all = 0
    for _ in range(1000):
        width, height = rng.integers(16, 640, 2).tolist()
        corner = rng.uniform(-400, 700, (4, 2))
        boxes = np.concatenate((corner, corner + rng.uniform(0.1, 60, (4, 2)) ** rng.uniform(0.5, 1.6, (4, 2))), 1)
        limits = BoxLimits(rng.choice([0, 2, 7.5]), rng.choice([0, 0.1, 0.6, 1]), rng.choice([1.5, 10, 100, 1e6]))
        inside, kept = visible(boxes, width, height, limits)
        wanted = [slowly(box, width, height, limits) for box in boxes.tolist()]
        assert inside.tolist() == [cut for cut, _ in wanted]
        assert kept.tolist() == [each for _, each in wanted]
        kept_at_all += int(kept.sum())
    assert 200 < kept_at_all < 3000


def plan_of(boxes: list[list[float]], **options: float) -> list[list[float]]:
    sample = Sample(Path("x.png"), SIDE, SIDE, np.array(boxes, np.float32), np.zeros(len(boxes), np.int64))
    given = AugmentOptions.model_validate({**STILL, **options})
    return plan_sample([sample], given, SIDE, seed=0, epoch=0, index=0, multi_image=True).boxes.tolist()


def test_each_limit_is_an_option() -> None:
    boxes: list[list[float]] = [[10, 10, 40, 40], [50, 10, 52, 40], [4, 60, 94, 63]]
    assert plan_of(boxes) == [boxes[0], boxes[2]]
    assert plan_of(boxes, min_box_side=1.5) == boxes
    assert plan_of(boxes, min_box_side=29.9) == [boxes[0]]
    assert plan_of(boxes, max_box_ratio=20) == [boxes[0]]


def test_the_share_seen_is_that_of_the_uncut_object() -> None:
    world = make_world(3)[0]
    zoomed = {"scale": 0.9, "translate": 0.5, "min_box_side": 0.0, "max_box_ratio": 1e6}

    def count(share: float) -> int:
        options = AugmentOptions.model_validate({**STILL, **zoomed, "min_visible": share})
        plans = [plan_sample(world, options, SIDE, seed=0, epoch=e, index=e % 6, multi_image=True) for e in range(100)]
        return sum(len(plan.boxes) for plan in plans)

    whole, most, any_at_all = count(0.999), count(0.5), count(0)
    assert whole < most < any_at_all < 300


def test_pasted_objects_keep_to_the_limits_too() -> None:
    boxes = np.array([[4, 4, 9, 9], [50, 50, 90, 90]], np.float32)
    sample = Sample(Path("x.png"), SIDE, SIDE, boxes, np.arange(2))
    for least in (2, 10):
        options = AugmentOptions.model_validate({**STILL, "copy_paste": 1, "min_box_side": least})
        plans = [plan_sample([sample], options, SIDE, seed=0, epoch=e, index=0, multi_image=True) for e in range(30)]
        pasted = np.concatenate([plan.boxes[-max(0, len(plan.tiles) - 1) or len(plan.boxes) :] for plan in plans])
        assert (pasted[:, 2] - pasted[:, 0] > least).all() and sum(len(plan.tiles) > 1 for plan in plans) > 3


def test_unset_the_limits_are_those_of_before() -> None:
    assert box_limits(AugmentOptions()) == BoxLimits() == BoxLimits(2.0, 0.1, 100.0)


@pytest.mark.parametrize("given", [{"min_box_side": -1}, {"min_visible": 1.1}, {"max_box_ratio": 1}])
def test_limits_that_mean_nothing_are_refused(given: dict[str, float]) -> None:
    with pytest.raises(InputError, match=next(iter(given)).replace("_", "-")):
        build_config(given)
