"""On a CUDA device: the same numbers as on the CPU, and a step that never waits for the device."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.conftest import MakeYolo
from tests.evaluation.test_nms import random_predictions
from tests.losses.test_task_aligned import pad, random_case

from lehr.config import build_config
from lehr.engine.trainer import train
from lehr.evaluation.nms import suppress
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.build import build_model
from lehr.models.distance_head import DistancePrediction
from lehr.techniques.auto import choose_optimizer
from lehr.techniques.ema import ModelEma
from lehr.techniques.optimizer import build_optimizer

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


def test_the_loss_is_that_of_the_cpu() -> None:
    for seed, counts in enumerate([[3, 0, 5], [1], [12, 2]]):
        prediction, boxes, classes = random_case(seed, counts)
        padded, numbers = pad(boxes, classes, dtype=torch.float32)
        there = DistancePrediction(
            *(getattr(prediction, name).cuda() for name in DistancePrediction.__dataclass_fields__)
        )
        ours = TaskAlignedLoss(least_side=16.0)(there, padded.cuda(), numbers.cuda())
        expected = TaskAlignedLoss(least_side=16.0)(prediction, padded, numbers)
        torch.testing.assert_close(ours.cpu(), expected, rtol=1e-4, atol=1e-6)


def test_suppression_is_that_of_the_cpu() -> None:
    boxes, scores = random_predictions(3)
    there = suppress(boxes.cuda(), scores.cuda(), confidence=0.3, iou=0.5).cpu()
    here = suppress(boxes, scores, confidence=0.3, iou=0.5)
    assert torch.equal(there.images, here.images) and torch.equal(there.classes, here.classes)
    torch.testing.assert_close(there.scores, here.scores)


@pytest.fixture
def no_waiting() -> Iterator[None]:
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("no_waiting")
def test_a_step_never_waits_for_the_device() -> None:
    model = build_model("yolov8n", ("a", "b")).cuda().to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, choose_optimizer("AdamW", classes=2, iterations=1), 5e-4)
    ema = ModelEma(model)
    images = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8).cuda()
    boxes = torch.tensor([[[4.0, 4.0, 40.0, 40.0]]]).repeat(4, 1, 1).cuda()
    classes = torch.zeros(4, 1, dtype=torch.int64).cuda()
    for attempt in range(3):
        torch.cuda.set_sync_debug_mode("error" if attempt == 2 else "default")
        loss = TaskAlignedLoss(least_side=16.0)(model(images.to(torch.float32).div_(255)), boxes, classes)
        torch.autograd.backward(loss.sum())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update()


def test_a_run_trains_on_the_device(make_yolo: MakeYolo, tmp_path: Path) -> None:
    config = build_config(
        {"data": str(make_yolo()), "epochs": 3, "imgsz": 64, "batch": 4, "device": "cuda", "project": tmp_path / "runs"}
    )
    result = train(config)
    rows = list(csv.DictReader((result.folder / "results.csv").open()))
    assert len(rows) == 3 and result.best.is_file()
    assert float(rows[-1]["train/box"]) > 0
