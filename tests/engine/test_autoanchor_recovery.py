"""AutoAnchor recovers from anchors that are ten times too large."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest
from tests.conftest import MakeYolo
from tests.engine.runs import run

import lehr.models.anchor_head as anchor_head_module
from lehr.config import build_config
from lehr.engine.run import train
from lehr.evaluation.metrics import Metrics


@pytest.fixture
def large_anchors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have new models begin with anchors ten times as large as usual."""
    large = tuple(tuple((w * 10, h * 10) for w, h in level) for level in anchor_head_module.DEFAULT_ANCHORS)
    monkeypatch.setattr(anchor_head_module, "DEFAULT_ANCHORS", large)


@pytest.mark.usefixtures("large_anchors")
def test_without_autoanchor_no_box_is_learned_and_with_it_they_are(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    losses = {}
    for autoanchor in (False, True):
        still = {"mosaic": 0.0, "scale": 0.0, "translate": 0.0, "epochs": 1, "autoanchor": autoanchor}
        folder = run(data, tmp_path, f"run-{autoanchor}", model="yolov5n", **still).folder
        with (folder / "results.csv").open(encoding="utf-8") as file:
            losses[autoanchor] = float(next(csv.DictReader(file))["train/box"])
    assert losses[False] == 0 and losses[True] > 0


def short_run(folder: Path, name: str, autoanchor: bool) -> Metrics:
    options = {"model": "yolov5n", "data": "shapes", "imgsz": 64, "epochs": 12, "mosaic": 0, "single_cls": True}
    options |= {"autoanchor": autoanchor, "project": folder, "name": name, "device": "cpu", "amp": "off"}
    return train(build_config(options)).metrics


@pytest.mark.slow
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
