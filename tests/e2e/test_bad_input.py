"""Bad input: one clear message that names it and the remedy, a non-zero exit, and nothing left behind."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.commands import lehr
from tests.conftest import MakeYolo

Break = Callable[[Path], None]


def truncate(root: Path) -> None:
    image = root / "images" / "train" / "2.jpg"
    image.write_bytes(image.read_bytes()[:700])


def edit(old: str, new: str) -> Break:
    def change(root: Path) -> None:
        path = root / "data.yaml"
        path.write_text(path.read_text().replace(old, new))

    return change


def empty_training_split(root: Path) -> None:
    for image in (root / "images" / "train").iterdir():
        image.unlink()


CASES: dict[str, tuple[Break, list[str], list[str]]] = {
    "missing data YAML": (lambda r: (r / "data.yaml").unlink(), [], ["data.yaml", "--data"]),
    "unknown key": (edit("train:", "trian:"), [], ["data.yaml:1", "trian", "Did you mean train"]),
    "class count against names": (lambda r: edit("names", "nc: 5\nnames")(r), [], ["data.yaml:3", "nc", "5"]),
    "labels against class count": (edit("[small, large]", "[small]"), [], ["1.txt:1", "class 1", "names"]),
    "truncated image": (truncate, [], ["2.jpg", "truncated", "--skip-broken"]),
    "junk in a label file": (
        lambda r: (r / "labels/train/3.txt").write_bytes(bytes(range(256))) and None,
        [],
        ["3.txt", "not text"],
    ),
    "empty training split": (empty_training_split, [], ["data.yaml", "train", "holds no image"]),
    "unknown model": (lambda r: None, ["--model", "yolo8n"], ["yolo8n", "Did you mean", "yolov8n"]),
    "batch 0": (lambda r: None, ["--batch", "0"], ["--batch", "0", "at least 1"]),
    "imgsz 0": (lambda r: None, ["--imgsz", "0"], ["--imgsz", "0"]),
    "a word for a number": (lambda r: None, ["--epochs", "many"], ["--epochs", "many"]),
    "unknown option": (lambda r: None, ["--mosaik", "1"], ["Unknown option: --mosaik. Did you mean --mosaic?"]),
    "no such device": (lambda r: None, ["--device", "cuda:99"], ["--device"]),
    "weights that are none": (lambda r: None, ["--weights", "nowhere.safetensors"], ["nowhere.safetensors"]),
}


@pytest.mark.parametrize("name", CASES)
def test_bad_input_to_train(name: str, make_yolo: MakeYolo, tmp_path: Path) -> None:
    change, options, words = CASES[name]
    data = make_yolo()
    change(data.parent)
    sound = {"--data": str(data), "--epochs": "1", "--imgsz": "64"}
    given = {**sound, **dict(zip(options[::2], options[1::2], strict=True))}
    done = lehr("train", *(word for pair in given.items() for word in pair), cwd=tmp_path, code=2)
    for word in words:
        assert word in done.stderr
    assert done.stderr.startswith("lehr: ") and len(done.stderr.splitlines()) <= 8
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["schedule", "--csv", "none/r.csv"], "--csv none/r.csv"),
        pytest.param(["train", "--data", "none"], "--data none", marks=pytest.mark.slow),  # imports torch first
    ],
)
def test_a_process_ends_with_code_2_and_the_message_only(arguments: list[str], said: str, tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "lehr", *arguments], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 2 and done.stderr.startswith(f"lehr: {said}") and not done.stdout


def test_a_run_folder_that_cannot_be_written(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    (tmp_path / "file").write_text("in the way")
    options = ["--data", data, "--epochs", "1", "--imgsz", "64"]
    done = lehr("train", *options, "--project", tmp_path / "file", cwd=tmp_path, code=2)
    assert str(tmp_path / "file") in done.stderr and "--project" in done.stderr
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    done = lehr("train", *options, "--name", "mine", cwd=tmp_path, code=2)
    assert "never overwritten" in done.stderr and not list((tmp_path / "runs" / "mine").iterdir())


def test_broken_files_are_left_out_aloud_when_that_is_asked_for(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    truncate(data.parent)
    options = ["--data", data, "--epochs", "1", "--imgsz", "64", "--batch", "4", "--width", "0.125", "--skip-broken"]
    done = lehr("train", *options, cwd=tmp_path)
    assert "5 images to train" in done.stdout and "is truncated" in done.stdout and "[truncated-image]" in done.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["val", "--weights", "none.safetensors", "--data", "shapes"], ["none.safetensors"]),
        (["val", "--data", "shapes"], ["--weights"]),
        (["predict", "--weights", "x.safetensors"], ["at least one image"]),
        (["predict", "nowhere.jpg", "--weights", "x.safetensors"], ["nowhere.jpg"]),
        (["data", "check", "nowhere.yaml"], ["nowhere.yaml"]),
        (["data", "split", "shapes", "--ratios", "2,3,4,5", "--out", "o"], ["--ratios"]),
        (["trian"], ["trian"]),
    ],
)
def test_bad_input_to_other_commands(arguments: list[str], words: list[str], tmp_path: Path) -> None:
    done = lehr(*arguments, cwd=tmp_path, code=2)
    assert all(word in done.stderr for word in words), done.stderr
    assert not list(tmp_path.iterdir())
