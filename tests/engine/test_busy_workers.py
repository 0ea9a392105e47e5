"""Loading processes have work over the end of an epoch: the validation's first batches, and then the next epoch's."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeYolo
from tests.engine.runs import run

from lehr.data.loader import Loader
from lehr.data.worker_pool import WorkerPool
from lehr.engine import validator
from lehr.engine.setup import Setup
from lehr.evaluation.evaluator import Evaluation


def made(loader: Loader, seconds: float = 20) -> list[tuple[int, list[int]]]:
    """Epoch and images of the batches that workers made ahead, once there is one."""
    pool, end = loader._pool, time.monotonic() + seconds
    assert isinstance(pool, WorkerPool)
    while not pool._answers and time.monotonic() < end:
        pool._collect(0.1)
    return [(each.request.epoch, each.request.images) for each in pool._asked if each.number in pool._answers]


def test_the_next_epoch_is_begun_during_a_validation_and_a_validation_during_its_epoch(
    make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ahead: list[tuple[list[tuple[int, list[int]]], int]] = []
    evaluate = validator.validate

    def validate(setup: Setup, *given: Any) -> Evaluation:
        of_validation = made(setup.val_loader)
        assert of_validation[0][1] == setup.val_requests[0].images, "made before it is asked for"
        before = setup.feed.loader.served
        evaluation = evaluate(setup, *given)
        if setup.state.epoch == 0:
            ahead.append((made(setup.feed.loader), before))
        return evaluation

    monkeypatch.setattr(validator, "validate", validate)
    run(make_yolo(counts={"train": 8, "val": 4}), tmp_path, "run", workers=1, epochs=2)
    (batches, served), *more = ahead
    assert not more and served == 2  # those of the first epoch
    assert batches and all(epoch == 1 for epoch, _ in batches)
