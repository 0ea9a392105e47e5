"""The folder of a run stands for its best weights, wherever weights are named."""

from __future__ import annotations

from pathlib import Path

import pytest

from lehr import Detector
from lehr.cli.app import app
from lehr.cli.arguments import as_options
from lehr.models.build import build_model
from lehr.weights.best_of_run import BEST_WEIGHTS, best_of_run
from lehr.weights.write import save_weights


@pytest.fixture
def run_folder(tmp_path: Path) -> Path:
    save_weights(build_model("yolov8n", ("disc",), imgsz=64, width=0.125), tmp_path / BEST_WEIGHTS)
    return tmp_path


def test_a_run_s_folder_stands_for_its_best_weights(run_folder: Path) -> None:
    assert best_of_run(run_folder) == best_of_run(run_folder / BEST_WEIGHTS) == run_folder / BEST_WEIGHTS
    assert Detector.load(run_folder).names == ("disc",)
    assert as_options(["val", "--weights", str(run_folder)], app) == [
        "val",
        "--weights",
        str(run_folder / BEST_WEIGHTS),
    ]
    assert as_options(["val", f"model={run_folder}"], app) == ["val", "--weights", str(run_folder / BEST_WEIGHTS)]


def test_other_folders_stay_as_they_are(tmp_path: Path) -> None:
    assert best_of_run(tmp_path) == tmp_path and best_of_run("hf://owner/name") == Path("hf://owner/name")
