"""`lehr import` writes a published checkpoint as weights of Lehr's, and says what it read; others take it as it is."""

from __future__ import annotations

import json
from hashlib import sha256
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from safetensors import safe_open
from tests.commands import lehr
from tests.weights.published.published_files import with_statistics, write_published

from lehr.detector import Detector
from lehr.models.build import build_model
from lehr.models.detection import DetectionModel
from lehr.weights.load import load_model
from lehr.weights.stream import stream_weights
from lehr.weights.write import encode_weights


@pytest.fixture(scope="module")
def model() -> DetectionModel:
    return with_statistics(build_model("yolov5n", ("crack", "pore"), imgsz=64, width=0.125))


@pytest.fixture
def checkpoint(tmp_path: Path, model: DetectionModel) -> Path:
    texts = {"version": "8.1", "license": "AGPL-3.0", "train_metrics": {"metrics/mAP50(B)": 0.5}, "epoch": 6}
    return write_published(tmp_path / "mine.pt", model, entries=texts)


def test_a_checkpoint_becomes_weights_with_all_it_says(checkpoint: Path, model: DetectionModel) -> None:
    folder = checkpoint.parent
    done = lehr("import", checkpoint, "--json", "read.json", cwd=folder)
    assert "2 classes, 64 pixels, weights of epoch 7 of 20, read without running anything in it." in done.stdout
    assert "Classes: crack, pore." in done.stdout and "licence as AGPL-3.0" in done.stdout
    weights = folder / "mine.safetensors"
    loaded = load_model(weights)
    assert all(
        torch.equal(loaded.state_dict()[name], value.half().to(value)) for name, value in model.state_dict().items()
    )
    with safe_open(weights, "pt") as file:
        metadata = file.metadata()
    digest = sha256(checkpoint.read_bytes()).hexdigest()
    source = json.loads(metadata["source"])
    assert source == {
        "file": "mine.pt",
        "sha256": digest,
        "trainer": "the YOLOv5 or YOLOv3 repository 8.1",
        "ema": False,
        "license": "AGPL-3.0",
        "date": "2026-11-21T02:10:23",
    }
    assert json.loads(metadata["metrics"]) == {"metrics/mAP50(B)": 0.5} and metadata["epoch"] == "7"
    read = json.loads((folder / "read.json").read_text())
    assert read["model"] == "yolov5n" and read["strides"] == [8, 16, 32] and read["sha256"] == digest
    assert read["tensors"].keys() == model.state_dict().keys()
    assert read["tensors"]["model.0.conv.weight"] == {"shape": [8, 3, 6, 6], "dtype": "float16"}


def test_the_same_file_gives_the_same_bytes_and_others_are_not_lost(checkpoint: Path) -> None:
    folder = checkpoint.parent
    lehr("import", checkpoint, "a.safetensors", cwd=folder)
    first = (folder / "a.safetensors").read_bytes()
    lehr("import", checkpoint, "a.safetensors", cwd=folder)
    assert (folder / "a.safetensors").read_bytes() == first
    (folder / "a.safetensors").write_bytes(b"of somebody")
    assert "exists already" in lehr("import", checkpoint, "a.safetensors", cwd=folder, code=2).stderr
    assert (folder / "a.safetensors").read_bytes() == b"of somebody"
    assert {path.name for path in folder.iterdir()} == {"mine.pt", "a.safetensors"}


def test_names_and_size_can_be_given(tmp_path: Path, model: DetectionModel) -> None:
    torch.save(model.state_dict(), tmp_path / "bare.pt")
    (tmp_path / "data.yaml").write_text("names: {0: left, 1: right}\n")
    lehr("import", "bare.pt", "a.safetensors", "--names", "data.yaml", "--imgsz", "96", cwd=tmp_path)
    loaded = load_model(tmp_path / "a.safetensors")
    assert loaded.names == ("left", "right") and loaded.imgsz == 96
    lehr("import", "bare.pt", "b.safetensors", "--names", "up, down", cwd=tmp_path)
    assert load_model(tmp_path / "b.safetensors").names == ("up", "down")
    error = lehr("import", "bare.pt", "c.safetensors", "--names", "one", cwd=tmp_path, code=2).stderr
    assert (
        "bare.pt: has 2 classes, and --names gives 1. Give a name for each." in error
        and not (tmp_path / "c.safetensors").exists()
    )


def test_weights_go_to_a_name_of_their_kind_and_not_where_the_json_goes(checkpoint: Path) -> None:
    folder = checkpoint.parent
    wrong = lehr("import", checkpoint, "b.pt", cwd=folder, code=2).stderr
    assert "DST b.pt: must end with .safetensors, e.g. b.safetensors." in wrong
    both = lehr("import", checkpoint, "b.safetensors", "--json", "./b.safetensors", cwd=folder, code=2).stderr
    assert "--json b.safetensors: is where the weights go." in both
    assert {path.name for path in folder.iterdir()} == {"mine.pt"}


def test_what_is_no_checkpoint_is_refused(tmp_path: Path, checkpoint: Path) -> None:
    lehr("import", checkpoint, cwd=tmp_path)
    assert (
        "is a weights file of Lehr's already"
        in lehr("import", "mine.safetensors", "b.safetensors", cwd=tmp_path, code=2).stderr
    )
    assert "there is no such file" in lehr("import", "none.pt", cwd=tmp_path, code=2).stderr
    (tmp_path / "text.pt").write_text("hello")
    assert "is not a weights file of any kind" in lehr("import", "text.pt", cwd=tmp_path, code=2).stderr


def test_tensors_are_streamed_to_the_bytes_that_are_encoded_at_once(model: DetectionModel) -> None:
    state, metadata = model.state_dict(), {"b": "2", "a": "ü"}
    halves = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    wanted = {name: value.float() if value.is_floating_point() else value for name, value in halves.items()}
    streamed, encoded = b"".join(stream_weights(halves, metadata)), b"".join(encode_weights(wanted, metadata))
    assert streamed == encoded


def test_commands_take_a_checkpoint_as_it_is_and_say_so(checkpoint: Path) -> None:
    folder = checkpoint.parent
    cv2.imwrite(str(folder / "image.png"), np.full((48, 64, 3), 90, np.uint8))
    done = lehr("predict", "image.png", "--weights", checkpoint, "--no-save", cwd=folder)
    assert "YOLOv5n of depth 0.33 and width 0.12, 2 classes, 64 pixels" in done.stdout
    assert "read without running anything" in done.stdout
    assert Detector(str(checkpoint)).names == Detector.load(checkpoint).names == ("crack", "pore")
    done = lehr("anchors", "--data", "shapes", "--weights", checkpoint, cwd=folder)
    assert "P3:   10,13   16,30   33,23\n" in done.stdout
