"""Every export of a trained detector passes on each validation image of BCCD; a broken layer of it is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.conftest import SHARED

from lehr.backends.load import open_export
from lehr.detector import Detector
from lehr.export.certificate import certify

DATA, WEIGHTS = SHARED / "data" / "bccd", SHARED / "checkpoints" / "yolov8n-bccd.pt"

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA.is_dir() and WEIGHTS.is_file()), reason="no BCCD beside the repository"),
]
KINDS: list[tuple[str, str, dict[str, Any]]] = [
    ("onnx", "x.onnx", {}),
    ("openvino", "x_openvino", {}),
    ("torch", "x.pt2", {}),
    ("openvino", "x_openvino", {"int8": True}),
]


@pytest.mark.parametrize(("kind", "name", "how"), KINDS)
def test_it_agrees_on_every_image(kind: str, name: str, how: dict[str, Any], tmp_path: Path) -> None:
    detector = Detector.load(WEIGHTS, device="cpu")
    detector.export(kind, out=tmp_path / name, imgsz=320, data=DATA, **how)
    found = detector.certificate
    assert found is not None and found.passed and found.images == 87 and found.agreement.metrics is not None
    own, other = found.agreement.metrics
    assert own.map50 is not None and other.map50 is not None and own.map is not None and other.map is not None
    if how:
        assert own.map50 - other.map50 <= 0.01
    else:
        assert found.agreement.boxes is not None and found.agreement.boxes <= 1e-3
        assert found.agreement.scores is not None and found.agreement.scores <= 1e-3
        assert abs(own.map50 - other.map50) <= 1e-4 and abs(own.map - other.map) <= 1e-4


def test_a_layer_that_was_scaled_is_named(tmp_path: Path) -> None:
    onnx = pytest.importorskip("onnx")
    detector = Detector.load(WEIGHTS, device="cpu")
    path = detector.export("onnx", out=tmp_path / "x.onnx", imgsz=320)
    made = onnx.load(path)
    [weight] = [each for each in made.graph.initializer if each.name == "model.6.m.0.cv2.conv.weight"]
    weight.CopyFrom(onnx.numpy_helper.from_array(onnx.numpy_helper.to_array(weight) * 1.01, weight.name))
    path.write_bytes(made.SerializeToString())
    network = open_export(path)
    assert network is not None
    found = certify(detector.model, network, str(DATA), rounds=2)
    assert found.parting is not None and found.parting.layer == "model.6.m.0.cv2.conv", found.reasons
    assert "its weight is 1.01 times that of the model" in found.parting.what
