"""`lehr data audit` and the list that `lehr train --skip` reads."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.commands import lehr

from lehr.checkpoint.run_folder import CONFIG
from lehr.models.build import build_model
from lehr.weights.write import save_weights

EVIL = "<script>alert(1)</script>"


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Five photographs to train on, one of which is in the validation split again, written anew."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 5), ("val", 2)):
        (tmp_path / "images" / split).mkdir(parents=True)
        (tmp_path / "labels" / split).mkdir(parents=True)
        for index in range(count):
            image = cv2.resize(rng.integers(0, 255, (12, 16, 3), np.uint8), (320, 240), interpolation=cv2.INTER_CUBIC)
            if split == "val" and index == 0:
                first = cv2.imread(str(tmp_path / "images/train/0.png"))
                image = cv2.imdecode(cv2.imencode(".jpg", first, [cv2.IMWRITE_JPEG_QUALITY, 60])[1], 1)
            cv2.imwrite(str(tmp_path / "images" / split / f"{index}.png"), image)
            lines = ["0 0.5 0.5 0.4 0.4\n"] + ["1 0.2 0.2 0.01 0.01\n"] * (split == "train" and index == 1)
            (tmp_path / "labels" / split / f"{index}.txt").write_text("".join(lines))
    names = json.dumps([EVIL, "b"])
    (tmp_path / "data.yaml").write_text(f"train: images/train\nval: images/val\nnames: {names}\n")
    return tmp_path


def test_an_audit_writes_a_page_json_and_a_list_that_training_takes(data: Path) -> None:
    model = build_model("yolov8n", names=(EVIL, "b"), width=0.125)
    save_weights(model, data / "w.safetensors")
    done = lehr("data", "audit", "data.yaml", "--weights", "w.safetensors", "--imgsz", "64", "--out", "out", cwd=data)
    assert "Leak: 1 image" in done.stdout and "1 image to train without" in done.stdout
    found = json.loads((data / "out/audit.json").read_text())
    assert {kind: n for kind, n in found["counts"].items() if kind != "label"} == {
        "leak": 1,
        "near copy": 0,
        "class of one split": 1,
        "too small": 1,
    }
    leak = next(each for each in found["findings"] if each["kind"] == "leak")
    assert (Path(leak["image"]).name, leak["split"], leak["skip"]) == ("0.png", "train", True)
    page = (data / "out/audit.html").read_text(encoding="utf-8")
    assert EVIL not in page and "0.png" in page
    lehr(
        *("train", "--data", "data.yaml", "--skip", "out/skip.txt", "--model", "yolov8n", "--width", "0.125"),
        *("--imgsz", "64", "--epochs", "1", "--device", "cpu", "--name", "run"),
        cwd=data,
    )
    assert "4 images to train" in (data / "runs/run/train.log").read_text()
    assert "skip: out/skip.txt" in (data / "runs/run" / CONFIG).read_text()


def test_what_cannot_be_written_is_refused_before_any_work(data: Path) -> None:
    done = lehr("data", "audit", "data.yaml", "--out", "images", cwd=data, code=2)
    assert "exists already and is not empty" in done.stderr
