"""On a CUDA device: the same numbers as on the CPU, and a step that never waits for the device."""

from __future__ import annotations

import csv
import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine import runs
from tests.engine.runs import LEARNING, before_step, resume, stop_at
from tests.engine.test_going_wrong import all_finite, poisoned
from tests.evaluation.test_nms import random_predictions
from tests.losses import test_anchor_based as anchored
from tests.losses.test_task_aligned import pad, random_case

from lehr.callbacks.events import BatchStart
from lehr.config import build_config
from lehr.data.requests import train_requests
from lehr.engine.result import TrainResult
from lehr.engine.run import train
from lehr.engine.setup import prepare
from lehr.engine.state import EpochSums
from lehr.errors import LehrError, Stopped
from lehr.evaluation.evaluator import evaluate
from lehr.evaluation.nms import suppress
from lehr.losses.anchor_based import AnchorBasedLoss
from lehr.losses.bce import ModulatingFactor
from lehr.losses.box_losses import BoxLoss
from lehr.losses.build import build_loss
from lehr.losses.focal import FocalFactor
from lehr.losses.quality_focal import QualityFocalFactor, VarifocalFactor
from lehr.losses.task_aligned import TaskAlignedLoss
from lehr.models.build import build_model
from lehr.models.dfl_head import DFLPrediction
from lehr.options import LossOptions
from lehr.options.loss import BoxLossName
from lehr.techniques.auto import choose_optimizer
from lehr.techniques.ema import ModelEma
from lehr.techniques.multi_scale import resized
from lehr.techniques.optimizer import build_optimizer

SMALL: dict[str, Any] = {**runs.SMALL, **LEARNING, "epochs": 3}


def run(data: Path, project: Path, name: str, **more: Any) -> TrainResult:
    return runs.run(data, project, name, **{**SMALL, **more})


def stopped_run(data: Path, project: Path, name: str, step: int, **more: Any) -> Path:
    return runs.stopped_run(data, project, name, step, **{**SMALL, **more})


pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]


@pytest.mark.parametrize("kind", ["ciou", "diou", "giou", "siou", "eiou", "wiou", "nwd"])
def test_the_loss_is_that_of_the_cpu(kind: BoxLossName) -> None:
    loss = TaskAlignedLoss(least_side=16.0, box_loss=BoxLoss(kind), factor=QualityFocalFactor())
    for seed, counts in enumerate([[3, 0, 5], [1], [12, 2]]):
        prediction, boxes, classes = random_case(seed, counts)
        padded, numbers = pad(boxes, classes, dtype=torch.float32)
        there = DFLPrediction(*(getattr(prediction, name).cuda() for name in DFLPrediction.__dataclass_fields__))
        ours, expected = loss(there, padded.cuda(), numbers.cuda()), loss(prediction, padded, numbers)
        torch.testing.assert_close(ours.cpu(), expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("factor", [None, FocalFactor(1.5), VarifocalFactor()])
def test_the_anchor_based_loss_is_that_of_the_cpu(factor: ModulatingFactor | None) -> None:
    for seed, counts in enumerate([[3, 0, 5], [1], [20, 15]]):
        prediction, _, boxes, classes = anchored.random_case(seed, counts)
        padded, numbers = anchored.pad(boxes, classes)
        moved = {name: getattr(prediction, name).cuda() for name in ("logits", "cells", "sizes", "strides", "anchors")}
        loss = AnchorBasedLoss(factor=factor, cls_pw=0.9, smoothing=0.1)
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
@pytest.mark.parametrize("given", [{"fl_gamma": 1.5}, {"cls_loss": "qfl", "box_loss": "siou", "tal_topk": 13}])
def test_a_step_never_waits_for_the_device(name: str, given: dict[str, Any]) -> None:
    model = build_model(name, ("a", "b"), width=0.25).cuda().to(memory_format=torch.channels_last).train()
    optimizer = build_optimizer(model, choose_optimizer("AdamW", classes=2, images=1, epochs=1), 5e-4)
    ema = ModelEma(model)
    images = torch.randint(0, 255, (4, 3, 64, 64), dtype=torch.uint8).cuda()
    boxes = torch.tensor([[[4.0, 4.0, 40.0, 40.0]]]).repeat(4, 1, 1).cuda()
    classes = torch.zeros(4, 1, dtype=torch.int64).cuda()
    options = LossOptions(least_side=16, cls_pw=0.9, obj_pw=0.9, label_smoothing=0.1, **given)
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


@pytest.mark.usefixtures("no_waiting")
@pytest.mark.parametrize("amp", ["off", "bf16", "fp16"])
@pytest.mark.parametrize("optimizer", ["AdamW", "SGD", "NAdam"])
def test_the_trainer_s_step_never_waits_for_the_device(
    optimizer: str, amp: str, make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither a step nor a save within an epoch does, nor what is done between two steps."""

    def strict(event: BatchStart) -> None:
        torch.cuda.set_sync_debug_mode("error" if event.step >= 6 else "default")

    def mean_losses(sums: EpochSums) -> list[float]:
        torch.cuda.set_sync_debug_mode("default")  # an epoch's end may wait
        return of_epoch(sums)

    of_epoch = EpochSums.mean_losses
    monkeypatch.setattr(EpochSums, "mean_losses", mean_losses)
    with before_step(strict):
        run(make_yolo(counts={"train": 12, "val": 4}), tmp_path, "run", device="cuda", optimizer=optimizer, amp=amp)
        config = {"device": "cuda", "optimizer": optimizer, "amp": amp, "checkpoint_minutes": 1e-6, "epochs": 1}
        run(make_yolo("other", counts={"train": 40, "val": 4}), tmp_path, "saved", **config)


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
def test_a_deterministic_run_that_was_stopped_ends_as_one_that_was_not(
    model: str, make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_yolo(counts={"train": 12, "val": 4})
    options = {"device": "cuda", "deterministic": True, "model": model, "nominal_batch": 8}
    run(data, tmp_path, "whole", **options)
    told = capsys.readouterr().out
    assert "--deterministic: a step takes" in told
    folder = stopped_run(data, tmp_path, "stopped", 4, **options)
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []


@pytest.mark.parametrize(("bad", "optimizer"), [(4, "AdamW"), (0, "SGD"), (4, "NAdam")])
def test_a_bad_batch_costs_one_step_there_too(bad: int, optimizer: str, make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 12, "val": 4})
    with poisoned(lambda step, _: step == bad):
        folder = run(data, tmp_path, "run", device="cuda", optimizer=optimizer, lr0=1e-3, nominal_batch=4).folder
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [int(row["skipped"]) for row in rows] == [bad == 0, bad == 4, 0]
    assert all_finite(folder / "last.ckpt")


def test_out_of_memory_tells_a_batch_that_fits(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 64, "val": 2})
    torch.cuda.set_per_process_memory_fraction(2**31 / torch.cuda.get_device_properties(0).total_memory)  # 2 GiB
    try:
        with pytest.raises(LehrError, match=r"--batch \d+ fits|Not even one image"):
            run(data, tmp_path, "run", device="cuda", imgsz=1280, batch=64, width=1.0)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_run_begun_on_one_device_goes_on_on_another(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 12, "val": 4})
    folder = stopped_run(data, tmp_path, "run", 4, device="cuda", nominal_batch=16)
    with stop_at(6), pytest.raises(Stopped):
        resume(folder, {"device": "cpu"})
    assert resume(folder, {"device": "cuda"}).best.is_file()


@pytest.mark.usefixtures("no_waiting")
def test_pictures_drawn_there_are_those_of_the_cpu_and_the_feed_never_waits(
    make_yolo: MakeYolo, tmp_path: Path
) -> None:
    data = make_yolo(counts={"train": 24, "val": 4})
    given = {**SMALL, "data": str(data), "mixup": 0.5, "degrees": 10, "copy_paste": 0.5, "workers": 0}
    for name in ("cuda", "cpu"):
        (tmp_path / name).mkdir()
    there, here = (
        prepare(build_config({**given, "device": name, "augment_on": "device"}), tmp_path / name)
        for name in ("cuda", "cpu")
    )
    requests = train_requests(here.train_samples, 4, 0, 0)
    list(there.feed.batches(requests))
    torch.cuda.synchronize()
    torch.cuda.set_sync_debug_mode("error")
    drawn = list(there.feed.batches(requests))
    torch.cuda.set_sync_debug_mode("default")
    for ours, theirs in zip(drawn, here.feed.batches(requests), strict=True):
        assert torch.equal(ours.boxes.cpu(), theirs.boxes) and torch.equal(ours.indices, theirs.indices)
        difference = (ours.images.cpu().int() - theirs.images.int()).abs()
        assert float(difference.float().mean()) < 0.05 and float((difference > 1).float().mean()) < 0.01


@pytest.mark.parametrize("amp", ["bf16", "fp16"])
def test_mixed_precision_is_checked_and_used_there(
    amp: str, make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(make_yolo(counts={"train": 16, "val": 4}), tmp_path, "run", device="cuda", amp=amp)
    assert " passed: " in capsys.readouterr().out
    assert all_finite(tmp_path / "run" / "last.ckpt")


@pytest.mark.parametrize("mode", ["default", "reduce-overhead"])
def test_a_compiled_step_is_faster_or_at_least_there(
    mode: str, make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    given: dict[str, Any] = {"device": "cuda", "compile": mode, "nominal_batch": 12}  # three batches add up
    run(make_yolo(counts={"train": 16, "val": 4}), tmp_path, "run", **given)
    told = capsys.readouterr().out
    assert f"--compile {mode}: compiled in" in told and "could not capture" not in told
    assert all_finite(tmp_path / "run" / "last.ckpt")


def test_autobatch_stays_within_its_share(
    make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make_yolo(counts={"train": 64, "val": 4})
    (tmp_path / "run").mkdir()
    made = prepare(build_config({"data": str(data), "imgsz": 640, "batch": 0.1, "device": "cuda"}), tmp_path / "run")
    note = next(line for line in made.notes if line.startswith("AutoBatch"))
    assert "16 take" in note or "8 take" in note or "fit" in note
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    trainer_batch = made.first_batch()
    torch.autograd.backward(made.forward_loss.parts(trainer_batch, None, made.state.precision).sum())
    assert torch.cuda.max_memory_reserved() < 0.12 * torch.cuda.get_device_properties(0).total_memory


def test_validation_beside_the_next_batch_finds_the_same(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 16, "val": 12})
    (tmp_path / "run").mkdir()
    made = prepare(build_config({**SMALL, "data": str(data), "device": "cuda"}), tmp_path / "run")
    model = made.state.evaluated_model.eval()
    timed, beside = (
        evaluate(model, made.val_samples, made.val_loader, made.val_requests, timed=timed) for timed in (True, False)
    )
    assert timed.metrics == beside.metrics


several = pytest.mark.skipif(torch.cuda.device_count() < 2, reason="needs two CUDA devices")


@several
@pytest.mark.parametrize(
    "options",
    [{}, {"sync_bn": True}, {"sync_bn": True, "freeze": "model.2"}, {"amp": "bf16"}, {"compile": "default"}],
    ids=str,
)
def test_two_devices_train_as_one(options: dict[str, Any], make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 18, "val": 7})  # the last batch is smaller
    given = {"amp": "off", "batch": 8, "epochs": 1, **options}
    run(data, tmp_path, "one", device="0", **given)
    run(data, tmp_path, "two", device="0,1", **given)
    one, two = (next(csv.DictReader((tmp_path / name / "results.csv").open())) for name in ("one", "two"))
    losses = [name for name in one if name.startswith("train/")]
    tolerance = 1e-2 if "sync_bn" in options else 0.3  # without it each device normalizes its own images
    for name in losses:
        assert float(two[name]) == pytest.approx(float(one[name]), rel=tolerance)


@several
def test_one_process_drives_two_devices(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 18, "val": 7})
    given = {"amp": "off", "batch": 8, "epochs": 1}
    run(data, tmp_path, "one", device="0", **given)
    run(data, tmp_path, "dp", device="0,1", parallel="dp", **given)
    one, two = (next(csv.DictReader((tmp_path / name / "results.csv").open())) for name in ("one", "dp"))
    assert float(two["train/box"]) == pytest.approx(float(one["train/box"]), rel=0.3)
    assert "one process drives 2 devices" in (tmp_path / "dp" / "train.log").read_text()


@several
def test_two_devices_repeat_to_the_last_bit(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 18, "val": 7})
    given = {"batch": 4, "deterministic": True, "device": "0,1", "amp": "off", "epochs": 2}
    run(data, tmp_path, "first", **given)
    run(data, tmp_path, "second", **given)
    assert differences(tmp_path / "first", tmp_path / "second") == []
