"""Prediction and evaluation of what people really give: broken images, other sources, arrays, notebooks' settings."""

from __future__ import annotations

import io
import json
import os
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tests.commands import lehr
from tests.conftest import Once
from tests.field.conftest import MakeCase

from lehr.detector import Detector
from lehr.errors import InputError
from lehr.models.build import build_model
from lehr.weights.write import save_weights

JUNK = b"\x89PNG\r\n\x1a\njunk"


@pytest.fixture(scope="session")
def weights(once: Once) -> Path:
    """Weights that know cat and dog, and have learned nothing."""

    def make(folder: Path) -> None:
        folder.mkdir()
        save_weights(build_model("yolov8n", ("cat", "dog"), 96, width=0.125), folder / "w.safetensors")

    return once("cat-and-dog", make) / "w.safetensors"


def draw(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), np.full((48, 64, 3), 90, np.uint8))
    return path


def test_a_folder_names_what_is_not_read_in_it(case: MakeCase, weights: Path) -> None:
    folder = case("P02-formats")
    for source in ("images", "images/*"):
        done = lehr("predict", "--weights", weights, source, "--json", "o.json", "--no-save", cwd=folder)
        found = {Path(each["source"]).name for each in json.loads((folder / "o.json").read_text())}
        for name in ("a.gif", "a.avif"):
            assert name in found or f"images/{name}" in done.stderr
        assert len(found) >= 6 and ("a.txt" in done.stderr) == (source == "images/*")
    done = lehr("predict", "--weights", weights, "images/a.txt", "--no-save", cwd=folder, code=2)
    assert "images/a.txt: " in done.stderr and "a source" in done.stderr, "a text is a list of sources"


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("v.mp4", ["v.mp4: is not a video that can be read"]),
        ("http://127.0.0.1:9/bus.jpg", ["http://127.0.0.1:9/bus.jpg: cannot be reached"]),
        ("99", ["camera 99: there is no /dev/video99"]),
        ("rtsp://127.0.0.1:9/y", ["rtsp://127.0.0.1:9/y: cannot be"]),
        ("screen", ["the screen is not read"]),
        ("a.zip", ["is an archive", "unpack it first"]),
    ],
)
def test_sources_that_cannot_be_read_are_refused(case: MakeCase, weights: Path, source: str, words: list[str]) -> None:
    folder = case("P04-video-url")
    (folder / "v.mp4").write_bytes(b"AAAA")
    (folder / "a.zip").write_bytes(b"PK\x03\x04")
    done = lehr("predict", "--weights", weights, source, cwd=folder, code=2)
    assert all(word in done.stderr for word in words)
    assert not list(folder.glob("runs/*"))


def test_the_standard_input_names_images(case: MakeCase, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = case("P05-arrays")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"images/val/val0.jpg\n")))
    done = lehr("predict", "-", "--weights", weights, "--no-save", cwd=folder)
    assert "images/val/val0.jpg: " in done.stdout


def test_what_arrays_are_taken_and_refused(case: MakeCase, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = case("P05-arrays")
    monkeypatch.setenv("W", str(weights))
    monkeypatch.chdir(folder)
    detector = Detector.load(weights, device="cpu")
    pixels = np.full((60, 80, 3), 100, np.uint8)
    taken = {
        "rgb": pixels,
        "grey": pixels[..., 0],
        "rgba": np.dstack([pixels, pixels[..., :1]]),
        "float": pixels / 255,
        "chw": pixels.transpose(2, 0, 1),
        "mirrored": pixels[::-1, ::-1, ::-1],
        "pil": Image.fromarray(pixels),
        "tensor": torch.from_numpy(pixels),
        "bytes": (folder / "images/val/val0.jpg").read_bytes(),
        "path": folder / "images/val/val0.jpg",
        "mixed": [pixels, pixels[:30, :20], "images/val"],
        "empty list": [],
        "generator": (each for each in [pixels]),
        "batch": np.stack([pixels, pixels]),
    }
    counts = {"mixed": 4, "empty list": 0, "batch": 2}
    for name, value in taken.items():
        assert len(detector.predict(value)) == counts.get(name, 1), name
    for value in (None, np.zeros((0, 5, 3), np.uint8), b"x", 0, {"a": pixels}):
        with pytest.raises(InputError):
            detector.predict(value)  # type: ignore[arg-type]


def test_files_that_macos_writes_beside_images_are_passed_over(case: MakeCase, weights: Path) -> None:
    folder = case("I11c-appledouble-predict")
    done = lehr("predict", "--weights", weights, "images/train", "--no-save", cwd=folder)
    assert done.stdout.count("images/train/train") == 4 and "._" not in done.stdout + done.stderr


def test_a_very_large_image_is_predicted(case: MakeCase, weights: Path) -> None:
    folder = case("I08b-huge-192M")
    image = Image.new("L", (9600, 9400), 90)  # 90 M pixels, above Pillow's first limit
    image.save(folder / "images" / "train.jpg")
    done = lehr("predict", "--weights", weights, "images/train.jpg", "--no-save", cwd=folder)
    assert "images/train.jpg: nothing" in done.stdout and "DOS" not in done.stderr


@pytest.mark.parametrize("name", ["x.pt", "x.safetensors"])
def test_junk_is_no_weights(case: MakeCase, name: str) -> None:
    folder = case("T28-names-in-weights")
    for command in (["predict", "images/val"], ["val", "--data", "data.yaml"]):
        done = lehr(*command, "--weights", name, cwd=folder, code=2)
        assert f"{name}: is not a weights file of any kind (it begins with 'junk')" in done.stderr


def test_a_default_dtype_and_no_gradients_of_a_notebook_are_overcome(
    case: MakeCase, weights: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = case("T24-import-order")
    monkeypatch.chdir(folder)
    torch.set_default_dtype(torch.float64)
    try:
        with torch.inference_mode():
            Detector("yolov8n").train(data="data.yaml", width=0.125, imgsz=96, epochs=1, batch=4, verbose=False)
            assert Detector.load(weights).predict("images/val")[0].source == "images/val/val0.jpg"
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


@pytest.mark.parametrize(
    ("broken", "batch"),
    [
        (JUNK, "1"),
        (b"", "3"),
        (None, "3"),
        *(pytest.param(*each, marks=pytest.mark.slow) for each in ((JUNK, "3"), (b"", "1"), (None, "1"))),
    ],
)
def test_a_broken_image_ends_no_folder_that_is_to_be_predicted_without_it(
    tmp_path: Path, weights: Path, broken: bytes | None, batch: str
) -> None:
    for name in ("a.png", "c.png", "d.png"):
        draw(tmp_path / "images" / name)
    bad = tmp_path / "images" / "b.png"
    if broken is None:
        bad.symlink_to("gone.png")
    else:
        bad.write_bytes(broken)
    command = ["predict", "images", "--weights", weights, "--json", "o.json", "--batch", batch]
    done = lehr(*command, cwd=tmp_path, code=2)
    assert "b.png" in done.stderr and "1 of 4 images cannot be read" in done.stderr and "--skip-broken" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"images"}
    done = lehr(*command, "--skip-broken", cwd=tmp_path, code=1)
    assert [Path(each["source"]).name for each in json.loads((tmp_path / "o.json").read_text())] == [
        "a.png",
        "c.png",
        "d.png",
    ]
    assert "Skipped: images/b.png" in done.stderr and "1 of 4 images could not be read" in done.stderr
    assert {path.name for path in (tmp_path / "runs" / "predict").iterdir()} == {"a.png", "c.png", "d.png"}
    bad.unlink()
    lehr(*command, "--skip-broken", "--no-save", cwd=tmp_path)


def test_images_that_are_all_broken_leave_nothing(tmp_path: Path, weights: Path) -> None:
    draw(tmp_path / "images" / "a.png").write_bytes(JUNK)
    (tmp_path / "images" / "b.png").write_bytes(b"")
    command = ["predict", "images", "--weights", weights, "--json", "o.json", "--skip-broken"]
    done = lehr(*command, cwd=tmp_path, code=2)
    assert "None of the 2 images can be read" in done.stderr
    assert not (tmp_path / "o.json").exists() and list((tmp_path / "runs").iterdir()) == []


def test_an_image_that_is_corrupt_in_its_middle_is_skipped_too(tmp_path: Path, weights: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("a.jpg", "b.jpg"):
        cv2.imwrite(str(draw(tmp_path / "images" / name)), rng.integers(0, 255, (200, 200, 3), dtype=np.uint8))
    whole = (tmp_path / "images" / "b.jpg").read_bytes()
    (tmp_path / "images" / "b.jpg").write_bytes(whole[:2000] + whole[-2000:-2])  # its end is missing
    command = ["predict", "images", "--weights", weights, "--no-save"]
    assert "b.jpg" in lehr(*command, cwd=tmp_path, code=2).stderr
    done = lehr(*command, "--skip-broken", cwd=tmp_path, code=1)
    assert "a.jpg: nothing" in done.stdout and "Skipped: images/b.jpg" in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        ["predict", "a.png", "--weights", "W", "--no-save"],
        ["val", "--weights", "W", "--data", "none.yaml"],
        ["data", "check", "none.yaml"],
        ["anchors", "--data", "none.yaml"],
    ],
)
def test_a_place_for_json_is_checked_before_the_work(tmp_path: Path, weights: Path, command: list[str]) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "folder").mkdir()
    (tmp_path / "kept.json").write_text("[]")
    arguments = [weights if each == "W" else each for each in command]
    for place, words in (
        ("folder", "is a folder. Name a file in it"),
        ("none/o.json", "there is no folder none"),
        ("a.png/o.json", "a.png is a file, not a folder"),
        ("a.png", "exists and is not a JSON file. It would be lost."),
        ("x" * 300 + ".json", "cannot be written (File name too long)"),
    ):
        done = lehr(*arguments, "--json", place, cwd=tmp_path, code=2)
        assert f"--json {place}: {words}" in done.stderr and done.stdout == ""
    assert {path.name for path in tmp_path.iterdir()} == {"a.png", "folder", "kept.json"}
    if os.geteuid() != 0:
        (tmp_path / "folder").chmod(0o500)
        assert "cannot be written" in lehr(*arguments, "--json", "folder/o.json", cwd=tmp_path, code=2).stderr


def test_json_can_go_to_a_device_and_over_earlier_json(tmp_path: Path, weights: Path) -> None:
    draw(tmp_path / "a.png")
    (tmp_path / "o.json").write_text('{"an earlier": 1}')
    for place in ("/dev/null", "o.json"):
        lehr("predict", "a.png", "--weights", weights, "--no-save", "--json", place, cwd=tmp_path)
    assert json.loads((tmp_path / "o.json").read_text())[0]["width"] == 64
    assert Path("/dev/null").is_char_device()


@pytest.mark.parametrize("command", [["split"], ["convert", "--to", "coco"]])
def test_a_folder_to_write_is_checked_before_the_work(tmp_path: Path, command: list[str]) -> None:
    draw(tmp_path / "full" / "a.png")
    (tmp_path / "file").touch()
    for place, words in (
        ("full", "not empty"),
        ("file", "is a file, not a folder"),
        ("file/out", "is a file, not a folder"),
        ("a" * 300, "long"),
    ):
        done = lehr("data", *command, "none.yaml", "--out", place, cwd=tmp_path, code=2)
        assert f"{place}: " in done.stderr and words in done.stderr and "none.yaml" not in done.stderr


def test_a_split_is_evaluated_on_the_classes_that_are_shared(case: MakeCase, weights: Path) -> None:
    folder = case("P08-val-variants")
    plain = lehr("val", "--weights", weights, "--data", "data.yaml", "--json", "plain.json", cwd=folder)
    assert "Not evaluated" not in plain.stdout and "Not counted" not in plain.stdout
    for data, words in (
        ("reorder.yaml", []),
        ("more.yaml", ["Not evaluated: 1 class that the weights do not know: bird"]),
        ("two.yaml", ["Evaluated: the 1 class", "Not counted: detections of 1 class", "cat"]),
    ):
        if data == "two.yaml":  # its labels are numbered by two names
            for label in (folder / "labels" / "val").iterdir():
                rows = [row for row in label.read_text().splitlines() if row.startswith("0")]
                label.write_text("".join(f"{row}\n" for row in rows))
        done = lehr("val", "--weights", weights, "--data", data, cwd=folder)
        assert all(word in done.stdout for word in words), done.stdout
    done = lehr("val", "--weights", weights, "--data", "data.yaml", "--split", "test", cwd=folder, code=2)
    assert "has no split 'test'; it has train, val" in done.stderr


def test_a_folder_where_only_some_classes_occur_is_evaluated(case: MakeCase, weights: Path) -> None:
    folder = case("V17-val-other-folder")
    done = lehr("val", "--weights", weights, "--data", "other", "--split", "val", cwd=folder)
    assert "Not counted: detections of 1 class that the data set does not have: dog." in done.stdout


def test_a_thousand_classes_have_no_precision_where_nothing_is_found(case: MakeCase, tmp_path: Path) -> None:
    data = case("T10-1000-classes") / "data.yaml"
    names = tuple(f"class_{number}" for number in range(1000))
    save_weights(build_model("yolov8n", names, 96, width=0.125), tmp_path / "w.safetensors")
    metrics = Detector.load(tmp_path / "w.safetensors", device="cpu").val(str(data), conf=0.9).metrics
    assert metrics.instances and {each.precision for each in metrics.classes.values()} == {0.0, None}
    done = lehr("val", "--weights", tmp_path / "w.safetensors", "--data", data, cwd=tmp_path)
    assert max(map(len, done.stdout.splitlines())) < 250
