"""`lehr export` writes beside the weights, and `Detector.export` does the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from tests.commands import lehr

from lehr import Detector
from lehr.data.images import write_image
from lehr.models.detection import DetectionModel
from lehr.weights.write import save_weights


def test_a_command_and_a_method_write_the_same_graph(small_model: DetectionModel, tmp_path: Path) -> None:
    weights = tmp_path / "best.safetensors"
    save_weights(small_model, weights)
    done = lehr("export", "--weights", weights, "--format", "torch", "--imgsz", "64", "96", cwd=tmp_path)
    assert "Written: " in done.stdout and "best.pt2" in done.stdout
    by_method = Detector(weights).export("torch", imgsz=(64, 96), out=tmp_path / "own.pt2")
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        answers = [torch.export.load(path).module()(images) for path in (tmp_path / "best.pt2", by_method)]
        wanted = small_model(images).decode()
    for one, other, own in zip(*answers, wanted, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, own, rtol=1e-4, atol=1e-3)


def test_an_export_predicts_by_the_command(small_model: DetectionModel, tmp_path: Path) -> None:
    weights, export = tmp_path / "best.safetensors", tmp_path / "best.pt2"
    save_weights(small_model, weights)
    Detector(weights).export("torch", imgsz=64)
    write_image(tmp_path / "photo.png", np.zeros((40, 60, 3), np.uint8))
    done = lehr("predict", "--weights", export, "photo.png", "--no-save", cwd=tmp_path)
    assert "photo.png: nothing" in done.stdout


def test_a_second_export_does_not_replace_the_first(small_model: DetectionModel, tmp_path: Path) -> None:
    weights = tmp_path / "best.safetensors"
    save_weights(small_model, weights)
    (tmp_path / "best.pt2").write_text("dear")
    done = lehr("export", "--weights", weights, "--format", "torch", cwd=tmp_path, code=2)
    assert "exists already" in done.stderr
    assert (tmp_path / "best.pt2").read_text() == "dear"
