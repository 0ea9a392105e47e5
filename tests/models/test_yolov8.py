"""YOLOv8 has the published parameters and names, and decodes to boxes."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.conftest import SHARED

from lehr.errors import InputError
from lehr.models.build import MODEL_NAMES, build_model
from lehr.models.weights import load_model, read_metadata, save_weights, take_fitting_weights
from lehr.models.yolov8 import Prediction, anchor_points, decode, expected_distances

COCO_NAMES = tuple(f"class {i}" for i in range(80))
# Published totals at 80 classes.
TOTALS = {"yolov8n": 3157200, "yolov8s": 11166560, "yolov8m": 25902640, "yolov8l": 43691520, "yolov8x": 68229648}


@pytest.mark.parametrize("name", MODEL_NAMES)
def test_parameter_totals_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, COCO_NAMES)
    assert sum(parameter.numel() for parameter in model.parameters()) == TOTALS[name]


@pytest.mark.golden
def test_totals_names_and_shapes_are_those_of_published_checkpoints() -> None:
    path = SHARED / "facts" / "models.json"
    if not path.is_file():
        pytest.skip(f"no facts in {path}")
    facts = json.loads(path.read_text())
    text = json.dumps(facts)
    for name, total in TOTALS.items():
        assert str(total) in text, name
    state = build_model("yolov8n", COCO_NAMES).state_dict()
    published = _names_of(facts, "yolov8n")
    ours = {name: list(value.shape) for name, value in state.items() if "num_batches_tracked" not in name}
    theirs = {name: shape for name, shape in published.items() if "num_batches_tracked" not in name}
    assert ours == theirs


def _names_of(facts: object, model: str) -> dict[str, list[int]]:
    """The mapping from parameter name to shape of a model, wherever the facts keep it."""
    if isinstance(facts, dict):
        if any(str(key).startswith("model.0.") for key in facts):
            return {str(key): list(value) for key, value in facts.items()}
        nested = [(key, value) for key, value in facts.items() if isinstance(value, dict)]
        for key, value in sorted(nested, key=lambda item: model not in str(item[0])):
            found = _names_of(value, model)
            if found and (model in str(key) or not any(model in str(other) for other, _ in nested)):
                return found
    return {}


def test_output_has_a_row_for_each_cell_of_three_levels() -> None:
    model = build_model("yolov8n", ("a", "b")).eval()
    with torch.inference_mode():
        boxes, scores = decode(model(torch.rand(2, 3, 64, 96)))
    cells = (8 * 12) + (4 * 6) + (2 * 3)
    assert boxes.shape == (2, cells, 4) and scores.shape == (2, cells, 2)
    assert (boxes[..., 2:] >= boxes[..., :2]).all()
    assert scores.max() < 0.05  # an untrained head is sure of nothing


def test_anchor_points_are_cell_centres() -> None:
    points, strides = anchor_points([(2, 3), (1, 1)], (8, 16), torch.device("cpu"))
    assert points.tolist() == [[4, 4], [12, 4], [20, 4], [4, 12], [12, 12], [20, 12], [8, 8]]
    assert strides.flatten().tolist() == [8] * 6 + [16]


def test_distances_are_the_mean_of_their_distribution_and_decode_to_pixels() -> None:
    logits = torch.full((1, 1, 4, 16), -30.0)
    for side, (low, high) in enumerate([(2, 3), (0, 0), (4, 4), (15, 15)]):
        logits[0, 0, side, low] = logits[0, 0, side, high] = 0
    flat = logits.view(1, 1, 64)
    torch.testing.assert_close(expected_distances(flat), torch.tensor([[[2.5, 0, 4, 15]]]))
    prediction = Prediction(flat, torch.zeros(1, 1, 1), torch.tensor([[100.0, 60.0]]), torch.tensor([[8.0]]))
    boxes, scores = decode(prediction)
    torch.testing.assert_close(boxes, torch.tensor([[[80.0, 60.0, 132.0, 180.0]]]))
    assert scores.item() == 0.5


def test_the_same_seed_gives_the_same_weights_and_leaves_the_global_generator_alone() -> None:
    before = torch.random.get_rng_state()
    one, two, other = (build_model("yolov8n", ("a",), seed=seed).state_dict() for seed in (1, 1, 2))
    assert torch.equal(before, torch.random.get_rng_state())
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert not all(torch.equal(one[name], other[name]) for name in one)


def test_an_unknown_model_is_refused_with_the_nearest_names() -> None:
    with pytest.raises(InputError, match=r"yolov8nn.*yolov8n"):
        build_model("yolov8nn", ("a",))


def test_weights_come_back_as_they_were_saved_with_what_is_needed_to_use_them(tmp_path: Path) -> None:
    model = build_model("yolov8n", ("köter", "cat"), imgsz=96, seed=4)
    save_weights(model, tmp_path / "w.safetensors", {"metrics": {"map": 0.5}})
    loaded = load_model(tmp_path / "w.safetensors")
    assert loaded.names == ("köter", "cat") and loaded.imgsz == 96 and loaded.variant == "yolov8n"
    assert not loaded.training
    state = model.state_dict()
    assert all(torch.equal(value, state[name]) for name, value in loaded.state_dict().items())
    assert json.loads(read_metadata(tmp_path / "w.safetensors")["metrics"]) == {"map": 0.5}
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_damaged_weights_are_refused_by_name(tmp_path: Path) -> None:
    model = build_model("yolov8n", ("a",))
    path = tmp_path / "w.safetensors"
    save_weights(model, path)
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(InputError, match=r"w\.safetensors"):
        load_model(path)
    with pytest.raises(InputError, match="no such weights"):
        load_model(tmp_path / "none.safetensors")


def test_weights_of_other_classes_give_all_layers_but_those_of_the_classes(tmp_path: Path) -> None:
    save_weights(build_model("yolov8n", ("a", "b"), seed=1), tmp_path / "w.safetensors")
    model = build_model("yolov8n", ("a", "b", "c"), seed=2)
    taken, total = take_fitting_weights(model, tmp_path / "w.safetensors")
    assert total - taken == 6  # weight and bias of three class layers
    given = build_model("yolov8n", ("a", "b"), seed=1).state_dict()
    assert torch.equal(model.state_dict()["model.0.conv.weight"], given["model.0.conv.weight"])
