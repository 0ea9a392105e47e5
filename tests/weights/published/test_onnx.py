"""ONNX exports come in where they kept their names; hostile ones are refused in one message, quickly."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
import torch
from tests.weights.published.onnx_files import field, node, tensor, varint, write_onnx
from tests.weights.published.published_files import with_statistics

from lehr import Detector
from lehr.cli.app import main
from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.weights.load import load_model, read_metadata
from lehr.weights.published.onnx_export import parse_names
from lehr.weights.source import open_weights

SMALL = {"yolov8n": 0.125, "yolov5n": 0.125, "yolov3-spp": 0.0625}
NAMES = ("crack", "it's", 'a "pore"')


def built(name: str) -> DetectionModel:
    depth = 0.25 if name == "yolov3-spp" else None
    return with_statistics(build_model(name, NAMES, imgsz=96, seed=3, width=SMALL[name], depth=depth))


@pytest.fixture(scope="module", params=SMALL)
def model(request: pytest.FixtureRequest) -> DetectionModel:
    return built(request.param)


@pytest.fixture(scope="module")
def yolov8() -> DetectionModel:
    return built("yolov8n")


def same_predictions(path: Path, model: DetectionModel, tolerance: float = 1e-4) -> None:
    images = torch.rand(1, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    with torch.inference_mode():
        wanted, found = model(images).decode(), load_model(path)(images).decode()
    torch.testing.assert_close(found, wanted, rtol=tolerance, atol=tolerance)


def refused(path: Path) -> str:
    with pytest.raises(InputError) as error:
        open_weights(path)
    text = str(error.value)
    assert text.startswith(f"{path}: ") and "\n" not in text
    return text


def test_an_export_predicts_as_the_model_before_batch_norm_was_merged(tmp_path: Path, model: DetectionModel) -> None:
    path = write_onnx(tmp_path / "x.onnx", model)
    same_predictions(path, model)
    source = open_weights(path)
    assert (source.details.names, source.details.imgsz) == (NAMES, 96)
    assert source.shapes == {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert "Ultralytics 8.4.0" in source.metadata["source"] and "AGPL-3.0" in source.metadata["source"]
    assert "merged" in source.notes[-1]


@pytest.mark.parametrize("prefix", ["", "model.model.", "module."])
def test_names_may_have_more_or_less_before_their_numbers(tmp_path: Path, yolov8: DetectionModel, prefix: str) -> None:
    path = write_onnx(tmp_path / "x.onnx", yolov8, rename=lambda name: prefix + name.removeprefix("model."))
    same_predictions(path, yolov8)


def test_numbers_may_be_packed_or_of_half_precision(tmp_path: Path, yolov8: DetectionModel) -> None:
    same_predictions(write_onnx(tmp_path / "packed.onnx", yolov8, packed=True), yolov8)
    same_predictions(write_onnx(tmp_path / "half.onnx", yolov8, half=True), yolov8, 2e-2)


def test_without_metadata_the_size_is_that_of_the_input(tmp_path: Path, yolov8: DetectionModel) -> None:
    source = open_weights(write_onnx(tmp_path / "x.onnx", yolov8, metadata={"names": "__import__('os')"}))
    assert (source.details.names, source.details.imgsz) == (("class0", "class1", "class2"), 96)
    assert any("no class names" in note for note in source.notes)


def test_the_command_writes_it_with_its_digest_and_a_detector_takes_it(tmp_path: Path, yolov8: DetectionModel) -> None:
    path = write_onnx(tmp_path / "x.onnx", yolov8)
    with pytest.raises(SystemExit) as end:
        main(["import", str(path), "--json", str(tmp_path / "x.json")])
    assert end.value.code == 0
    told = json.loads((tmp_path / "x.json").read_text())
    assert told["sha256"] in read_metadata(tmp_path / "x.safetensors")["source"]
    assert told["not_taken"] == ["task", "stride", "1 constant of the graph"]
    same_predictions(tmp_path / "x.safetensors", yolov8)
    assert Detector(path).model.names == NAMES


def test_anchors_are_those_of_the_export(tmp_path: Path) -> None:
    model = built("yolov5n")
    anchors = torch.arange(1.0, 19.0).view(3, 3, 2) * 7.3
    model.model[-1].set_anchors(anchors)  # type: ignore[operator]
    found = load_model(write_onnx(tmp_path / "x.onnx", model)).model[-1].pixel_anchors
    torch.testing.assert_close(found, anchors)


def test_anchors_that_are_not_there_are_not_guessed(tmp_path: Path) -> None:
    assert "anchors cannot be found" in refused(write_onnx(tmp_path / "x.onnx", built("yolov5n"), anchors=False))
    grid = torch.ones(1, 3, 1, 1, 2)
    extra = b"".join(field(5, tensor(f"/grid{level}", grid * (level + 1))) for level in range(3))
    path = write_onnx(tmp_path / "x.onnx", built("yolov5n"), anchors=False, extra=extra)
    assert "anchors cannot be found" in refused(path)


def test_names_that_were_optimised_away_are_refused_with_what_to_give(tmp_path: Path, yolov8: DetectionModel) -> None:
    path = write_onnx(tmp_path / "x.onnx", yolov8, rename=lambda name: f"onnx::Conv_{abs(hash(name))}")
    assert "optimised away" in refused(path) and "(.pt)" in refused(path)
    some = write_onnx(tmp_path / "y.onnx", yolov8, rename=lambda name: name.replace("model.3.conv.bias", "onnx::7"))
    assert "the bias of a convolution is named 'onnx::7'" in refused(some)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"strides": [1, 1]}, "stride of model.0.conv is (1, 1) in place of (2, 2)"),
        ({"pads": [0, 0, 1, 1]}, "padding of model.0.conv is (0, 0, 1, 1) in place of (1, 1)"),
        ({"dilations": [2, 2]}, "dilation of model.0.conv is (2, 2)"),
    ],
)
def test_another_architecture_is_refused_by_its_first_difference(
    tmp_path: Path, yolov8: DetectionModel, settings: dict[str, list[int]], words: str
) -> None:
    assert words in refused(write_onnx(tmp_path / "x.onnx", yolov8, settings=settings))


GRAPHS = {
    "another activation": (field(1, node("LeakyRelu", ["x"], "y")), "the activation LeakyRelu in place of SiLU"),
    "quantized": (field(1, node("QuantizeLinear", ["x"], "y")), "a quantized ONNX export"),
    "a layer more": (field(5, tensor("model.3.more.bias", torch.ones(3))), "model.3.more.bias [3] is there"),
    "a weight that nothing uses": (field(5, tensor("model.3.x.weight", torch.ones(1, 1, 1, 1))), "no convolution"),
    "twice the same": (field(5, tensor("model.0.conv.bias", torch.ones(8))), "holds model.0.conv.bias twice"),
    "whole numbers": (field(5, tensor("model.9.x.bias", torch.ones(3, dtype=torch.int8))), "as int8, where"),
    "external data": (
        field(5, field(1, 4) + field(2, 1) + field(8, "w") + field(13, field(1, "location") + field(2, "/etc/passwd"))),
        "keeps w in another file (/etc/passwd), and no other file is opened",
    ),
    "external by its place alone": (field(5, field(8, "w") + field(14, 1)), "keeps w in another file"),
    "a giant side": (field(5, field(1, 2**40) + field(2, 1) + field(8, "model.9.x.bias")), "has 0 bytes"),
    "giant sides": (field(5, field(1, 2**62) * 8 + field(2, 1) + field(8, "model.9.x.bias")), "has 0 bytes"),
    "nine sides": (field(5, field(1, 1) * 9 + field(8, "model.9.x.bias")), "has 9 sides"),
    "too long a name": (field(5, field(8, "n" * 10**6)), "a text of 1000000 bytes"),
    "a group": (bytes([5 << 3 | 3]), "damaged or cut off"),
    "a length beyond the file": (varint(5 << 3 | 2) + varint(2**40), "damaged or cut off"),
    "a number without an end": (b"\xff" * 100, "damaged or cut off"),
    "a text in place of a tensor": (field(5, 3), "damaged or cut off"),
    "millions of fields": (field(5, field(1, 1) * 2_000_000), "more than 500,000 fields"),
}


@pytest.mark.parametrize("case", GRAPHS)
def test_hostile_graphs_are_refused_quickly(tmp_path: Path, yolov8: DetectionModel, case: str) -> None:
    extra, words = GRAPHS[case]
    path = write_onnx(tmp_path / "x.onnx", yolov8, extra=extra)
    start = time.perf_counter()
    assert words in refused(path)
    assert time.perf_counter() - start < 2


def test_numbers_that_are_not_finite_are_refused(tmp_path: Path) -> None:
    broken = built("yolov8n")
    broken.model[0].bn.bias.data[0] = torch.nan  # type: ignore[union-attr, index]
    assert "not finite" in refused(write_onnx(tmp_path / "x.onnx", broken))


def deep(levels: int) -> bytes:
    """Graphs within attributes of nodes of graphs, as branches have them."""
    inner = b""
    for _ in range(levels):
        inner = field(1, field(5, field(6, inner)) + field(4, "If"))
    return inner


def test_graphs_within_graphs_are_not_followed(tmp_path: Path, yolov8: DetectionModel) -> None:
    same_predictions(write_onnx(tmp_path / "x.onnx", yolov8, extra=deep(2000)), yolov8)


def test_cut_off_files_are_refused_wherever_they_end(tmp_path: Path, yolov8: DetectionModel) -> None:
    data = write_onnx(tmp_path / "x.onnx", yolov8).read_bytes()
    graph = data[: data.index(b"imgsz")]
    for length in (1, 2, 5, 12, 20, len(graph) // 2, len(graph) - 40):
        (tmp_path / "cut.onnx").write_bytes(data[:length])
        assert "ONNX" in refused(tmp_path / "cut.onnx")


def test_what_holds_no_graph_or_several_is_refused(tmp_path: Path) -> None:
    for content, words in (
        (field(1, 8) + field(2, "pytorch"), "with no graph"),
        (field(1, 8) + field(7, b"") * 2, "with 2 graphs"),
        (field(1, 8) + field(7, b""), "without weights of layers"),
        (b"hello", "is not an ONNX export, though it is named like one"),
        (b"", "is empty"),
    ):
        (tmp_path / "x.onnx").write_bytes(content)
        assert words in refused(tmp_path / "x.onnx")
    assert "there is no such file" in refused(tmp_path / "missing.onnx")


@pytest.mark.parametrize(("task", "words"), [("segment", "is a segmentation model"), ("depth", "of the task depth")])
def test_other_tasks_are_refused_by_what_they_are(
    tmp_path: Path, yolov8: DetectionModel, task: str, words: str
) -> None:
    assert words in refused(write_onnx(tmp_path / "x.onnx", yolov8, metadata={"task": task}))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("{0: 'a', 1: \"it's\"}", {0: "a", 1: "it's"}),
        ("['a', 'b\\n\\x41', ]", ["a", "b\nA"]),
        ("{}", {}),
        ("{0: __import__('os')}", None),
        ("{0: 'a'", None),
        ("{0: 'a' 1: 'b'}", None),
        ("['a', 1: 'b']", None),
        ("['\\x']", None),
        ("(" * 100_000, None),
        ("[" * 100_000 + "]" * 100_000, None),
        ("['" + "\\\\" * 100_000 + "]", None),
    ],
)
def test_class_names_are_parsed_and_not_evaluated(text: str, names: object) -> None:
    assert parse_names(text) == names
