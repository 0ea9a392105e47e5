"""`lehr predict` writes every form of results that is asked for, and says before the work what it cannot."""

from __future__ import annotations

import csv
import json
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.commands import lehr
from tests.conftest import Once

from lehr.models.build import build_model
from lehr.weights.write import save_weights

ALL = ("--save-labels", "--save-conf", "--save-crops", "--json", "o.json", "--jsonl", "o.jsonl", "--csv", "o.csv")


@pytest.fixture(scope="session")
def weights(once: Once) -> Path:
    """Weights that know cat and dog, and have learned nothing."""

    def make(folder: Path) -> None:
        folder.mkdir()
        save_weights(build_model("yolov8n", ("cat", "dog"), 64, width=0.125), folder / "w.safetensors")

    return once("cat-and-dog-64", make) / "w.safetensors"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Two images and a video of 12 frames."""
    rng = np.random.default_rng(0)
    (tmp_path / "in").mkdir()
    for name in ("a.png", "b.jpg"):
        cv2.imwrite(str(tmp_path / "in" / name), rng.integers(0, 255, (48, 64, 3), np.uint8))
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "in" / "v.avi"), "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for index in range(12):
            pixels = np.full((48, 64, 3), 20 * index, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))
    return tmp_path


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_every_form_at_once_of_images_and_a_video(folder: Path, weights: Path) -> None:
    command = ["predict", "in", "--weights", weights, "--conf", "0.0001", "--max-det", "3", "--batch", "5"]
    done = lehr(*command, *ALL, "--coco", "c.json", cwd=folder)
    run = folder / "runs" / "predict"
    assert names(run) == ["a.png", "b.jpg", "crops", "labels", "v.mp4"]
    records = json.loads((folder / "o.json").read_text())
    assert [json.loads(line) for line in (folder / "o.jsonl").read_text().splitlines()] == records
    assert [each.get("frame") for each in records] == [None, None, *range(12)]
    objects = sum(len(each["detections"]) for each in records)
    assert objects == 14 * 3
    with (folder / "o.csv").open(newline="") as file:
        assert len(list(csv.reader(file))) == 1 + objects
    assert len(json.loads((folder / "c.json").read_text())) == objects
    assert len(names(run / "labels")) == 14 and all(
        len(line.split()) == 6 for path in (run / "labels").iterdir() for line in path.read_text().splitlines()
    )
    assert sum(len(names(each)) for each in (run / "crops").iterdir()) == objects
    video = cv2.VideoCapture(str(run / "v.mp4"))
    assert video.get(cv2.CAP_PROP_FRAME_COUNT) == 12 and video.get(cv2.CAP_PROP_FPS) == pytest.approx(10)
    for line in (
        "in/a.png: ",
        "in/v.avi: 12 frames; ",
        "14 of 14 frames have as many",
        "Labels in runs/predict/labels",
    ):
        assert line in done.stdout


def test_tracks_are_in_every_form(folder: Path, weights: Path) -> None:
    pytest.importorskip("trackers")
    lehr("predict", "in/v.avi", "--weights", weights, "--conf", "0.0001", "--track", *ALL, cwd=folder)
    with_tracks = [each for each in json.loads((folder / "o.json").read_text()) if each["frame"] > 0]
    tracks = {found["track"] for each in with_tracks for found in each["detections"] if "track" in found}
    assert tracks and min(tracks) == 1
    with (folder / "o.csv").open(newline="") as file:
        assert {row["track"] for row in csv.DictReader(file)} - {""} == {str(each) for each in tracks}
    labels = (folder / "runs/predict/labels/v_000005.txt").read_text().splitlines()
    assert {int(line.split()[6]) for line in labels if len(line.split()) == 7} <= tracks
    assert any("-track" in path.name for path in (folder / "runs/predict/crops").rglob("*.jpg"))


def test_classes_are_found_alone_and_wrong_ones_refused(folder: Path, weights: Path) -> None:
    command = ["predict", "in/a.png", "--weights", weights, "--conf", "0.0001", "--no-save", "--json", "o.json"]
    found = {}
    for classes in ("cat,dog", "cat", "1"):
        lehr(*command, "--classes", classes, "--agnostic", cwd=folder)
        [record] = json.loads((folder / "o.json").read_text())
        found[classes] = [each["name"] for each in record["detections"]]
    assert found["cat,dog"] and set(found["cat"]) <= {"cat"} and set(found["1"]) <= {"dog"}
    assert len(found["cat"]) >= found["cat,dog"].count("cat") and len(found["1"]) >= found["cat,dog"].count("dog")
    assert "no class 'dgo'. Did you mean dog?" in lehr(*command, "--classes", "cat,dgo", cwd=folder, code=2).stderr


def test_half_precision_stays_float32_on_a_cpu(folder: Path, weights: Path) -> None:
    command = ["predict", "in/a.png", "--weights", weights, "--conf", "0.0001", "--no-save", "--device", "cpu"]
    for option in ([], ["--half"]):
        lehr(*command, *option, "--json", f"o{len(option)}.json", cwd=folder)
    assert (folder / "o0.json").read_text() == (folder / "o1.json").read_text()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--save-conf"], "--save-conf is about labels. Add --save-labels."),
        (["--coco-ids", "x.json"], "--coco-ids is about COCO results. Add --coco FILE."),
        (["--csv", "mine.csv"], "--csv mine.csv: exists and is not a table written by lehr predict."),
        (["--jsonl", "mine.csv"], "--jsonl mine.csv: exists and is not a JSON file."),
        (["--json", "o.json", "--coco", "./o.json"], "--coco o.json: is the file of --json, too"),
        (["--jsonl", "none/o.jsonl"], "there is no folder none"),
    ],
)
def test_what_cannot_be_written_is_said_before_the_work(
    folder: Path, weights: Path, options: list[str], words: str
) -> None:
    (folder / "mine.csv").write_text("name,price\n")
    done = lehr("predict", "in/a.png", "--weights", weights, *options, cwd=folder, code=2)
    assert words in done.stderr and names(folder) == ["in", "mine.csv"]


def test_an_earlier_table_is_replaced_and_a_device_written_to(folder: Path, weights: Path) -> None:
    command = ["predict", "in/a.png", "--weights", weights, "--conf", "0.0001", "--no-save"]
    for _ in range(2):
        lehr(*command, "--csv", "o.csv", "--jsonl", "/dev/null", "--json", "/dev/null", cwd=folder)
    assert (folder / "o.csv").read_text().startswith("source,frame,time,class") and Path("/dev/null").is_char_device()


@pytest.fixture
def ctrl_c(folder: Path) -> Iterator[None]:
    """Ctrl-C as soon as the first results are there."""
    ended = threading.Event()

    def press() -> None:
        while not ended.wait(0.02):
            path = folder / "o.jsonl"
            if path.exists() and path.stat().st_size:
                os.kill(os.getpid(), signal.SIGINT)
                return

    thread = threading.Thread(target=press)
    thread.start()
    yield
    ended.set()
    thread.join()


@pytest.mark.usefixtures("ctrl_c")
def test_ctrl_c_leaves_all_files_complete(folder: Path, weights: Path) -> None:
    """A folder that is watched has no end of its own."""
    done = lehr("predict", "in", "--watch", "--weights", weights, *ALL, "--conf", "0.0001", cwd=folder, code=130)
    records = json.loads((folder / "o.json").read_text())
    assert records and [json.loads(line) for line in (folder / "o.jsonl").read_text().splitlines()] == records
    assert "Annotated copies in" in done.stdout and not [name for name in names(folder) if name.startswith(".")]
