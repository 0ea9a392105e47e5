"""On a CUDA device: the same numbers as on the CPU, and a step that never waits for the device."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from tests.conftest import MakeYolo
from tests.evaluation.test_nms import random_predictions
from tests.losses import test_anchor_based as anchored
from tests.losses.test_task_aligned import pad, random_case

from lehr.config import build_config
from lehr.engine.run import train
from lehr.evaluation.nms import suppress
from lehr.losses.anchor_based import AnchorBasedLoss
from lehr.losses.build import build_loss
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.build import build_model
from lehr.models.distance_head import DistancePrediction
from lehr.options import LossOptions
from lehr.techniques.auto import choose_optimizer
from lehr.techniques.ema import ModelEma
from lehr.techniques.multi_scale import resized
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


@pytest.mark.parametrize("gamma", [0.0, 1.5])
def test_the_anchor_based_loss_is_that_of_the_cpu(gamma: float) -> None:
    for seed, counts in enumerate([[3, 0, 5], [1], [20, 15]]):
        prediction, _, boxes, classes = anchored.random_case(seed, counts)
        padded, numbers = anchored.pad(boxes, classes)
        moved = {name: getattr(prediction, name).cuda() for name in ("logits", "cells", "sizes", "strides", "anchors")}
        loss = AnchorBasedLoss(gamma=gamma, cls_pw=0.9, smoothing=0.1)
        ours = loss(dataclasses.replace(prediction, **moved), padded.cuda(), numbers.cuda())
        torch.testing.assert_close(ours.cpu(), loss(prediction, padded, numbers), rtol=1e-4, atol=1e-6)


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
@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_a_step_never_waits_for_the_device(name: str) -> None:
    model = build_model(name, ("a", "b"), width=0.25).cuda().to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, choose_optimizer("AdamW", classes=2, iterations=1), 5e-4)
    ema = ModelEma(model)
    images = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8).cuda()
    boxes = torch.tensor([[[4.0, 4.0, 40.0, 40.0]]]).repeat(4, 1, 1).cuda()
    classes = torch.zeros(4, 1, dtype=torch.int64).cuda()
    options = LossOptions(least_side=16, fl_gamma=1.5, cls_pw=0.9, obj_pw=0.9, label_smoothing=0.1)
    measured = build_loss(model, options, 64, torch.tensor([0.5, 2.0]).cuda())
    for attempt in range(3):
        torch.cuda.set_sync_debug_mode("error" if attempt == 2 else "default")
        smaller, moved = resized(images.to(torch.float32).div_(255), boxes, (64, 96, 96)[attempt])
        loss = measured(model(smaller), moved, classes)
        torch.autograd.backward(loss.sum())
        torch.nn.utils.clip_grad_norm_(model.parameters(), 10.0)
        optimizer.step()
        optimizer.zero_grad()
        ema.update()


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
def test_a_run_trains_on_the_device(model: str, make_yolo: MakeYolo, tmp_path: Path) -> None:
    where = {"device": "cuda", "project": tmp_path / "runs"}
    config = build_config({"data": str(make_yolo()), "model": model, "epochs": 3, "imgsz": 64, "batch": 4, **where})
    result = train(config)
    rows = list(csv.DictReader((result.folder / "results.csv").open()))
    assert len(rows) == 3 and result.best.is_file()
    assert float(rows[-1]["train/box"]) > 0
