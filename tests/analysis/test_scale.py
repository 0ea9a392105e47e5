"""Analysis of 5,000 images with 300 detections each of 80 classes: seconds, and below a gigabyte."""

from __future__ import annotations

import json
import resource
import time
from pathlib import Path

import numpy as np
import pytest

from lehr.analysis.analyse import analyse
from lehr.analysis.record import DetectionRecord
from lehr.sample import Sample


def large_record(images: int = 5000, classes: int = 80, found: int = 300) -> DetectionRecord:
    """Detections about as a trained detector makes them: most score next to nothing."""
    rng = np.random.default_rng(0)
    samples, rows = [], []
    for image in range(images):
        count = int(rng.integers(1, 15))
        corner, size = rng.uniform(0, 400, (count, 2)), np.exp(rng.uniform(np.log(8), np.log(200), (count, 2)))
        boxes, numbers = np.concatenate((corner, corner + size), 1), rng.integers(0, classes, count)
        samples.append(Sample(Path(f"{image:012}.jpg"), 640, 640, boxes.astype(np.float32), numbers))
        near = rng.integers(0, count, found)
        moved = boxes[near] + rng.normal(0, 0.15, (found, 4)) * np.tile(size[near], 2)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        kinds = np.where(rng.random(found) < 0.5, numbers[near], rng.integers(0, classes, found))
        rows.append(np.c_[np.full(found, image), moved, rng.random(found) ** 8 * 0.99 + 0.001, kinds])
    return DetectionRecord(tuple(f"class {i}" for i in range(classes)), tuple(samples), np.concatenate(rows), found)


@pytest.mark.slow
def test_a_large_split_is_analysed_within_seconds_and_a_gigabyte() -> None:
    record = large_record()
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    analysis = analyse(record)
    seconds = time.perf_counter() - start
    memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    assert seconds < 60 and memory < 1000, f"{seconds:.1f} s, {memory:.0f} MiB"
    assert analysis.gains is not None and len(json.dumps(analysis.as_dict(), allow_nan=False)) < 5_000_000
