"""Detections made up at random: on objects of all sizes and beside them; ignored regions and difficult objects too."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lehr.analysis.record import DetectionRecord
from lehr.sample import NOTHING_IGNORED, Ignored, Sample


def random_record(seed: int, images: int = 25, classes: int = 4, *, ignored: bool = False) -> DetectionRecord:
    """Detections near objects, repeated, misplaced, of other classes, and out of thin air; scores with ties.

    The last class has no object, and the last image no detection.

    Args:
        seed: of all draws.
        images: how many.
        classes: how many, at least 2.
        ignored: with difficult objects and ignored regions.
    """
    rng = np.random.default_rng(seed)
    samples, rows = [], []
    for index in range(images):
        count = int(rng.integers(0, 9))
        corner, size = rng.uniform(0, 400, (count, 2)), np.exp(rng.uniform(np.log(8), np.log(200), (count, 2)))
        boxes = np.concatenate((corner, corner + size), 1).astype(np.float32)
        numbers = rng.integers(0, classes - 1, count)
        difficult, regions = None, NOTHING_IGNORED
        if ignored:
            difficult = rng.random(count) < 0.2
            corner, crowd = rng.uniform(0, 300, (2, 2)), rng.random(2) < 0.5
            regions = Ignored(
                np.concatenate((corner, corner + 150), 1).astype(np.float32),
                rng.integers(0, classes, 2),
                crowd,
            )
        path = Path(f"images/{index}.jpg")
        samples.append(Sample(path, 640, 640, boxes, numbers, None, difficult, regions))
        if index == images - 1:
            break
        for box, number in zip(boxes, numbers, strict=True):
            for _ in range(int(rng.integers(0, 4))):
                moved = box + rng.normal(0, rng.choice((0.05, 0.25)), 4) * np.tile(box[2:] - box[:2], 2)
                if (moved[2:] > moved[:2]).all():
                    kind = number if rng.random() < 0.8 else rng.integers(classes)
                    rows.append([index, *moved, round(rng.random(), 2), kind])
        for _ in range(int(rng.integers(0, 5))):
            x, y, w, h = rng.uniform(1, 300, 4)
            rows.append([index, x, y, x + w, y + h, round(rng.random(), 2), rng.integers(classes)])
    detections = np.array(rows, np.float64).reshape(-1, 7)
    return DetectionRecord(tuple(f"class {i}" for i in range(classes)), tuple(samples), detections, 300)
