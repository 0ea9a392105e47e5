"""Every image of BCCD: what suppression inside a graph finds is what the one outside does, at any size and batch."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.conftest import SHARED
from torch import Tensor

from lehr.augment.letterbox import letterbox
from lehr.data.images import read_image
from lehr.data.load import load_dataset
from lehr.evaluation.nms import suppress
from lehr.export.export import export_model
from lehr.export.formats import ONNX, OPENVINO
from lehr.export.options import ExportOptions
from lehr.models.detection import DetectionModel
from lehr.weights.export_metadata import Suppression
from lehr.weights.load import load_model

DATA, WEIGHTS = SHARED / "data" / "bccd", SHARED / "checkpoints" / "yolov8n-bccd.pt"
SIZES = ((320, 320), (640, 416))
NMS = Suppression()

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (DATA.is_dir() and WEIGHTS.is_file()), reason="no BCCD beside the repository"),
]


@pytest.fixture(scope="module")
def images() -> list[Path]:
    return [sample.path for samples in load_dataset(str(DATA)).splits.values() for sample in samples]


@pytest.fixture(scope="module")
def model() -> DetectionModel:
    return load_model(WEIGHTS)


def _batch(paths: list[Path], size: tuple[int, int]) -> Tensor:
    canvases = np.stack([letterbox(read_image(path), size[1], size[0])[0] for path in paths])
    return torch.from_numpy(canvases).permute(0, 3, 1, 2).float().div_(255).contiguous()


def _outside(model: DetectionModel, images: Tensor) -> np.ndarray:
    with torch.inference_mode():
        found = suppress(
            *model(images).decode(), confidence=NMS.conf, iou=NMS.iou, max_det=NMS.max_det, best_class_only=True
        )
    columns = (found.images[:, None], found.boxes, found.scores[:, None], found.classes[:, None])
    return torch.cat(columns, 1).numpy()


def _check(model: DetectionModel, run, images: list[Path], size: tuple[int, int], batch: int) -> None:
    for start in range(0, len(images), batch):
        given = _batch(images[start : start + batch], size)
        wanted, got = _outside(model, given), run(given)
        assert got.shape == wanted.shape, images[start]
        order, order_wanted = (rows[np.lexsort((-rows[:, 5], rows[:, 6], rows[:, 0]))] for rows in (got, wanted))
        np.testing.assert_allclose(order, order_wanted, rtol=0, atol=1e-3, err_msg=str(images[start]))


@pytest.mark.parametrize(("size", "batch"), [(SIZES[0], 1), (SIZES[0], 7), (SIZES[1], 1), (SIZES[1], 7)])
def test_onnx_finds_inside_what_is_found_outside(
    model: DetectionModel, images: list[Path], size: tuple[int, int], batch: int, tmp_path: Path
) -> None:
    onnxruntime = pytest.importorskip("onnxruntime")
    path = tmp_path / "model.onnx"
    export_model(model, path, ONNX, ExportOptions((320, 320), dynamic=True, nms=NMS))
    session = onnxruntime.InferenceSession(path)
    _check(model, lambda given: session.run(None, {"images": given.numpy()})[0], images, size, batch)


@pytest.mark.parametrize(("size", "batch"), [(SIZES[0], 7), (SIZES[1], 1)])
def test_openvino_finds_inside_what_is_found_outside(
    model: DetectionModel, images: list[Path], size: tuple[int, int], batch: int, tmp_path: Path
) -> None:
    openvino = pytest.importorskip("openvino")
    folder = tmp_path / "model_openvino"
    export_model(model, folder, OPENVINO, ExportOptions((320, 320), dynamic=True, nms=NMS))
    exact = {"INFERENCE_PRECISION_HINT": "f32"}
    compiled = openvino.Core().compile_model(folder / "model.xml", "CPU", exact)
    _check(model, lambda given: compiled(given.numpy())[0], images, size, batch)
