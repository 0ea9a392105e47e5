"""Faults that trainers had when they took weights along, each shown not to be here."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from tests.conftest import MakeYolo
from tests.engine.runs import run
from tests.engine.test_start_from_weights import LARGE, setup, weights_of
from tests.weights.published.test_published_goldens import CHECKPOINTS

from lehr.detector import Detector
from lehr.engine.setup import Setup
from lehr.models.build import build_model
from lehr.options import ScheduleOptions
from lehr.techniques.plan import TrainingPlan, plan_training
from lehr.weights.load import load_model
from lehr.weights.write import save_weights

FAMILIES = ("yolov8n", "yolov5n")


@pytest.fixture
def data(make_yolo: MakeYolo) -> str:
    """Two batches of 4, one of 2."""
    return str(make_yolo(counts={"train": 10, "val": 4}))


def first_losses(made: Setup) -> torch.Tensor:
    """The losses of the first batch: (parts,)."""
    batch, model = made.first_batch(), made.state.model.train()
    with torch.no_grad():
        losses: torch.Tensor = made.loss(model(batch.images.float() / 255), batch.boxes, batch.classes)
    return losses


@pytest.mark.parametrize("model", FAMILIES)
def test_classes_that_begin_anew_cost_no_more_than_a_fresh_head(model: str, data: str, tmp_path: Path) -> None:
    """Biases of 0 would call half of all places objects: many times the loss."""
    trained = build_model(model, tuple(f"old {number}" for number in range(7)), 64, 7, depth=0.01, width=0.0625)
    with torch.no_grad():
        for name, rows in trained.head.class_rows(7).items():
            if name.endswith("bias"):  # classes that are common there
                values = trained.head.state_dict()[name]
                values[[row for row, index in enumerate(rows) if index >= 0]] = 2.0
    save_weights(trained, tmp_path / "w.safetensors")
    fresh = first_losses(setup(data, tmp_path / "fresh", model=model))
    taken = setup(data, tmp_path / "taken", model=model, weights=tmp_path / "w.safetensors")
    assert (first_losses(taken) < 3 * fresh).all()
    head = taken.state.model.head
    for name in head.class_rows(2):
        if name.endswith("bias"):  # what a head is that nobody gave biases: classes, and with anchors objectness
            head.state_dict()[name].zero_()
    assert (first_losses(taken) > 3 * fresh).any()  # the bound can be failed


@pytest.mark.golden
@pytest.mark.skipif(not CHECKPOINTS.is_dir(), reason="no checkpoints beside the goldens: set LEHR_GOLDENS")
@pytest.mark.parametrize("model", FAMILIES)
def test_so_it_is_with_trained_weights_whose_features_are_large(model: str, data: str, tmp_path: Path) -> None:
    given = {"model": model, "width": None, "depth": None, "autoanchor": "off"}
    fresh = first_losses(setup(data, tmp_path / "fresh", **given))
    taken = first_losses(setup(data, tmp_path / "taken", **given, weights=CHECKPOINTS / f"{model}-bccd.pt"))
    assert taken.sum() < 3 * fresh.sum() and not torch.equal(taken, fresh)


@pytest.mark.parametrize("trained", [False, True])
@pytest.mark.parametrize("optimizer", ["auto", "SGD"])
def test_rates_do_not_depend_on_the_batch(optimizer: Any, trained: bool) -> None:
    def course(batch: int) -> TrainingPlan:
        options = ScheduleOptions(optimizer=optimizer)
        return plan_training(options, epochs=40, images=1920, batch=batch, classes=3, trained=trained)

    usual = course(16)
    for batch in (1, 4, 8, 32, 64):
        plan = course(batch)
        assert (plan.optimizer.name, plan.optimizer.lr0) == (usual.optimizer.name, usual.optimizer.lr0)
        for epoch in (0.5, 3, 10, 39) if trained else (4, 10, 39):  # a warmup from random weights has 100 steps
            now, then = (each.at(round(epoch * each.batches)) for each in (plan, usual))
            assert now.lr == pytest.approx(then.lr), (batch, epoch)


@pytest.mark.parametrize(
    ("model", "amp"),
    [
        ("yolov8n", "bf16"),
        ("yolov5n", "off"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in (("yolov8n", "off"), ("yolov5n", "bf16"))),
    ],
)
def test_layers_that_are_frozen_keep_every_number(model: str, amp: str, data: str, tmp_path: Path) -> None:
    weights = weights_of(tmp_path, model, ("large", "cat"))
    folder = run(data, tmp_path, "run", model=model, epochs=1, weights=weights, freeze="10", amp=amp, lr0=0.01).folder
    start, given = (load_model(path).state_dict() for path in (folder / "start.safetensors", weights))
    frozen = [name for name in start if name.startswith(tuple(f"model.{layer}." for layer in range(10)))]
    assert any("running_mean" in name for name in frozen) and any("num_batches" in name for name in frozen)
    for file in ("last.safetensors", "best.safetensors"):
        end = load_model(folder / file).state_dict()
        assert all(torch.equal(end[name], start[name]) and torch.equal(end[name], given[name]) for name in frozen)
        moved = [name for name in end if name not in frozen and not torch.equal(end[name], start[name])]
        assert any("running_mean" in name for name in moved)  # the others learn


def test_the_average_starts_as_the_start(data: str, tmp_path: Path) -> None:
    """That it goes on as it was, and not from the weights, is among the bytes of `test_kept_start.py`."""
    made = setup(data, tmp_path, weights=weights_of(tmp_path, names=("large", "cat"), anchors=LARGE))
    kept = load_model(tmp_path / "start.safetensors").state_dict()
    assert made.state.ema is not None and made.state.ema.updates == 0
    for state in (made.state.model.state_dict(), made.state.ema.model.state_dict()):
        assert state.keys() == kept.keys() and all(torch.equal(state[name], kept[name]) for name in kept)


def test_a_detector_trains_on_as_the_command_does(data: str, tmp_path: Path) -> None:
    names = ("Large", "cat")
    built = build_model("yolov5n", names, 64, 7, depth=0.01, width=0.0625, anchors=4)
    save_weights(built, tmp_path / "w.safetensors")
    given = {"imgsz": 64, "batch": 4, "epochs": 1, "device": "cpu", "amp": "off", "autoanchor": "off"}
    detector = Detector(tmp_path / "w.safetensors", device="cpu")
    result = detector.train(data=data, **given, project=tmp_path, name="detector", verbose=False)  # type: ignore[arg-type]
    more = {"model": "yolov5n", "anchors": 4, "close_mosaic": None, "weights": tmp_path / "w.safetensors"}
    other = run(data, tmp_path, "command", **{**given, **more})
    for file in ("start.safetensors", "last.safetensors"):
        states = [load_model(each.folder / file).state_dict() for each in (result, other)]
        assert all(torch.equal(states[0][name], states[1][name]) for name in states[1])
    assert load_model(result.folder / "start.safetensors").head.anchors.shape == (3, 4, 2)
    assert detector.names == ("small", "large")
