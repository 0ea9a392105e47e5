"""Pasted objects leave those that are there to be seen."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lehr.augment.plan import plan_sample
from lehr.options import AugmentOptions
from lehr.sample import Sample

SIDE = 96
STILL = {"mosaic": 0, "translate": 0, "scale": 0, "hsv_h": 0, "hsv_s": 0, "hsv_v": 0, "fliplr": 0}


def test_no_object_is_covered_by_more_than_a_third_of_what_is_pasted_later() -> None:
    boxes = np.array([[4, 4, 40, 40], [50, 50, 92, 92], [56, 4, 92, 30]], np.float32)
    sample = Sample(Path("x.png"), SIDE, SIDE, boxes, np.arange(3))
    options = AugmentOptions.model_validate({**STILL, "copy_paste": 1})
    pasted = 0
    for epoch in range(60):
        plan = plan_sample([sample], options, SIDE, seed=0, epoch=epoch, index=0, multi_image=True)
        pasted += len(plan.boxes) - len(boxes)
        for later in range(len(boxes), len(plan.boxes)):
            x1, y1, x2, y2 = plan.boxes[later]
            for left, top, right, bottom in plan.boxes[:later]:
                common = max(0.0, min(x2, right) - max(x1, left)) * max(0.0, min(y2, bottom) - max(y1, top))
                assert common <= 0.3 * (right - left) * (bottom - top) + 1e-3
    assert pasted > 20
