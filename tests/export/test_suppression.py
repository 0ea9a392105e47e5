"""Suppression inside a graph finds what the one outside does."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lehr.evaluation.nms import suppress
from lehr.export.suppression import with_suppression
from lehr.weights.export_metadata import Suppression

onnxruntime = pytest.importorskip("onnxruntime")
CLASSES = 3
PASSING = """
<ir_version: 10, opset_import: ["" : 18]>
network (float[batch, rows, 4] given_boxes, float[batch, rows, 3] given_scores)
  => (float[batch, rows, 4] boxes, float[batch, rows, 3] scores)
{
  boxes = Identity (given_boxes)
  scores = Identity (given_scores)
}
"""


def _drawn(batch: int, rows: int) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(batch)
    centres = torch.rand(batch, rows, 2, generator=draw) * 60
    halves = torch.rand(batch, rows, 2, generator=draw) * 8 + 2
    return torch.cat((centres - halves, centres + halves), -1), torch.rand(batch, rows, CLASSES, generator=draw)


@pytest.mark.parametrize(
    ("nms", "batch", "rows"),
    [
        (Suppression(), 1, 200),
        (Suppression(conf=0.6, iou=0.3, max_det=10), 7, 200),
        (Suppression(conf=0.6, iou=0.3, max_det=300, agnostic=True), 2, 50),
        (Suppression(conf=0.999), 3, 4),
        (Suppression(conf=0.0, iou=1.0, max_det=1000), 2, 8),
    ],
)
def test_detections_are_those_of_the_suppression_outside(nms: Suppression, batch: int, rows: int) -> None:
    import onnx.checker
    import onnx.parser

    proto = with_suppression(onnx.parser.parse_model(PASSING), nms, CLASSES)
    onnx.checker.check_model(proto, full_check=True)
    assert {node.domain for node in proto.graph.node} == {""}
    boxes, scores = _drawn(batch, rows)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    (got,) = session.run(["detections"], {"given_boxes": boxes.numpy(), "given_scores": scores.numpy()})
    found = suppress(
        boxes,
        scores,
        confidence=nms.conf,
        iou=nms.iou,
        max_det=nms.max_det,
        best_class_only=True,
        agnostic=nms.agnostic,
    )
    columns = (found.images[:, None], found.boxes, found.scores[:, None], found.classes[:, None])
    np.testing.assert_allclose(got, torch.cat(columns, 1).numpy(), atol=1e-5)


def test_an_image_without_detections_has_no_row() -> None:
    import onnx.parser

    proto = with_suppression(onnx.parser.parse_model(PASSING), Suppression(conf=0.5), CLASSES)
    session = onnxruntime.InferenceSession(proto.SerializeToString())
    boxes = np.tile(np.array([0, 0, 9, 9], np.float32), (2, 4, 1))
    scores = np.zeros((2, 4, CLASSES), np.float32)
    scores[1, 2, 1] = 0.75
    (got,) = session.run(["detections"], {"given_boxes": boxes, "given_scores": scores})
    assert got.tolist() == [[1, 0, 0, 9, 9, 0.75, 1]]
