"""Weights of other classes: rows of equal names are carried over, all others are those of a fresh head."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch

from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.weights.class_names import match_names
from lehr.weights.safetensors_file import write_weights
from lehr.weights.transfer import Transfer, take_fitting_weights
from lehr.weights.write import describe_model, encode_weights, save_weights

FAMILIES = ("yolov8n", "yolov5n", "yolov3-spp")


def build(family: str, names: tuple[str, ...], seed: int) -> DetectionModel:
    """A small model whose tensors all differ from those of another seed, biases too."""
    model = build_model(family, names, 64, seed, width=0.125, depth=0.33)
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for parameter in model.head.parameters():
            parameter += torch.randn_like(parameter)
    return model


def transferred(
    family: str, then: tuple[str, ...], now: tuple[str, ...], folder: Path
) -> tuple[Transfer, list[DetectionModel]]:
    """The transfer, and three models: of the weights, as built, and with the weights taken."""
    weights, built, taken = build(family, then, 1), build(family, now, 2), build(family, now, 2)
    save_weights(weights, folder / "w.safetensors")
    return take_fitting_weights(taken, folder / "w.safetensors"), [weights, built, taken]


def class_layers(model: DetectionModel) -> list[str]:
    """The names of the last layers of the class scores, as the families' definitions have them."""
    layer = {"yolov8n": "model.22.cv3.{}.2", "yolov5n": "model.24.m.{}", "yolov3-spp": "model.28.m.{}"}[model.variant]
    return [f"{layer.format(level)}.{kind}" for level in range(3) for kind in ("weight", "bias")]


def expected_rows(model: DetectionModel, name: str, weights: DetectionModel) -> np.ndarray:
    """A class layer as one would fill it by hand, row after row."""
    fresh, other = model.state_dict()[name].double().numpy().copy(), weights.state_dict()[name].double().numpy()
    if model.variant == "yolov8n":
        for number, wanted in enumerate(model.names):
            if wanted in weights.names:
                fresh[number] = other[weights.names.index(wanted)]
        return fresh
    here, there = 5 + len(model.names), 5 + len(weights.names)
    for anchor in range(3):
        for column in range(5):
            fresh[anchor * here + column] = other[anchor * there + column]
        for number, wanted in enumerate(model.names):
            if wanted in weights.names:
                fresh[anchor * here + 5 + number] = other[anchor * there + 5 + weights.names.index(wanted)]
    return fresh


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize(
    ("then", "now", "carried"),
    [
        (("a", "b", "c"), ("c", "x", "a"), ("c", "a")),
        (("a", "b", "c"), ("x", "y", "z"), ()),
        (("a", "b", "c"), ("c", "a", "b"), ("c", "a", "b")),
        (("a", "b", "c", "d"), ("d",), ("d",)),
        (("b",), ("a", "b"), ("b",)),
    ],
)
def test_rows_of_equal_names_are_carried_over_and_the_others_are_fresh(
    family: str, then: tuple[str, ...], now: tuple[str, ...], carried: tuple[str, ...], tmp_path: Path
) -> None:
    transfer, (weights, built, taken) = transferred(family, then, now, tmp_path)
    assert (transfer.classes.by, transfer.classes.carried) == ("name", carried)
    layers, state = class_layers(taken), taken.state_dict()
    for name in layers:
        np.testing.assert_array_equal(state[name].double().numpy(), expected_rows(built, name, weights), err_msg=name)
    given = weights.state_dict()
    assert all(torch.equal(value, given[name]) for name, value in state.items() if name not in layers)
    untouched = 6 if family == "yolov8n" and not carried else 0
    assert transfer.total - transfer.taken == untouched


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_of_the_same_classes_are_taken_whole(family: str, tmp_path: Path) -> None:
    transfer, (weights, _, taken) = transferred(family, ("a", "b"), ("a", "b"), tmp_path)
    assert (transfer.classes.by, transfer.classes.carried, transfer.taken) == ("same", ("a", "b"), transfer.total)
    assert all(torch.equal(value, weights.state_dict()[name]) for name, value in taken.state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_weights_without_names_are_taken_by_place(family: str, tmp_path: Path) -> None:
    weights, model = build(family, ("a", "b"), 1), build(family, ("x", "y"), 2)
    metadata = describe_model(weights)
    for names in (None, json.dumps(None), json.dumps({"0": "a"})):
        without = {key: value for key, value in metadata.items() if key != "names"}
        without |= {"names": names} if names else {}
        write_weights(encode_weights(weights.state_dict(), without), tmp_path / "w.safetensors")
        transfer = take_fitting_weights(model, tmp_path / "w.safetensors")
        assert (transfer.classes.by, transfer.taken) == ("place", transfer.total)


def test_class_layers_of_another_width_start_fresh_whole(tmp_path: Path) -> None:
    many = tuple(f"class {number}" for number in range(80))  # the class branch of YOLOv8 widens with the classes
    transfer, (_, built, taken) = transferred("yolov8n", many, ("class 3", "class 7"), tmp_path)
    assert (transfer.classes.by, transfer.classes.carried) == ("shape", ())
    for name in class_layers(taken):
        assert torch.equal(taken.state_dict()[name], built.state_dict()[name])


def test_names_are_matched_as_one_would_by_hand() -> None:
    rng = np.random.default_rng(0)
    for _ in range(1_000):
        here, there = ([str(each) for each in rng.integers(0, 12, rng.integers(1, 9))] for _ in range(2))
        expected = {}
        for index, name in enumerate(here):
            for other, candidate in enumerate(there):
                if candidate == name:
                    expected[index] = other
                    break
        assert match_names(here, there) == expected


@pytest.mark.parametrize("family", FAMILIES)
def test_a_head_that_is_reset_has_fresh_classes_and_the_boxes_of_the_weights(family: str, tmp_path: Path) -> None:
    weights, built, taken = (build(family, ("a", "b"), seed) for seed in (1, 2, 2))
    save_weights(weights, tmp_path / "w.safetensors")
    transfer = take_fitting_weights(taken, tmp_path / "w.safetensors", reset_head=True)
    assert (transfer.classes.by, transfer.classes.carried, transfer.classes.fresh) == ("reset", (), ("a", "b"))
    given, fresh = weights.state_dict(), built.state_dict()
    for name, value in taken.state_dict().items():
        if family == "yolov8n":
            expected = fresh[name] if ".cv3." in name else given[name]
        elif name in class_layers(taken):  # three anchors of box, objectness and two classes
            rows = [given[name][row] if row % 7 < 5 else fresh[name][row] for row in range(21)]
            expected = torch.stack(rows)
        else:
            expected = given[name]
        assert torch.equal(value, expected), name


@pytest.mark.parametrize("count", [1, 2, 12])
@pytest.mark.parametrize("family", FAMILIES)
def test_biases_of_classes_that_begin_anew_are_those_of_the_new_count(family: str, count: int, tmp_path: Path) -> None:
    save_weights(build(family, tuple(f"old {number}" for number in range(5)), 1), tmp_path / "w.safetensors")
    model = build_model(family, tuple(map(str, range(count))), 64, 2, width=0.125, depth=0.33)
    take_fitting_weights(model, tmp_path / "w.safetensors")
    for name, stride in zip(class_layers(model)[1::2], (8, 16, 32), strict=True):
        bias = model.state_dict()[name]
        if family == "yolov8n":
            expected = math.log(5 / count / (640 / stride) ** 2)
            torch.testing.assert_close(bias, torch.full((count,), expected))
        else:
            expected = math.log(0.6 / (count - 0.99999))
            torch.testing.assert_close(bias.view(3, -1)[:, 5:], torch.full((3, count), expected), rtol=1e-4, atol=1e-4)


def test_weights_that_are_not_finite_are_no_start(tmp_path: Path) -> None:
    weights = build("yolov5n", ("a",), 1)
    with torch.no_grad():
        next(weights.parameters())[0] = torch.nan
    save_weights(weights, tmp_path / "w.safetensors")
    model = build("yolov5n", ("a",), 2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(InputError, match=r"w\.safetensors: model\.0\.conv\.weight holds numbers that are not finite"):
        take_fitting_weights(model, tmp_path / "w.safetensors")
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


@pytest.mark.parametrize(
    ("names", "known", "matched"),
    [
        (("Red Cell", "wbc"), ("WBC", "red-cell"), {0: 1, 1: 0}),
        (("rbc", "RBC"), ("Rbc",), {}),  # either could be meant
        (("rbc",), ("RBC", "Rbc"), {}),
        (("rbc", "RBC"), ("RBC", "Rbc"), {0: 1, 1: 0}),  # the exact one first; then one is left
        (("a_b", "c"), ("a  b", "d"), {0: 0}),
    ],
)
def test_names_written_otherwise_are_the_same_where_that_is_certain(
    names: tuple[str, ...], known: tuple[str, ...], matched: dict[int, int]
) -> None:
    assert match_names(names, known) == matched
