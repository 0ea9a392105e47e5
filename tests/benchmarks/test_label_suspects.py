"""The study of label errors plants what it says, and finds all of it with a detector that is not misled."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import numpy as np
from benchmarks.label_suspects import plant, planted_among_first

from lehr.analysis.record import DetectionRecord
from lehr.sample import Dataset, Sample


def test_a_detector_that_is_not_misled_names_nothing_but_what_was_planted() -> None:
    rng = np.random.default_rng(0)
    grid = np.array([[40 * x, 40 * y, 40 * x + 30, 40 * y + 30] for x in range(8) for y in range(5)], np.float32)
    samples = [
        Sample(Path(f"{index}.jpg"), 320, 200, grid[np.sort(rng.permutation(40)[:12])], rng.integers(0, 3, 12))
        for index in range(50)
    ]
    wrong, planted = plant(Dataset("x", ("a", "b", "c"), {"val": samples}), 0.05, seed=1)
    assert Counter(each.kind for each in planted) == {"removed": 30, "swapped": 30}
    before, after = (sum(len(sample.classes) for sample in each) for each in (samples, wrong.splits["val"]))
    assert before - after == 30
    rows = [
        [index, *(box + rng.normal(0, 1, 4)), rng.uniform(0.5, 0.95), class_id]
        for index, sample in enumerate(samples)
        for box, class_id in zip(sample.boxes, sample.classes, strict=True)
    ]
    record = DetectionRecord(wrong.names, tuple(wrong.splits["val"]), np.array(rows))
    assert planted_among_first(record, planted, (1, 50, 60)) == [1, 50, 60]
