"""Batches that are made again from a run's folder are those that were trained on, to the byte."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from tests.commands import lehr
from tests.conftest import MakeYolo, Once, make_squares
from tests.engine.runs import before_step, on, resume, run, stopped_run

from lehr.callbacks.events import BatchEnd, BatchStart
from lehr.checkpoint.format import read_checkpoint
from lehr.data.batch import Batch
from lehr.engine.past_batches import PastBatch, PastBatches, open_past_batches
from lehr.engine.past_loss import nearest_weights, past_loss
from lehr.errors import InputError

COUNTS = {"train": 10, "val": 4}
CASES: dict[str, dict[str, Any]] = {
    "multi-scale, mixup, mosaic closes": {"multi_scale": 0.5, "mixup": 0.7, "cutmix": 0.5, "erasing": 0.5},
    "rectangles": {"rect": True, "multi_scale": 0.5},
    "repeat factors, copies, replay of older data": {"repeat_threshold": 0.9, "copy_paste": 0.5, "replay": 0.25},
    "windows of partners": {"partner_window": 4, "mixup": 0.5, "cache": "none"},
    "drawn as on a device": {"augment_on": "device", "mixup": 0.5},
}


class Recorder:
    """Keeps the batches of a run as they are trained on, by their step."""

    def __init__(self) -> None:
        self.seen: dict[int, tuple[Batch, int | None]] = {}

    def on_train_batch_start(self, event: BatchStart) -> None:
        copy = event.batch.map(torch.Tensor.clone)
        self.seen[event.step] = copy, event.size


def assert_same(past: PastBatch, trained: tuple[Batch, int | None]) -> None:
    batch, size = trained
    for name in ("images", "boxes", "classes", "indices"):
        assert torch.equal(getattr(past.batch, name), getattr(batch, name)), name
    assert past.size == size


def recorded(data: Path, project: Path, **options: Any) -> tuple[Path, Recorder]:
    recorder = Recorder()
    with on("on_train_batch_start", recorder.on_train_batch_start):
        run(data, project, "run", **options)
    return project / "run", recorder


@pytest.mark.parametrize("case", CASES)
def test_every_batch_of_a_run_is_made_again_to_the_byte(case: str, make_yolo: MakeYolo, tmp_path: Path) -> None:
    data, options = make_yolo(counts=COUNTS), dict(CASES[case])
    if "replay" in options:
        options["keep_val"] = str(make_squares(tmp_path / "older", {"train": 5, "val": 2}))
    folder, recorder = recorded(data, tmp_path, epochs=2, **options)
    past = open_past_batches(folder)
    assert sorted(recorder.seen) == list(range(2 * past.batches))
    for step, trained in recorder.seen.items():
        assert_same(past.make(past.place(None, step + 1)), trained)
