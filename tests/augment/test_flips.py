"""A mirrored picture shows the same objects, mirrored."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lehr.augment.plan import plan_sample
from lehr.options import AugmentOptions
from lehr.sample import Sample

SIDE = 96
STILL = {"mosaic": 0, "translate": 0, "scale": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0}


@pytest.mark.parametrize(("fliplr", "flipud"), [(1, 0), (0, 1), (1, 1)])
def test_boxes_are_mirrored_within_the_picture(fliplr: int, flipud: int) -> None:
    boxes = np.array([[10, 20, 40, 60], [50, 5, 90, 30]], np.float32)
    sample = Sample(Path("x.png"), SIDE, SIDE, boxes, np.array([0, 1]))
    options = AugmentOptions.model_validate({**STILL, "fliplr": fliplr, "flipud": flipud})
    plan = plan_sample([sample], options, SIDE, seed=0, epoch=0, index=0, multi_image=True)
    expected = boxes.copy()
    if fliplr:
        expected[:, [0, 2]] = SIDE - expected[:, [2, 0]]
    if flipud:
        expected[:, [1, 3]] = SIDE - expected[:, [3, 1]]
    np.testing.assert_allclose(plan.boxes, expected, atol=1e-4)
    assert plan.classes.tolist() == [0, 1] and len(plan.tiles) == 1


def test_about_every_other_picture_is_mirrored_at_one_half() -> None:
    sample = Sample(Path("x.png"), SIDE, SIDE, np.array([[0, 0, 20, 20]], np.float32), np.array([0]))
    options = AugmentOptions.model_validate({**STILL, "fliplr": 0.5})
    plans = [plan_sample([sample], options, SIDE, seed=0, epoch=e, index=0, multi_image=True) for e in range(400)]
    assert 160 < sum(float(plan.boxes[0, 0]) > 50 for plan in plans) < 240
