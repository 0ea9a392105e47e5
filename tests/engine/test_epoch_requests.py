"""The batches of the next epoch are known ahead, unless the images depend on a validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lehr.config import build_config
from lehr.engine.data import EpochRequests, epoch_requests
from lehr.sample import Sample

SAMPLES = [
    Sample(Path(f"{i}.png"), 64, 48, np.array([[1, 1, 9, 9]], np.float32), np.array([i % 2], np.int64))
    for i in range(9)
]
MAPS = (0.2, 0.9)


def test_the_next_epoch_s_batches_are_those_it_will_ask_for() -> None:
    config = build_config({"data": "shapes", "epochs": 3, "batch": 4, "seed": 5})
    of, wanted = EpochRequests(config, SAMPLES), [epoch_requests(config, SAMPLES, MAPS, epoch) for epoch in range(3)]
    assert of(0, MAPS) == (wanted[0], wanted[1])
    assert of(1, MAPS) == (wanted[1], wanted[2])
    assert of(0, MAPS) == (wanted[0], wanted[1])  # a run that went back
    assert of(2, MAPS) == (wanted[2], [])


def test_image_weights_wait_for_the_validation() -> None:
    config = build_config({"data": "shapes", "epochs": 3, "batch": 4, "image_weights": True})
    of = EpochRequests(config, SAMPLES)
    assert of(0, (0.0, 0.0)) == (epoch_requests(config, SAMPLES, (0.0, 0.0), 0), [])
    assert of(1, MAPS) == (epoch_requests(config, SAMPLES, MAPS, 1), [])
