"""The commands as a user gives them: what they print, what they leave, and how a signal ends them."""

from __future__ import annotations

import csv
import json
import os
import signal
import time
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file
from tests.commands import lehr
from tests.conftest import MakeYolo
from tests.processes import start_lehr

from lehr.models.build import build_model
from lehr.weights.write import save_weights

SMALL = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--batch", "4", "--device", "cpu", "--amp", "off"]


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a short run on squares."""
    root = tmp_path_factory.mktemp("trained")
    yaml_path = make_set(root)
    lehr("train", "--data", yaml_path, *SMALL, "--epochs", "3", "--close-mosaic", "1", "--name", "run", cwd=root)
    return root / "runs" / "run"


def make_set(root: Path) -> Path:
    from tests.conftest import draw_squares

    for split, count in {"train": 10, "val": 4}.items():
        for i in range(count):
            size = 16 if i % 2 == 0 else 28
            draw_squares(root / "images" / split / f"{i}.jpg", [(4 + i, 6, 4 + i + size, 6 + size)], seed=i + count)
            (root / "labels" / split).mkdir(parents=True, exist_ok=True)
            row = f"{i % 2} {(4 + i + size / 2) / 64} {(6 + size / 2) / 64} {size / 64} {size / 64}\n"
            (root / "labels" / split / f"{i}.txt").write_text(row)
    path = root / "set.yaml"
    path.write_text("train: images/train\nval: images/val\nnames: [small, large]\n")
    return path


def test_a_run_leaves_what_it_promises(trained: Path) -> None:
    assert {"config.yaml", "results.csv", "train.log", "best.safetensors", "last.safetensors"} <= {
        path.name for path in trained.iterdir()
    }
    sheets = {path.name for path in (trained / "plots").glob("train-batch-*.jpg")}
    assert sheets == {f"train-batch-{name}.jpg" for name in ("first", "middle", "without-mosaic")}
    assert json.loads((trained / "data.json").read_text())["splits"]["train"]["images"] == 10
    rows = list(csv.DictReader((trained / "results.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"] and [row["step"] for row in rows] == ["3", "6", "9"]
    wanted = {"seconds", "images_per_second", "train/box", "train/cls", "train/dfl", "val/map50", "val/map"}
    wanted |= {"val/map50_max_det", "val/map_max_det"}
    assert wanted | {"lr/weights", "lr/norms", "lr/biases"} <= set(rows[0])
    assert all(float(row["train/cls"]) > 0 and 0 <= float(row["val/map50"]) <= 1 for row in rows)
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["epochs"] == 3 and config["imgsz"] == 64 and config["lrf"] == 0.01
    log = (trained / "train.log").read_text()
    assert "3/3" in log and "\x1b" not in log


def test_a_run_leaves_what_its_best_weights_found(trained: Path) -> None:
    from lehr.analysis.record_file import load_record
    from lehr.evaluation.metrics import Metrics, evaluate_detections
    from lehr.weights.load import read_metadata

    record, best = load_record(trained / "detections.safetensors"), read_metadata(trained / "best.safetensors")
    assert str(record.epoch) == best["epoch"] and record.names == ("small", "large")
    assert [sample.path.name for sample in record.samples] == ["0.jpg", "1.jpg", "2.jpg", "3.jpg"]
    metrics = evaluate_detections(record.samples, record.names, record.detections, record.max_det)
    assert metrics == Metrics.from_dict(json.loads(best["metrics"]))


def test_the_output_of_a_run_is_readable_in_a_file(trained: Path, tmp_path: Path) -> None:
    data = trained.parents[1] / "set.yaml"
    process = start_lehr("train", "--data", data, *SMALL, "--epochs", "1", folder=tmp_path)
    out, err = process.communicate()
    assert process.returncode == 0 and err == ""
    assert "\x1b" not in out and "\r" not in out
    lines = out.splitlines()
    header = next(i for i, line in enumerate(lines) if "mAP50-95" in line)
    assert any(line.split()[:1] == ["1/1"] for line in lines[header + 1 :]) and "images/s" in lines[header]
    assert "lehr predict" in out  # what to try next


def test_the_same_seed_gives_the_same_run_whatever_the_workers(trained: Path, tmp_path: Path) -> None:
    data = trained.parents[1] / "set.yaml"
    losses = []
    for name, workers in (("a", "0"), ("b", "2")):
        lehr("train", "--data", data, *SMALL, "--epochs", "2", "--workers", workers, "--name", name, cwd=tmp_path)
        rows = list(csv.DictReader((tmp_path / "runs" / name / "results.csv").open()))
        losses.append([[row[f"train/{part}"] for part in ("box", "cls", "dfl")] for row in rows])
    assert losses[0] == losses[1]


def test_options_come_from_a_file_and_those_given_win(trained: Path, tmp_path: Path) -> None:
    data = trained.parents[1] / "set.yaml"
    (tmp_path / "c.yaml").write_text(f"data: {data}\nepochs: 5\nimgsz: 64\nbatch: 4\ndevice: cpu\nwidth: 0.125\n")
    lehr("train", "--config", "c.yaml", "--epochs", "1", "--name", "x", cwd=tmp_path)
    config = yaml.safe_load((tmp_path / "runs" / "x" / "config.yaml").read_text())
    assert config["epochs"] == 1 and config["batch"] == 4


def test_sizes_that_are_no_multiple_of_32_are_rounded_and_said(trained: Path, tmp_path: Path) -> None:
    data = trained.parents[1] / "set.yaml"
    small = [*SMALL[:4], *SMALL[6:]]  # without a size
    done = lehr("train", "--data", data, *small, "--imgsz", "50", "--epochs", "1", cwd=tmp_path)
    assert "--imgsz 50 is not a multiple of 32: rounded up to 64" in done.stdout


def test_training_goes_on_from_weights_with_other_classes(trained: Path, make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    text = data.read_text().replace("[small, large]", "[small, large, none]")
    data.write_text(text)
    weights = trained / "best.safetensors"
    done = lehr("train", "--data", data, *SMALL, "--epochs", "1", "--weights", weights, cwd=tmp_path)
    assert "tensors start from" in done.stdout


def test_validation_writes_the_numbers_promised(trained: Path, tmp_path: Path) -> None:
    data = trained.parents[1] / "set.yaml"
    weights = trained / "best.safetensors"
    done = lehr("val", "--weights", weights, "--data", data, "--json", "m.json", cwd=tmp_path)
    assert "small" in done.stdout and "mAP50" in done.stdout
    numbers = json.loads((tmp_path / "m.json").read_text())
    assert {"map", "map50", "map75", "map_small", "map_medium", "map_large", "precision", "recall", "f1"} <= set(
        numbers
    )
    assert numbers["images"] == 4 and numbers["instances"] == 4 and 0 <= numbers["confidence"] <= 1
    assert set(numbers["classes"]) == {"small", "large"}
    assert {"map", "map50", "precision", "recall", "f1", "instances"} <= set(numbers["classes"]["small"])
    assert set(numbers["seconds"]) == {"preprocess", "inference", "postprocess"}
    best = max(
        csv.DictReader((trained / "results.csv").open()),
        key=lambda r: float(r["val/map_max_det"]) * 0.9 + float(r["val/map50_max_det"]) * 0.1,
    )
    assert numbers["map50"] == pytest.approx(float(best["val/map50"]), abs=1e-5)


def test_prediction_writes_annotated_copies_and_json(trained: Path, tmp_path: Path) -> None:
    images = trained.parents[1] / "images"
    arguments = ["--weights", trained / "best.safetensors", "--conf", "0.0001", "--json", "found.json"]
    glob = f"{images}/train/[0-2].jpg"
    done = lehr("predict", images / "val", glob, *arguments, "--name", "p", cwd=tmp_path)
    found = json.loads((tmp_path / "found.json").read_text())
    assert len(found) == 7 and len(list((tmp_path / "runs" / "p").glob("*.jpg"))) == 7
    assert len(done.stdout.splitlines()) == 8
    first = found[0]
    assert (first["width"], first["height"]) == (64, 64) and first["source"].endswith("0.jpg")
    assert first["detections"], "at this confidence something is found"
    for each in first["detections"]:
        x1, y1, x2, y2 = each["xyxy"]
        assert 0 <= x1 < x2 <= 64 and 0 <= y1 < y2 <= 64
        assert each["name"] == ["small", "large"][each["class"]] and 0 < each["score"] <= 1
    scores = [each["score"] for each in first["detections"]]
    assert scores == sorted(scores, reverse=True)


def test_data_commands(trained: Path, tmp_path: Path) -> None:
    data = trained.parents[1] / "set.yaml"
    assert "0 errors" in lehr("data", "check", data, cwd=tmp_path).stdout
    assert "small" in lehr("data", "stats", data, cwd=tmp_path).stdout
    lehr("data", "split", data, "--ratios", "0.5,0.5", "--out", "half", cwd=tmp_path)
    assert len((tmp_path / "half" / "train.txt").read_text().splitlines()) == 7
    lehr("data", "convert", data, "--to", "coco", "--out", "coco", cwd=tmp_path)
    assert "0 errors" in lehr("data", "check", "coco", cwd=tmp_path).stdout


def test_data_check_lists_faults_with_file_and_line_and_fails(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    (data.parent / "labels" / "val" / "1.txt").write_text("0 0.5 0.5 0.1 0.1\nnonsense\n")
    done = lehr("data", "check", data, "--json", "faults.json", cwd=tmp_path, code=1)
    assert "1.txt:2: error" in done.stdout and "1 malformed-line" in done.stdout
    assert json.loads((tmp_path / "faults.json").read_text())[0]["line"] == 2


@pytest.mark.skipif(os.name != "posix", reason="signals")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_weights_written(trained: Path, tmp_path: Path, number: int, code: int) -> None:
    data = trained.parents[1] / "set.yaml"
    process = start_lehr("train", "--data", data, *SMALL, "--epochs", "500", "--name", "s", folder=tmp_path)
    results = tmp_path / "runs" / "s" / "results.csv"
    deadline = time.monotonic() + 120
    while not results.exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == code, errors
    assert "Traceback" not in errors and "last.safetensors" in errors
    lehr("val", "--weights", results.parent / "last.safetensors", "--data", data, cwd=tmp_path)


def assert_same_tensors(one: Path, two: Path) -> None:
    """Two files of weights hold the same numbers."""
    first, second = load_file(one), load_file(two)
    assert first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def test_weights_alone_name_the_model_too(make_yolo: MakeYolo, tmp_path: Path) -> None:
    model = build_model("yolov5s", ("small", "large"), 64, depth=0.2, width=0.125, anchors=4)
    save_weights(model, tmp_path / "w.safetensors")
    data, small = make_yolo(), ["--imgsz", "64", "--batch", "4", "--device", "cpu", "--epochs", "1", "--amp", "off"]
    done = lehr("train", "--data", data, "--weights", "w.safetensors", *small, cwd=tmp_path)
    assert "The model is that of the weights, yolov5s; --model names another." in done.stdout
    config = yaml.safe_load((tmp_path / "runs" / "train" / "config.yaml").read_text())
    assert [config[name] for name in ("model", "depth", "width", "anchors")] == ["yolov5s", 0.2, 0.125, 4]
    assert f"{len(model.state_dict())} of {len(model.state_dict())} tensors start from w.safetensors" in done.stdout
    named = lehr("train", "--explain", "--weights", "w.safetensors", "--model", "yolov5n", cwd=tmp_path).stdout
    assert "is that of the weights" not in named
    (tmp_path / "w.safetensors").unlink()
    repeated = lehr("train", "--config", "runs/train/config.yaml", cwd=tmp_path, code=2)
    assert "to start from that, give --weights runs/train/start.safetensors" in repeated.stderr
    kept = ["--weights", "runs/train/start.safetensors", "--name", "again"]
    lehr("train", "--config", "runs/train/config.yaml", *kept, cwd=tmp_path)
    one, two = (tmp_path / "runs" / name / "last.safetensors" for name in ("train", "again"))
    assert_same_tensors(one, two)
