"""A small detector, and its ONNX export, which several tests read."""

from __future__ import annotations

from pathlib import Path

import pytest
from tests.conftest import Once

from lehr.export.export import export_model
from lehr.export.formats import ONNX
from lehr.export.options import ExportOptions
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel


@pytest.fixture(scope="session")
def small_model() -> DetectionModel:
    """A detector of two classes with few weights, always the same."""
    return build_model("yolov8n", ("one", "two"), 64, width=0.125, depth=0.01).eval()


@pytest.fixture(scope="session")
def onnx_file(once: Once, small_model: DetectionModel) -> Path:
    """Its ONNX export, of any batch and size."""

    def write(folder: Path) -> None:
        folder.mkdir()
        export_model(small_model, folder / "model.onnx", ONNX, ExportOptions((64, 64), dynamic=True))

    return once("small-onnx", write) / "model.onnx"
