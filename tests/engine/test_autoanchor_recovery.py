"""AutoAnchor recovers from anchors that are ten times too large: shown by three short runs on the generated data."""

from __future__ import annotations

from pathlib import Path

import pytest

import lehr.models.anchor_head as anchor_head_module
from lehr.config import build_config
from lehr.engine.run import train
from lehr.evaluation.metrics import Metrics

pytestmark = pytest.mark.alone
"""Runs this short end elsewhere on another number of cores."""


def short_run(folder: Path, name: str, autoanchor: bool) -> Metrics:
    options = {"model": "yolov5n", "data": "shapes", "imgsz": 64, "epochs": 12, "close_mosaic": 12, "single_cls": True}
    options |= {"autoanchor": autoanchor, "project": folder, "name": name, "device": "cpu"}
    return train(build_config(options)).metrics


def test_without_autoanchor_the_result_collapses_and_with_it_the_run_is_normal(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    normal = short_run(tmp_path, "normal", autoanchor=True).map50
    large = tuple(tuple((w * 10, h * 10) for w, h in level) for level in anchor_head_module.DEFAULT_ANCHORS)
    monkeypatch.setattr(anchor_head_module, "DEFAULT_ANCHORS", large)
    collapsed = short_run(tmp_path, "collapsed", autoanchor=False).map50
    recovered = short_run(tmp_path, "recovered", autoanchor=True).map50
    assert collapsed is not None and recovered is not None and normal is not None
    assert normal > 0.1 and collapsed < 0.05
    assert recovered > 0.9 * normal and recovered > 5 * collapsed
