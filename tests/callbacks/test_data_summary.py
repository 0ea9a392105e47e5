"""A run keeps numbers of its data, and of the anchors where its model has some."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from lehr.analysis.data_summary import load_data_summary
from lehr.callbacks.data_summary import DataSummaryCallback
from lehr.models.build import build_model
from lehr.sample import Dataset, Sample


def summary_of(model: str, folder: Path) -> Any:
    boxes = np.array([[0, 0, 30, 40], [10, 10, 13, 90]], np.float32)
    sample = Sample(Path("a.jpg"), 100, 100, boxes, np.array([0, 1]))
    dataset = Dataset("x", ("a", "b"), {"train": [sample], "val": []})
    config = SimpleNamespace(imgsz=64, loss=SimpleNamespace(anchor_t=4.0))
    run = SimpleNamespace(folder=folder, config=config, model=build_model(model, ("a", "b"), width=0.125))
    DataSummaryCallback().on_pretrain_routine_end(SimpleNamespace(run=run, dataset=dataset))  # type: ignore[arg-type]
    return load_data_summary(folder / "data.json")


def test_a_model_without_anchors_has_none_in_the_summary(tmp_path: Path) -> None:
    summary = summary_of("yolov8n", tmp_path)
    assert summary.anchors is None and summary.splits["train"].objects == [1, 1] and summary.imgsz == 64


def test_anchors_are_those_of_the_model(tmp_path: Path) -> None:
    anchors = summary_of("yolov5n", tmp_path).anchors
    assert anchors.levels[0] == [(10, 13), (16, 30), (33, 23)] and len(anchors.levels) == 3
    assert anchors.threshold == 4.0 and anchors.bpr == pytest.approx(0.5)  # one is 27 times as high as wide
