"""The programs of docs/deploying.md run as they stand, and find what Lehr finds."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.backends.tiny import NAMES, Tiny, metadata, onnx_model
from tests.conftest import draw_squares
from tests.document_commands import BLOCK, ROOT

from lehr import Detector
from lehr.export.suppression import with_suppression
from lehr.weights.export_metadata import KEY, Suppression

PROGRAMS = [
    block["text"]
    for block in BLOCK.finditer((ROOT / "docs" / "deploying.md").read_text(encoding="utf-8"))
    if block["language"] == "python"
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An export for ONNX Runtime and one for OpenVINO, with suppression inside, and a photograph."""
    import openvino
    from onnx import helper

    suppression = Suppression(conf=0.3, iou=0.5)
    graph = with_suppression(onnx_model(Tiny(), batch=1), suppression, len(NAMES))
    facts = metadata(batch=1, nms=suppression).to_json()
    helper.set_model_props(graph, {KEY: facts})
    (tmp_path / "best.onnx").write_bytes(graph.SerializeToString())
    network = openvino.convert_model(tmp_path / "best.onnx")
    network.set_rt_info(facts, [KEY])
    (tmp_path / "best_openvino").mkdir()
    openvino.save_model(network, tmp_path / "best_openvino" / "model.xml", compress_to_fp16=False)
    draw_squares(tmp_path / "photo.jpg", [(10, 20, 60, 70), (80, 30, 130, 90)], side=150)
    return tmp_path


def test_programs_without_lehr_find_what_lehr_does(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    given: dict[str, Any] = {}
    with contextlib.chdir(folder):
        for program in PROGRAMS:
            exec(program, given)
        found = Detector("best.onnx").predict("photo.jpg")[0]
    assert len(PROGRAMS) == 3 and len(found.scores) > 0
    by_hand = np.array(given["detections"])  # of OpenVINO, which came last
    corner = np.array([given["left"], given["top"]] * 2)
    boxes = np.clip((by_hand[:, 1:5] - corner) / given["scale"], 0, 150)
    order = np.argsort(-by_hand[:, 5], kind="stable")
    assert np.allclose(boxes[order], found.boxes, atol=0.05) and np.allclose(by_hand[order, 5], found.scores, atol=1e-4)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2 * len(found.scores), "that of Lehr and that of ONNX Runtime print a line per object"
