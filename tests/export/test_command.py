"""`lehr export` writes beside the weights, and `Detector.export` does the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tests.commands import lehr

from lehr import Detector
from lehr.data.images import write_image
from lehr.models.detection import DetectionModel
from lehr.weights.write import save_weights


@pytest.fixture(scope="module")
def by_command(small_model: DetectionModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An export that the command has written, of 64 x 96 pixels."""
    folder = tmp_path_factory.mktemp("export")
    save_weights(small_model, folder / "best.safetensors")
    options = ("--weights", folder / "best.safetensors", "--format", "torch", "--imgsz", "64", "96")
    done = lehr("export", *options, cwd=folder)
    assert "Written: " in done.stdout and "best.pt2" in done.stdout
    return folder / "best.pt2"


def test_a_command_and_a_method_write_the_same_graph(
    small_model: DetectionModel, by_command: Path, tmp_path: Path
) -> None:
    weights = by_command.with_name("best.safetensors")
    by_method = Detector(weights).export("torch", imgsz=(64, 96), out=tmp_path / "own.pt2")
    images = torch.rand(1, 3, 64, 96)
    with torch.no_grad():
        answers = [torch.export.load(path).module()(images) for path in (by_command, by_method)]
        wanted = small_model(images).decode()
    for one, other, own in zip(*answers, wanted, strict=True):
        assert torch.equal(one, other)
        torch.testing.assert_close(one, own, rtol=1e-4, atol=1e-3)


def test_an_export_predicts_by_the_command(by_command: Path, tmp_path: Path) -> None:
    write_image(tmp_path / "photo.png", np.zeros((40, 60, 3), np.uint8))
    done = lehr("predict", "--weights", by_command, "photo.png", "--no-save", cwd=tmp_path)
    assert "photo.png: nothing" in done.stdout


def test_a_second_export_does_not_replace_the_first(small_model: DetectionModel, tmp_path: Path) -> None:
    weights = tmp_path / "best.safetensors"
    save_weights(small_model, weights)
    (tmp_path / "best.pt2").write_text("dear")
    done = lehr("export", "--weights", weights, "--format", "torch", cwd=tmp_path, code=2)
    assert "exists already" in done.stderr
    assert (tmp_path / "best.pt2").read_text() == "dear"
