"""An export that agrees with its model gets a certificate; of one that is broken on purpose the place is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from tests.backends.tiny import SIDE, Tiny, metadata, onnx_model, write_onnx, write_openvino, write_program
from tests.conftest import MakeYolo

from lehr.backends.exported_network import ExportedNetwork
from lehr.backends.load import open_export
from lehr.export import certificate
from lehr.export.agreement import Agreement
from lehr.export.certificate import Certificate, ExportMismatch, certificate_path, certify
from lehr.export.latency import measure_latency
from lehr.export.tolerance import TOLERANCES
from lehr.weights.export_metadata import KEY, Suppression

pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
pytest.importorskip("openvino")

ROUNDS = 2


@pytest.fixture
def data(make_yolo: MakeYolo) -> str:
    return str(make_yolo(counts={"train": 30, "val": 5}))


def certified(path: Path, data: str, model: Tiny | None = None) -> Certificate:
    network = open_export(path)
    assert isinstance(network, ExportedNetwork)
    return certify(model or Tiny(), network, data, rounds=ROUNDS)


@pytest.mark.parametrize("write", [write_onnx, write_openvino, write_program])
def test_an_export_that_agrees_passes(write: Callable[..., Path], data: str, tmp_path: Path) -> None:
    names = {write_onnx: "tiny.onnx", write_openvino: "tiny", write_program: "tiny.pt2"}
    path = write(Tiny(), tmp_path / names[write])
    found = certified(path, data)
    found.require()
    assert found.passed and found.parting is None and found.images == 32
    assert found.agreement.boxes is not None and found.agreement.boxes < 1e-3
    assert found.agreement.detections == found.agreement.found > 0 == found.agreement.unmatched
    found.write(certificate_path(path))
    read = json.loads(certificate_path(path).read_text())
    assert read["passed"] and read["images"] == 32 and read["map50"]["model"] == read["map50"]["export"] is not None
    assert read["latency_ms"]["export"]["median"] > 0 and read["bytes"]["export"] > 1000
    assert any("27 training images join them" in line for line in found.describe())


@pytest.mark.parametrize(("own", "other", "told"), [(0.0013, 0.0016, False), (0.5, 0.5003, True), (0.009, 0.02, True)])
def test_map_is_compared_once_there_is_some(own: float, other: float, told: bool) -> None:
    sides = tuple(SimpleNamespace(map50=value, map=value) for value in (own, other))
    reasons = certificate.reasons_outside(Agreement(metrics=sides), TOLERANCES["float32"])  # type: ignore[arg-type]
    assert [line.split()[0] for line in reasons] == (["mAP50", "mAP50-95"] if told else [])


def broken(path: Path, change: Callable[[Any, dict[str, Any]], None], **changed: Any) -> Path:
    """Write the model with something else in its graph."""
    from onnx import numpy_helper

    made = onnx_model(Tiny(), **changed)
    tensors = {each.name: each for each in made.graph.initializer}
    values = {name: numpy_helper.to_array(each).copy() for name, each in tensors.items()}
    change(made.graph, values)
    for name, value in values.items():
        tensors[name].CopyFrom(numpy_helper.from_array(value, name))
    path.write_bytes(made.SerializeToString())
    return path


def scaled(layer: int) -> Callable[[Any, dict[str, Any]], None]:
    def change(graph: Any, values: dict[str, Any]) -> None:
        values[f"detector.model.{layer}.weight"] *= 1.01

    return change


def swapped_weight(graph: Any, values: dict[str, Any]) -> None:
    values["detector.model.0.weight"] = values["detector.model.0.weight"][:, ::-1].copy()


def swapped_input(graph: Any, values: dict[str, Any]) -> None:
    import numpy as np
    from onnx import helper, numpy_helper

    graph.initializer.append(numpy_helper.from_array(np.array([2, 1, 0]), "order"))
    graph.node.insert(0, helper.make_node("Gather", ["images", "order"], ["swapped"], axis=1))
    graph.node[1].input[0] = "swapped"


def other_activation(graph: Any, values: dict[str, Any]) -> None:
    graph.node[1].op_type = "Tanh"


def other_decoding(graph: Any, values: dict[str, Any]) -> None:
    values["centres"] += 1


BROKEN: dict[str, tuple[Callable[[Any, dict[str, Any]], None], dict[str, Any], str, str, str]] = {
    "a weight": (scaled(2), {}, "network", "model.2", "its weight is 1.01 times that of the model"),
    "the first weight": (scaled(0), {}, "network", "model.0", "its weight is 1.01 times that of the model"),
    "colours in the weight": (swapped_weight, {}, "input, order of the colours", "", "blue, green, red"),
    "colours of the input": (swapped_input, {}, "input, order of the colours", "", "blue, green, red"),
    "padding": (
        lambda graph, values: None,
        {"padding": 0},
        "input, padding",
        "",
        "pads images with 0, the model with 114",
    ),
    "range": (lambda graph, values: None, {"scale": 1.0}, "input, range", "", "takes 255 times the values"),
    "an activation": (other_activation, {}, "network", "model.2", "what lies between model.0 and it is at fault"),
    "decoding": (other_decoding, {}, "decoding", "", "the boxes differ by 1"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_of_a_broken_export_the_place_is_named(kind: str, data: str, tmp_path: Path) -> None:
    change, changed, stage, layer, what = BROKEN[kind]
    found = certified(broken(tmp_path / "tiny.onnx", change, **changed), data)
    assert not found.passed and found.parting is not None
    assert (found.parting.stage, found.parting.layer) == (stage, layer)
    assert what in found.parting.what
    with pytest.raises(ExportMismatch, match="does not compute what tiny does, and is not kept"):
        found.require()


def test_a_layer_is_named_in_openvino_and_in_torch(data: str, tmp_path: Path) -> None:
    model = Tiny()
    model.model[2].weight.data *= 1.01
    for path in (write_openvino(model, tmp_path / "tiny"), write_program(model, tmp_path / "tiny.pt2")):
        found = certified(path, data).parting
        assert found is not None and (found.stage, found.layer) == ("network", "model.2")


def test_suppression_within_is_compared_as_detections(data: str, tmp_path: Path) -> None:
    from lehr.export.suppression import with_suppression

    own = Suppression(conf=0.2, iou=0.5, max_det=20)
    for inside, passes in ((own, True), (Suppression(conf=0.2, iou=0.01, max_det=20), False)):
        proto = with_suppression(onnx_model(Tiny()), inside, 2)
        del proto.metadata_props[:]
        entry = proto.metadata_props.add()
        entry.key, entry.value = KEY, metadata(nms=own).to_json()
        (tmp_path / "tiny.onnx").write_bytes(proto.SerializeToString())
        found = certified(tmp_path / "tiny.onnx", data)
        assert found.agreement.boxes is None and found.agreement.detections > 0
        assert found.passed is passes, found.reasons
        assert passes or (found.parting is not None and found.parting.stage == "suppression")


def test_latency_is_measured_in_turns() -> None:
    turns: list[str] = []

    class Watched(Tiny):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        def forward(self, images: torch.Tensor) -> Any:
            turns.append(self.name)
            return super().forward(images)

    found = measure_latency([Watched("a"), Watched("b")], [torch.zeros(1, 3, SIDE, SIDE)], rounds=4)
    assert turns == ["a", "b"] * 7 and all(0 < each.median <= each.p95 for each in found)
