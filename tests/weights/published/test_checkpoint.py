"""Checkpoints of YOLOv5, YOLOv8 and YOLOv3-SPP come in whole: family, scale, names, size and every tensor."""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import pytest
import torch
from tests.weights.published.published_files import (
    published_classes,
    published_module,
    with_statistics,
    write_published,
)
from torch import nn

from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.weights.load import load_model
from lehr.weights.source import open_weights

SMALL = {"yolov8n": 0.125, "yolov5n": 0.125, "yolov3-spp": 0.0625}


@pytest.fixture(scope="module", params=SMALL)
def model(request: pytest.FixtureRequest) -> DetectionModel:
    depth = 0.25 if request.param == "yolov3-spp" else None
    names = ("crack", "pore", "rust")
    built = build_model(request.param, names, imgsz=96, seed=3, width=SMALL[request.param], depth=depth)
    return with_statistics(built)


def spread(cases: Collection[Any]) -> Any:
    """Each case with one of the models in turn, and with the others in the slow suite."""
    models = list(SMALL)
    return pytest.mark.parametrize(
        ("model", "case"),
        [
            pytest.param(model, case, marks=() if model == models[number % len(models)] else pytest.mark.slow)
            for number, case in enumerate(cases)
            for model in models
        ],
        indirect=["model"],
    )


def same_weights(loaded: DetectionModel, model: DetectionModel) -> None:
    given, own = loaded.state_dict(), model.state_dict()
    assert list(given) == list(own)
    for name, tensor in own.items():
        assert given[name].dtype == tensor.dtype
        assert torch.equal(given[name], tensor.half().float() if tensor.is_floating_point() else tensor), name


def test_a_finished_checkpoint_is_the_model_it_was_written_from(tmp_path: Path, model: DetectionModel) -> None:
    loaded = load_model(write_published(tmp_path / "w.pt", model))
    same_weights(loaded, model)
    assert (loaded.names, loaded.imgsz) == (model.names, 96)
    assert loaded.variant == model.variant and not loaded.training
    source = open_weights(tmp_path / "w.pt")
    assert source.notes[0].endswith("3 classes, 96 pixels, EMA weights, read without running anything in it.")


def test_of_a_checkpoint_in_the_middle_of_a_training_the_average_is_taken(
    tmp_path: Path, model: DetectionModel
) -> None:
    scale = {"width": model.scale.width, "depth": model.scale.depth}
    other = with_statistics(build_model(model.variant, model.names, seed=9, **scale), 5)
    optimizer = {"state": {0: {"momentum_buffer": torch.ones(3)}}, "param_groups": [{"lr": 0.1}]}
    path = write_published(tmp_path / "w.pt", other, ema=model, entries={"optimizer": optimizer}, half=False)
    loaded = load_model(path)
    taken = loaded.state_dict()
    assert all(torch.equal(taken[name], value) for name, value in model.state_dict().items())
    assert "EMA weights of epoch 12 of 20" in open_weights(path).notes[0]


PREFIXES = ("", "model.", "module.", "module.model.", "model.model.", "_orig_mod.model.")
KEYS = (None, "state_dict", "model", "ema")
PAIRS = [
    pytest.param(prefix, key, marks=() if number % len(KEYS) == KEYS.index(key) else pytest.mark.slow)
    for number, prefix in enumerate(PREFIXES)
    for key in KEYS
]
"""Each prefix with one key, so that each key has its turn; with all of them in the slow suite."""


@pytest.mark.parametrize(("prefix", "key"), PAIRS)
def test_tensors_alone_are_taken_whatever_stands_before_their_numbers(
    tmp_path: Path, model: DetectionModel, prefix: str, key: str | None
) -> None:
    own = model.state_dict()
    state = OrderedDict((prefix + name.removeprefix("model."), value) for name, value in own.items())
    torch.save(state if key is None else {"epoch": 3, key: state}, tmp_path / "w.pth")
    source = open_weights(tmp_path / "w.pth")
    assert all(torch.equal(value, own[name]) for name, value in source.read(source.shapes).items())
    assert source.details.names == ("class0", "class1", "class2") and source.details.imgsz == 640
    assert any("no class names" in note for note in source.notes) and any("640" in note for note in source.notes)
    assert len(load_model(tmp_path / "w.pth").names) == 3


WRAPPED: dict[str, Callable[[nn.Module], Any]] = {
    "a module alone": lambda module: module,
    "a data-parallel module": lambda module: {"model": nn.DataParallel(module)},
    "a module beside options in a namespace": lambda module: {
        "model": module,
        "opt": argparse.Namespace(imgsz=[96, 64], epochs=3),
    },
}


@spread(WRAPPED)
def test_a_module_is_found_in_any_form(tmp_path: Path, model: DetectionModel, case: str) -> None:
    loaded = load_model(write_published(tmp_path / "w.pt", model, wrap=WRAPPED[case]))
    same_weights(loaded, model)
    assert loaded.names == model.names and loaded.imgsz == (96 if "namespace" in case else 640)


@spread([["crack", "pore", "rust"], ("crack", "pore", "rust"), {0: "crack", 1: "pore", 2: "rust"}])
def test_class_names_stand_as_a_list_or_by_number(tmp_path: Path, model: DetectionModel, case: Any) -> None:
    assert load_model(write_published(tmp_path / "w.pt", model, names=case)).names == model.names


def test_merged_batch_norm_predicts_as_before(tmp_path: Path, model: DetectionModel) -> None:
    merged: OrderedDict[str, torch.Tensor] = OrderedDict()
    state = model.state_dict()
    for name, tensor in state.items():
        if ".bn." not in name:
            merged[name] = tensor
        if (block := name.removesuffix("bn.weight")) != name:
            factor = tensor / (state[f"{block}bn.running_var"] + 1e-3).sqrt()
            merged[f"{block}conv.weight"] = state[f"{block}conv.weight"] * factor[:, None, None, None]
            merged[f"{block}conv.bias"] = state[f"{block}bn.bias"] - state[f"{block}bn.running_mean"] * factor
    torch.save(merged, tmp_path / "w.pt")
    images = torch.rand(1, 3, 64, 96)
    with torch.inference_mode():
        wanted, found = model(images).decode(), load_model(tmp_path / "w.pt")(images).decode()
    torch.testing.assert_close(found, wanted, rtol=1e-4, atol=1e-4)
    assert "merged" in open_weights(tmp_path / "w.pt").notes[-1]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        open_weights(path)
    assert str(caught.value).startswith(f"{path}: ")
    return str(caught.value)


def _set(path: str, **values: Any) -> Callable[[nn.Module], object]:
    return lambda module: [setattr(module.get_submodule(path), name, value) for name, value in values.items()]


def _replace(path: str, layer: nn.Module) -> Callable[[nn.Module], object]:
    return lambda module: module.set_submodule(path, layer)


CHANGES: dict[str, tuple[Callable[[nn.Module], object], str]] = {
    "stride": (_set("model.1.conv", stride=(1, 1)), "stride of model.1.conv is (1, 1) in place of (2, 2)"),
    "dilation": (_set("model.1.conv", dilation=(2, 2)), "dilation of model.1.conv"),
    "padding": (_set("model.1.conv", padding=(0, 0)), "padding of model.1.conv is (0, 0) in place of (1, 1)"),
    "epsilon": (_set("model.3.bn", eps=1e-5), "eps of model.3.bn is 1e-05 in place of 0.001"),
    "activation": (
        _replace("model.1.act", nn.LeakyReLU(0.1)),
        "the activation model.1.act is LeakyReLU in place of SiLU",
    ),
    "input": (_set("model.3", f=-2), "model.3 takes its input from 1 in place of 2"),
    "strides": (lambda module: setattr(module.model[-1], "stride", torch.tensor([4.0, 8, 16])), "strides 4, 8, 16"),
    "a layer more": (
        lambda module: module.get_submodule("model.1").add_module("drop", nn.PReLU()),
        "model.1.drop.weight [1] is there",
    ),
}


@spread(CHANGES)
def test_what_computes_otherwise_is_refused_by_its_first_difference(
    tmp_path: Path, model: DetectionModel, case: str
) -> None:
    change, message = CHANGES[case]
    assert message in refused(write_published(tmp_path / "w.pt", model, change=change))


def test_a_shortcut_and_a_resampling_are_compared(tmp_path: Path) -> None:
    model = with_statistics(build_model("yolov8n", ("a",), width=0.125))
    path = write_published(tmp_path / "w.pt", model, change=_set("model.2.m.0", add=False))
    assert "model.2.m.0 has no shortcut around it" in refused(path)
    path = write_published(tmp_path / "w.pt", model, change=_set("model.10", mode="bilinear"))
    assert "mode of model.10 is 'bilinear' in place of 'nearest'" in refused(path)
    path = write_published(tmp_path / "w.pt", model, change=_set("model.9.m", kernel_size=7))
    assert "kernel_size of model.9.m is 7 in place of 5" in refused(path)


def _edited(model: DetectionModel, edit: Callable[[dict[str, torch.Tensor]], object]) -> dict[str, torch.Tensor]:
    state = {name: value.clone() for name, value in model.state_dict().items()}
    edit(state)
    return state


EDITS: dict[str, tuple[Callable[[dict[str, torch.Tensor]], object], str]] = {
    "missing": (lambda state: state.pop("model.5.bn.bias"), "model.5.bn.bias [64] is missing"),
    "additional": (
        lambda state: state.update({"model.5.gamma": torch.ones(2)}),
        "model.5.gamma [2] is there, which it does not have",
    ),
    "shape": (
        lambda state: state.update({"model.9.cv1.conv.weight": torch.ones(8, 128, 1, 1)}),
        "model.9.cv1.conv.weight is [8, 128, 1, 1] in place of [64, 128, 1, 1]",
    ),
    "channels": (
        lambda state: state.update({"model.5.conv.weight": torch.ones(72, 32, 3, 3)}),
        "model.5.conv.weight is [72, 32, 3, 3] in place of [64, 32, 3, 3]",
    ),
    "outside": (lambda state: state.update({"logit_scale": torch.ones(1)}), "a tensor outside of the layers"),
    "bins": (lambda state: state["model.22.dfl.conv.weight"].mul_(2), "has other bins of distances than 0 to 15"),
    "not finite": (lambda state: state["model.0.conv.weight"].view(-1)[0].fill_(torch.nan), "not finite"),
    "negative variance": (
        lambda state: state["model.3.bn.running_var"].fill_(-1),
        "predicts numbers that are not finite",
    ),
    "integers": (
        lambda state: state.update({"model.0.conv.weight": torch.ones(8, 3, 3, 3, dtype=torch.int64)}),
        "where weights are floating",
    ),
}


@pytest.mark.parametrize("case", EDITS)
def test_each_tensor_is_accounted_for(tmp_path: Path, case: str) -> None:
    edit, message = EDITS[case]
    model = with_statistics(build_model("yolov8n", ("a", "b"), width=0.125, depth=0.33))
    torch.save(_edited(model, edit), tmp_path / "w.pt")
    assert message in refused(tmp_path / "w.pt")


def test_names_of_another_count_than_the_head_has_are_refused(tmp_path: Path, model: DetectionModel) -> None:
    assert "names 2 classes, but its head has 3" in refused(write_published(tmp_path / "w.pt", model, names=["a", "b"]))


def test_anchors_of_a_file_are_those_of_the_model(tmp_path: Path) -> None:
    model = with_statistics(build_model("yolov5n", ("a",), width=0.125, anchors=4))
    loaded = load_model(write_published(tmp_path / "w.pt", model, half=False))
    assert torch.equal(loaded.state_dict()["model.24.anchors"], model.state_dict()["model.24.anchors"])
    details = open_weights(tmp_path / "w.pt").details
    assert details.anchors is not None and details.anchors_a_level == 4


def test_content_that_is_no_model_is_named(tmp_path: Path) -> None:
    for content, message in (
        ([1, 2], "holds no model, but a list"),
        ({"epoch": 3, "lr": 0.1}, "it holds epoch, lr"),
        ({"conv1.weight": torch.ones(2), "fc.bias": torch.ones(1)}, "it holds conv1.weight, fc.bias"),
        ({"state_dict": {"conv1.weight": torch.ones(2)}}, "whose layers are numbered; the first is conv1.weight"),
        (torch.ones(2), "a single tensor"),
    ):
        torch.save(content, tmp_path / "w.pt")
        assert message in refused(tmp_path / "w.pt")
    torch.save({"model": nn.Linear(2, 2)}, tmp_path / "w.pt")
    assert "whose layers are not numbered" in refused(tmp_path / "w.pt")


def test_published_modules_are_written_by_names_alone(tmp_path: Path, model: DetectionModel) -> None:
    with published_classes() as named:
        module = published_module(model, named)
        assert type(module).__module__ in ("ultralytics.nn.tasks", "models.yolo")
        assert set(module.state_dict()) == set(model.state_dict())
