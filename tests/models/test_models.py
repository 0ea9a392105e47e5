"""Every family has the published parameters and names, and decodes to boxes; weights come back as they were saved."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from tests.conftest import SHARED

from lehr.errors import InputError
from lehr.models.build import anchor_head, build_model
from lehr.models.dfl_head import DFLPrediction, anchor_points, expected_distances
from lehr.weights.load import load_model, read_metadata
from lehr.weights.transfer import take_fitting_weights
from lehr.weights.write import save_weights

COCO_NAMES = tuple(f"class {i}" for i in range(80))
# Published totals at 80 classes.
TOTALS = {
    "yolov8n": 3157200,
    "yolov8s": 11166560,
    "yolov8m": 25902640,
    "yolov8l": 43691520,
    "yolov8x": 68229648,
    "yolov5n": 1872157,
    "yolov5s": 7235389,
    "yolov5m": 21190557,
    "yolov5l": 46563709,
    "yolov5x": 86749405,
    "yolov3-spp": 62998749,
}


@pytest.mark.parametrize("name", TOTALS)
def test_parameter_totals_are_the_published_ones(name: str) -> None:
    with torch.device("meta"):
        model = build_model(name, COCO_NAMES)
    assert sum(parameter.numel() for parameter in model.parameters()) == TOTALS[name]


@pytest.mark.golden
@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_names_and_shapes_are_those_of_published_checkpoints(name: str) -> None:
    path = SHARED / "facts" / "models.json"
    if not path.is_file():
        pytest.skip(f"no facts in {path}")
    facts = json.loads(path.read_text())
    assert {each: total for each, total in facts["total_parameters_nc80"].items() if each in TOTALS} == TOTALS
    with torch.device("meta"):
        state = build_model(name, COCO_NAMES).state_dict()
    ours = {key: list(value.shape) for key, value in state.items() if "num_batches_tracked" not in key}
    theirs = {key: shape for key, shape in facts["state_dict"][name].items() if "num_batches_tracked" not in key}
    assert ours == theirs


@pytest.mark.parametrize("name", ["yolov8n", "yolov5n", "yolov3-spp"])
def test_depth_and_width_build_scales_in_between(name: str, tmp_path: Path) -> None:
    def count(**scale: float) -> int:
        with torch.device("meta"):
            return sum(p.numel() for p in build_model(name, COCO_NAMES, **scale).parameters())

    assert count(width=0.25, depth=0.33) < count(width=0.3, depth=0.33) < count(width=0.3, depth=1.0)
    model = build_model(name, ("a", "b"), depth=0.5, width=0.125)
    save_weights(model, tmp_path / "w.safetensors")
    loaded = load_model(tmp_path / "w.safetensors")
    assert (loaded.scale.depth, loaded.scale.width) == (0.5, 0.125)
    assert loaded.state_dict().keys() == model.state_dict().keys()


@pytest.mark.parametrize("name", ["yolov5n", "yolov3-spp"])
def test_anchor_rows_decode_to_boxes_about_their_cells(name: str) -> None:
    model = build_model(name, ("a", "b"), width=0.125).eval()
    with torch.inference_mode():
        prediction = model(torch.rand(2, 3, 64, 96))
        boxes, scores = prediction.decode()
    rows = 3 * ((8 * 12) + (4 * 6) + (2 * 3))
    assert boxes.shape == (2, rows, 4) and scores.shape == (2, rows, 2)
    assert scores.max() < 0.2  # an untrained head is sure of nothing
    row = 3 * 96 + 1 * 24 + 2 * 6 + 5  # level of stride 16, second anchor, cell row 2, cell column 5
    raw = prediction.logits[0, row].double()
    twice = 2 / (1 + torch.exp(-raw[:4]))
    x, y = (twice[0] - 0.5 + 5) * 16, (twice[1] - 0.5 + 2) * 16
    w, h = twice[2] ** 2 * 62, twice[3] ** 2 * 45
    expected = torch.stack((x - w / 2, y - h / 2, x + w / 2, y + h / 2))
    torch.testing.assert_close(boxes[0, row].double(), expected, rtol=1e-5, atol=1e-4)
    probability = 1 / (1 + torch.exp(-raw[4:]))
    torch.testing.assert_close(scores[0, row].double(), probability[0] * probability[1:], rtol=1e-5, atol=1e-7)


def test_anchors_travel_with_the_weights_and_other_counts_can_be_had(tmp_path: Path) -> None:
    model = build_model("yolov5n", ("a",), width=0.125, anchors=2)
    head = anchor_head(model)
    assert head is not None and head.pixel_anchors.shape == (3, 2, 2)
    areas = head.pixel_anchors.flatten(0, 1).prod(1)
    assert (areas.diff() > 0).all()
    assert areas[[0, -1]].tolist() == pytest.approx([10 * 13, 373 * 326])
    new = torch.arange(1.0, 13).view(3, 2, 2) * 7
    head.set_anchors(new)
    save_weights(model, tmp_path / "w.safetensors")
    again = anchor_head(load_model(tmp_path / "w.safetensors"))
    assert again is not None
    torch.testing.assert_close(again.pixel_anchors, new)
    assert json.loads(read_metadata(tmp_path / "w.safetensors")["anchors"]) == new.tolist()
    assert anchor_head(build_model("yolov8n", ("a",))) is None


def test_output_has_a_row_for_each_cell_of_three_levels() -> None:
    model = build_model("yolov8n", ("a", "b")).eval()
    with torch.inference_mode():
        boxes, scores = model(torch.rand(2, 3, 64, 96)).decode()
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
    prediction = DFLPrediction(flat, torch.zeros(1, 1, 1), torch.tensor([[100.0, 60.0]]), torch.tensor([[8.0]]))
    boxes, scores = prediction.decode()
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
    model = build_model("yolov8n", ("x", "y", "z"), seed=2)
    transfer = take_fitting_weights(model, tmp_path / "w.safetensors")
    assert transfer.total - transfer.taken == 6  # weight and bias of three class layers
    assert not transfer.anchors
    given = build_model("yolov8n", ("a", "b"), seed=1).state_dict()
    assert torch.equal(model.state_dict()["model.0.conv.weight"], given["model.0.conv.weight"])
