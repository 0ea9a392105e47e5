"""The backbone's layers learn at a multiple of the rates: against float64 arithmetic, and in a run."""

from __future__ import annotations

import statistics
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import MakeYolo
from tests.engine.runs import resume, run, stopped_run

from lehr.checkpoint.format import read_checkpoint
from lehr.errors import InputError
from lehr.models.blocks import SPP, SPPF
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.options import ScheduleOptions
from lehr.techniques.auto import choose_optimizer
from lehr.techniques.freezing import freeze
from lehr.techniques.layer_rates import backbone_parameters, describe_backbone
from lehr.techniques.optimizer import build_optimizer, set_rates
from lehr.techniques.plan import COLUMNS, plan_training, write_csv
from lehr.weights.load import load_model

NAMES = ("a", "b")


def small(name: str = "yolov8n") -> DetectionModel:
    return build_model(name, NAMES, 64, depth=0.01, width=0.125)


@pytest.mark.parametrize(("name", "count"), [("yolov8n", 10), ("yolov5n", 10), ("yolov3-spp", 11)])
def test_the_backbone_is_all_layers_down_to_stride_32(name: str, count: int) -> None:
    model = small(name)
    assert model.backbone_layers == count
    pooling = [number for number, layer in enumerate(model.model) if isinstance(layer, SPP | SPPF)]
    assert (
        pooling == [9] if name != "yolov3-spp" else pooling == [12]
    )  # Darknet-53 ends before the pooling's own layers
    of_layers = {int(each.split(".")[1]) for each in backbone_parameters(model)}
    assert of_layers == set(range(count))


@pytest.mark.parametrize("name", ["SGD", "AdamW"])
def test_steps_are_those_of_the_formula_at_a_thousand_random_gradients(name: str) -> None:
    rng, model = np.random.default_rng(0), small().double()
    weights = {  # one weight of a kind, within the backbone and behind it
        "model.0.conv.weight": 0.3,
        "model.0.bn.weight": 0.3,
        "model.0.bn.bias": 0.3,
        "model.12.cv1.conv.weight": 1.0,
        "model.12.cv1.bn.weight": 1.0,
        "model.22.cv2.0.2.bias": 1.0,
    }
    parameters = dict(model.named_parameters())
    choice = choose_optimizer(name, classes=2, images=1, epochs=1)
    optimizer = build_optimizer(model, choice, 0.01, backbone_parameters(model), 0.3)
    value = {each: float(parameters[each].flatten()[0].detach()) for each in weights}
    first, second = dict.fromkeys(weights, 0.0), dict.fromkeys(weights, 0.0)
    for step in range(1, 1001):
        rates, momentum = rng.uniform(1e-4, 1e-2, 3), 0.9
        set_rates(optimizer, tuple(map(float, rates)), momentum)
        for each, multiple in weights.items():
            gradient = float(rng.normal())
            parameters[each].grad = torch.zeros_like(parameters[each])
            parameters[each].grad.view(-1)[0] = gradient
            kind = 2 if each.endswith("bias") else 1 if "bn" in each else 0
            rate, decay = float(rates[kind]) * multiple, 0.01 if kind == 0 else 0.0
            if name == "SGD":
                gradient += decay * value[each]
                first[each] = gradient if step == 1 else momentum * first[each] + gradient
                value[each] -= rate * (gradient + momentum * first[each])
            else:
                value[each] *= 1 - rate * decay
                first[each] = momentum * first[each] + (1 - momentum) * gradient
                second[each] = 0.999 * second[each] + 0.001 * gradient**2
                mean, square = first[each] / (1 - momentum**step), second[each] / (1 - 0.999**step)
                value[each] -= rate * mean / (square**0.5 + 1e-8)
        optimizer.step()
        for each in weights:
            assert float(parameters[each].flatten()[0].detach()) == pytest.approx(value[each], rel=1e-9, abs=1e-12)


def test_off_leaves_three_groups_and_on_has_each_parameter_once() -> None:
    model = small("yolov5n")
    choice = choose_optimizer("SGD", classes=2, images=1, epochs=1)
    off = build_optimizer(model, choice, 0.1)
    assert [sorted(group) for group in off.param_groups] == [
        sorted({*group} - {"lr_mult"}) for group in off.param_groups
    ]
    assert len(off.param_groups) == 3
    on = build_optimizer(model, choice, 0.1, backbone_parameters(model), 0.1)
    assert [group.get("lr_mult", 1.0) for group in on.param_groups] == [1, 1, 1, 0.1, 0.1, 0.1]
    assert [group["weight_decay"] for group in on.param_groups] == [0.1, 0, 0, 0.1, 0, 0]
    listed = [id(parameter) for group in on.param_groups for parameter in group["params"]]
    assert sorted(listed) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)


def test_a_frozen_backbone_is_told_and_what_is_left_of_it_is_multiplied() -> None:
    model, choice = small(), choose_optimizer("SGD", classes=2, images=1, epochs=1)
    freeze(model, "4")
    optimizer = build_optimizer(model, choice, 0.1, backbone_parameters(model), 0.1)
    assert len(optimizer.param_groups) == 6 and "learn at 0.1 times" in describe_backbone(model, 0.1)
    freeze(model, "10")
    optimizer = build_optimizer(model, choice, 0.1, backbone_parameters(model), 0.1)
    assert len(optimizer.param_groups) == 3 and "no effect: --freeze" in describe_backbone(model, 0.1)


def test_a_family_that_names_no_backbone_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    model = small()
    monkeypatch.setattr(type(model), "backbone_layers", 0)
    with pytest.raises(InputError, match="yolov8n does not declare which layers are its backbone"):
        backbone_parameters(model)


@pytest.mark.parametrize("warmup", ["gradual", "cosine", "none"])
def test_the_plan_has_the_backbone_s_rate_in_every_step(warmup: str, tmp_path: Path) -> None:
    options = ScheduleOptions.model_validate({"backbone_lr_mult": 0.25, "warmup": warmup, "optimizer": "SGD"})
    made = plan_training(options, epochs=20, images=205, batch=16, classes=3)
    plain = plan_training(
        options.model_copy(update={"backbone_lr_mult": 1.0}), epochs=20, images=205, batch=16, classes=3
    )
    for step in range(made.steps):
        assert made.at(step).lr == plain.at(step).lr
        assert made.at(step).by_group(0.5)["backbone"] == pytest.approx(0.125 * plain.at(step).lr_weights, rel=1e-12)
        assert "backbone" not in plain.at(step).by_group()
    assert "backbone" in made.table().splitlines()[0] and "backbone" not in plain.table()
    for each, columns in ((made, (*COLUMNS[:5], "lr_backbone", *COLUMNS[5:])), (plain, COLUMNS)):
        write_csv(each, tmp_path / "rates.csv")
        assert (tmp_path / "rates.csv").read_text().splitlines()[0] == ",".join(columns)


@pytest.mark.parametrize("seed", [0, pytest.param(1, marks=pytest.mark.slow)])
def test_in_a_run_the_backbone_hardly_moves_and_going_on_is_exact(
    seed: int, make_yolo: MakeYolo, tmp_path: Path
) -> None:
    data = make_yolo(counts={"train": 8, "val": 4})
    options = {"backbone_lr_mult": 1e-9, "seed": seed, "epochs": 2, "ema_decay": 0.0, "optimizer": "SGD"}
    options |= {"warmup": "none", "nominal_batch": 4}
    whole = run(data, tmp_path, "whole", **options)
    folder = stopped_run(data, tmp_path, "stopped", 1, **options)
    groups = read_checkpoint(folder / "last.ckpt").content["state"]["optimizer"]["param_groups"]
    assert [group.get("lr_mult") for group in groups] == [None] * 3 + [1e-9] * 3
    resume(folder)
    assert (folder / "last.safetensors").read_bytes() == whole.last.read_bytes()
    start = dict(build_model("yolov8n", ("small", "large"), 64, seed, depth=0.01, width=0.0625).named_parameters())
    end = dict(load_model(whole.last).named_parameters())
    moved = {
        name: float((end[name] - start[name]).abs().max().detach()) for name in end if name.endswith("conv.weight")
    }
    assert max(value for name, value in moved.items() if int(name.split(".")[1]) < 10) < 1e-7
    assert statistics.median(value for name, value in moved.items() if int(name.split(".")[1]) >= 10) > 1e-6
