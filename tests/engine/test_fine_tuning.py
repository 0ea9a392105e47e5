"""Fine-tuning beats training from random weights in a quarter of the epochs, on data like those of the weights."""

from __future__ import annotations

from pathlib import Path

from tests.commands import lehr

from lehr.data.formats.shapes import write_shapes
from lehr.search.fitness import read_epochs

SMALL = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--device", "cpu", "--project", "runs"]
EPOCHS = 8


def last_map(folder: Path) -> float:
    """The mAP50-95 of a run's last epoch."""
    return read_epochs(folder / "results.csv")[-1].metrics["map"] or 0.0


def test_a_quarter_of_the_epochs_from_trained_weights_beats_all_of_them_from_random_ones(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", {"train": 240, "val": 40, "test": 48})
    fewer = "path: shapes\ntrain: images/test\nval: images/val\nnames: [disc, square, triangle, star, cross]\n"
    (tmp_path / "fewer.yaml").write_text(fewer, encoding="utf-8")
    lehr("train", "--data", "shapes/data.yaml", *SMALL, "--epochs", str(EPOCHS), "--name", "start", cwd=tmp_path)
    lehr("train", "--data", "fewer.yaml", *SMALL, "--epochs", str(EPOCHS), "--name", "random", cwd=tmp_path)
    start = ["--weights", "runs/start/best.safetensors", "--epochs", str(EPOCHS // 4), "--name", "tuned"]
    lehr("train", "--data", "fewer.yaml", *SMALL, *start, cwd=tmp_path)
    assert last_map(tmp_path / "runs" / "tuned") > last_map(tmp_path / "runs" / "random") + 0.01
