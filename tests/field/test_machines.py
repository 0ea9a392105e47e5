"""Machines as people have them: outputs that take nothing, places that take nothing, little memory, few images."""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from tests.commands import lehr
from tests.field.conftest import COLOURS, MakeCase
from tests.processes import Forked, command

from lehr.cli.app import main

TINY = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--batch", "2", "--amp", "off", "--device", "cpu"]
SMALL = [*TINY, "--epochs", "1"]


def make_set(root: Path, train: int = 4, val: int = 2, names: str = "[猫, dog]", background: str = "") -> Path:
    """Painted images with an object each; none in a split that is background."""
    for split, count in (("train", train), ("val", val)):
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        for number in range(count):
            image = np.full((64, 64, 3), 40 + 10 * number + 5 * (split == "val"), np.uint8)
            if split != background:
                image[16:48, 8:56] = COLOURS[number % 2][::-1]
                (root / "labels" / split / f"{number}.txt").write_text(f"{number % 2} 0.5 0.5 0.75 0.5\n")
            assert cv2.imwrite(str(root / "images" / split / f"{number}.png"), image)
    path = root / "data.yaml"
    path.write_text(f"train: images/train\nval: images/val\nnames: {names}\n", encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a data set, and a run on it in `runs/train`."""
    root = tmp_path_factory.mktemp("trained")
    lehr("train", "--data", make_set(root).name, *SMALL, cwd=root)
    return root


class Full(io.StringIO):
    """A stream whose disk is full."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


STREAMS: dict[str, Callable[[], Any]] = {
    "missing": lambda: None,
    "full": Full,
    "ascii": lambda: io.TextIOWrapper(io.BytesIO(), encoding="ascii"),
    "cp1252": lambda: io.TextIOWrapper(io.BytesIO(), encoding="cp1252"),
}
COMMANDS = {
    "train": ["train", "--data", "data.yaml", *SMALL, "--project", "{out}"],
    "val": ["val", "--weights", "{run}/best.safetensors", "--data", "data.yaml"],
    "predict": [
        "predict",
        "--weights",
        "{run}/best.safetensors",
        "images/val",
        "--conf",
        "0.0001",
        "--project",
        "{out}",
    ],
    "check": ["data", "check", "data.yaml"],
    "stats": ["data", "stats", "data.yaml"],
    "split": ["data", "split", "data.yaml", "--out", "{out}/split"],
    "convert": ["data", "convert", "data.yaml", "--to", "coco", "--out", "{out}/coco"],
    "anchors": ["anchors", "--data", "data.yaml"],
    "schedule": ["schedule", "--data", "data.yaml"],
    "explain": ["train", "--data", "data.yaml", "--explain"],
    "help": ["train", "--help"],
}


def done_with(stream: Any, arguments: list[str], cwd: Path) -> int:
    """The exit code of a command whose outputs are a stream."""
    with (
        contextlib.chdir(cwd),
        contextlib.redirect_stdout(stream),
        contextlib.redirect_stderr(stream),
        pytest.raises(SystemExit) as ended,
    ):
        main(arguments)
    return int(ended.value.code or 0)


@pytest.mark.parametrize("kind", STREAMS)
@pytest.mark.parametrize("command", COMMANDS)
def test_no_command_ends_of_printing(command: str, kind: str, trained: Path, tmp_path: Path) -> None:
    places = {"run": str(trained / "runs" / "train"), "out": str(tmp_path)}
    arguments = [each.format(**places) for each in COMMANDS[command]]
    before = sys.stdout, sys.stderr
    assert done_with(STREAMS[kind](), arguments, trained) == 0
    assert (sys.stdout, sys.stderr) == before
    if command == "train":
        assert (tmp_path / "train" / "best.safetensors").is_file()


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_names_that_the_output_lacks_are_printed_by_number(encoding: str, case: MakeCase) -> None:
    folder = case("T16a-ascii-stdout")
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    weights = "runs/猫/best.safetensors"
    for arguments in (
        ["data", "stats", "data.yaml"],
        ["train", "--data", "data.yaml", *SMALL, "--name", "猫"],
        ["val", "--weights", weights, "--data", "data.yaml"],
    ):
        assert done_with(stream, arguments, folder) == 0
    lines = stream.buffer.getvalue().decode(encoding).splitlines()  # type: ignore[attr-defined]
    assert [line for line in lines if line.startswith("\\u732b, objects in images")]
    assert "Results in runs/\\u732b" in lines
    assert [line for line in lines if line.split()[:2] == ["\\u732b", "1"]]  # of the table of classes
    assert "Results in runs/猫" in (folder / "runs" / "猫" / "train.log").read_text(encoding="utf-8")


@pytest.mark.parametrize("kind", ["missing", "full"])
def test_a_run_without_an_output_is_complete(kind: str, case: MakeCase) -> None:
    folder = case("T17b-no-stdout")
    assert done_with(STREAMS[kind](), ["train", "--data", "data.yaml", *SMALL], folder) == 0
    assert {"best.safetensors", "last.safetensors", "results.csv"} <= {
        p.name for p in (folder / "runs/train").iterdir()
    }


def test_a_run_resumes_from_another_folder(case: MakeCase) -> None:
    folder = case("T02d-resume-other-cwd")
    lehr("train", "--data", "data.yaml", *SMALL, cwd=folder)
    (folder / "elsewhere").mkdir()
    shutil.copytree(folder / "runs" / "train", folder / "runs" / "older")
    done = lehr("train", "--resume", "../runs/train", "--epochs", "2", cwd=folder / "elsewhere")
    assert "2/2" in done.stdout
    config = yaml.safe_load((folder / "runs" / "train" / "config.yaml").read_text())
    assert (config["data"], config["begun_in"], config["epochs"]) == ("data.yaml", str(folder), 2)

    older = folder / "runs" / "older" / "config.yaml"  # of a version that does not say where the run was begun
    older.write_text("".join(line for line in older.open() if not line.startswith("begun_in")))
    assert "2/2" in lehr("train", "--resume", "../runs/older", "--epochs", "2", cwd=folder / "elsewhere").stdout


def test_a_config_begins_a_run_in_another_folder(case: MakeCase) -> None:
    folder = case("T02e-resume-config-other-cwd")
    lehr("train", "--data", "data.yaml", *SMALL, cwd=folder)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    done = lehr("train", "--config", "../runs/train/config.yaml", cwd=elsewhere)
    assert f"taken from where its run was started, {folder / 'data.yaml'}" in done.stdout
    assert (elsewhere / "runs" / "train" / "best.safetensors").is_file()
    done = lehr("val", "--weights", "../runs/train/best.safetensors", "--data", "data.yaml", cwd=elsewhere)
    assert str(folder / "data.yaml") in done.stdout


def test_a_last_batch_of_one_image_at_one_cell_is_trained_on(case: MakeCase) -> None:
    folder = case("T06b-imgsz32-last-1")
    small = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "32", "--epochs", "1", "--batch", "4"]
    lehr("train", "--data", "data.yaml", *small, "--device", "cpu", cwd=folder)
    assert (folder / "runs" / "train" / "best.safetensors").is_file()


@pytest.mark.parametrize(
    "options",
    [
        ["--imgsz", "32", "--batch", "1"],
        ["--imgsz", "32", "--batch", "auto"],
        ["--imgsz", "64", "--batch", "2", "--grid-min", "2", "--grid-max", "2"],
        ["--imgsz", "64", "--batch", "1", "--multi-scale", "0.9"],
        ["--imgsz", "32", "--batch", "2", "--rect"],
        ["--imgsz", "32", "--batch", "2", "--model", "yolov5n"],
        pytest.param(
            ["--imgsz", "32", "--batch", "2", "--model", "yolov3-spp", "--depth", "0.33"], marks=pytest.mark.slow
        ),
    ],
    ids=" ".join,
)
def test_single_cells_are_trained_on(options: list[str], tmp_path: Path) -> None:
    data = make_set(tmp_path, train=3, val=1)
    model = [] if "--model" in options else ["--model", "yolov8n"]
    small = [*model, "--width", "0.125", "--epochs", "1", "--device", "cpu", *options]
    lehr("train", "--data", data, *small, cwd=tmp_path)
    metrics = (tmp_path / "runs" / "train" / "results.csv").read_text()
    assert "nan" not in metrics and (tmp_path / "runs" / "train" / "best.safetensors").is_file()


def test_a_validation_of_background_counts_false_positives(case: MakeCase) -> None:
    folder = case("T07b-val-background")
    done = lehr("train", "--data", "data.yaml", *TINY, "--epochs", "2", cwd=folder)
    assert (
        "No image of the validation split has an object" in done.stdout
        and "Epoch 2, the last, counts as the best" in done.stdout
    )
    lines = (folder / "runs" / "train" / "results.csv").read_text().splitlines()
    assert "val/false_positives_per_image" in lines[0]
    metrics = folder / "metrics.json"
    weights = "runs/train/best.safetensors"
    done = lehr("val", "--weights", weights, "--data", "data.yaml", "--json", metrics, cwd=folder)
    numbers = json.loads(metrics.read_text())
    assert numbers["false_positives"] == 0 and numbers["recall"] is None and numbers["instances"] == 0
    assert "No false positive at confidence 0.250." in done.stdout
    done = lehr("evolve", "--data", "data.yaml", *SMALL, "--trials", "2", cwd=folder, code=2)
    assert "no trial could be better than another" in done.stderr


def test_a_validation_without_label_files_is_refused_with_the_remedy(tmp_path: Path) -> None:
    data = make_set(tmp_path)
    shutil.rmtree(tmp_path / "labels" / "val")
    done = lehr("train", "--data", data, *SMALL, cwd=tmp_path, code=2)
    assert "2 of 2 have no label file" in done.stderr and "empty label file" in done.stderr


def train_with_a_tiny_dev_shm(size: str, fill: bool, arguments: list[str | Path]) -> None:
    """Train where `/dev/shm` has a size, and is full; a process's work."""
    assert ctypes.CDLL(None, use_errno=True).unshare(0x20000) == 0, "no namespace of mounts"
    subprocess.run(["mount", "--make-rprivate", "/"], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", "/dev/shm"], check=True)
    if fill:
        with contextlib.suppress(OSError), Path("/dev/shm/full").open("wb", buffering=0) as file:
            while True:
                file.write(bytes(1024))
    command(arguments)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts need root")
@pytest.mark.parametrize(("size", "fill"), [pytest.param("256k", False, marks=pytest.mark.slow), ("4k", True)])
def test_a_tiny_dev_shm_keeps_no_run_waiting(size: str, fill: bool, tmp_path: Path) -> None:
    """Nor does it slow one: loading processes share memory that has no file."""
    mount = f"mount -t tmpfs -o size={size} tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounts are not permitted")
    small = [each for each in SMALL if each not in ("--imgsz", "64")]
    arguments = ["train", "--data", make_set(tmp_path), *small, "--imgsz", "256", "--workers", "1"]
    process = Forked(train_with_a_tiny_dev_shm, size, fill, arguments, out=tmp_path / "out", cwd=tmp_path)
    assert process.wait(120) == 0, process.out
    assert "--shm-size" not in process.out
    assert (tmp_path / "runs" / "train" / "best.safetensors").is_file()


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() != 0, reason="mounts need root")
def test_a_container_s_usual_dev_shm_suffices_for_large_batches(case: MakeCase) -> None:
    folder = case("T13c-docker-shm")
    mount = "mount -t tmpfs -o size=64m tmpfs /dev/shm"
    if subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True).returncode:
        pytest.skip("mounts are not permitted")
    options = "--model yolov8n --width 0.125 --imgsz 640 --epochs 1 --batch 16 --workers 2"
    command = f"{mount}; {sys.executable} -m lehr train --data data.yaml {options}"
    line = ["unshare", "-m", "sh", "-c", command]
    done = subprocess.run(line, cwd=folder, capture_output=True, text=True, timeout=400)
    assert done.returncode in (0, 1) and "Traceback" not in done.stderr, done.stderr
    assert done.returncode == 0 or "/dev/shm" in done.stderr
