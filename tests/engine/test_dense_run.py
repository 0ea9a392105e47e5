"""Images with more objects of a class than COCO counts, in a run; and runs from before that counted."""

from __future__ import annotations

import csv
import dataclasses
import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from benchmarks.accuracy import best_row
from tests.commands import lehr
from tests.conftest import MakeYolo
from tests.engine.runs import on, resume, run, stopped_run

from lehr.callbacks.events import FitEpochEnd
from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.search.fitness import DEFAULT, parse_fitness, read_epochs

NEW = {"map_max_det", "map50_max_det", "max_det"}


@pytest.fixture
def dense(tmp_path: Path) -> Path:
    """Images of 144 small objects each, of one class."""
    rng, side = np.random.default_rng(0), 12
    for split in ("train", "val"):
        for number in range(4):
            canvas = np.full((96, 96, 3), 110, np.uint8)
            lines = []
            for place in range(side**2):
                x, y = 8 * (place % side), 8 * (place // side)
                canvas[y + 1 : y + 6, x + 1 : x + 6] = rng.integers(0, 256, 3)
                lines.append(f"0 {(x + 3.5) / 96:.6f} {(y + 3.5) / 96:.6f} {5 / 96:.6f} {5 / 96:.6f}")
            for kind in ("images", "labels"):
                (tmp_path / "set" / kind / split).mkdir(parents=True, exist_ok=True)
            cv2.imwrite(str(tmp_path / "set" / "images" / split / f"{number}.png"), canvas)
            (tmp_path / "set" / "labels" / split / f"{number}.txt").write_text("\n".join(lines))
    data = tmp_path / "set" / "data.yaml"
    data.write_text(f"path: {data.parent}\ntrain: images/train\nval: images/val\nnames: [cell]\n")
    return data


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "results.csv").open()))


def test_a_dense_run_says_so_and_its_best_is_of_all_that_is_kept(
    dense: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    ends: list[FitEpochEnd] = []
    with on("on_fit_epoch_end", ends.append):
        result = run(dense, tmp_path, "dense", epochs=2, max_det=250)
    log = (result.folder / "train.log").read_text()
    assert "4 of 4 validation images hold more than 100 objects of one class, the densest 144" in log
    head = next(line for line in log.splitlines() if line.split()[:1] == ["epoch"])
    row = next(line for line in log.splitlines() if line.split()[:1] == ["1/2"])
    assert head.split()[-4:] == ["mAP50-95", "mAP50_250", "mAP50-95_250", "remaining"]
    assert len(head) == len(row.removesuffix(" *"))
    for end, row_written in zip(ends, rows_of(result.folder), strict=True):
        m = end.metrics
        assert m.max_det == 250 and end.run.crowded
        for name in ("map", "map50", "map_max_det", "map50_max_det"):
            assert float(row_written[f"val/{name}"]) == pytest.approx(getattr(m, name), rel=1e-5)
    best = max(ends, key=lambda end: end.metrics.fitness)
    assert result.metrics == best.metrics
    assert int(best_row(result.folder)["epoch"]) == best.epoch + 1
    assert yaml.safe_load((result.folder / "config.yaml").read_text())["max_det"] == 250
    command = ["val", "--weights", result.best, "--data", dense, "--json", "m.json", "--max-det", "120"]
    done = lehr(*command, cwd=tmp_path)
    assert "the densest 144" in done.stdout and "--max-det 200" in done.stdout
    numbers = json.loads((tmp_path / "m.json").read_text())
    assert numbers["max_det"] == 120 and set(numbers) >= NEW
    capsys.readouterr()


def test_a_run_without_dense_images_says_nothing(make_yolo: MakeYolo, tmp_path: Path) -> None:
    result = run(make_yolo(), tmp_path, "run", epochs=1)
    log = (result.folder / "train.log").read_text()
    assert "Dense images" not in log and "mAP50_300" not in log


def test_best_and_the_weights_of_images_follow_all_that_is_kept(
    make_yolo: MakeYolo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    courses = {"map": [0.5, 0.4, 0.3], "map50": [0.6, 0.5, 0.4]}
    courses |= {"map_max_det": [0.5, 0.7, 0.6], "map50_max_det": [0.6, 0.8, 0.7]}
    evaluations = iter(range(3))

    def made_up(*given: Any, **named: Any) -> Evaluation:
        evaluation, epoch = evaluate(*given, **named), next(evaluations)
        assert named["max_det"] == 300
        numbers = {name: values[epoch] for name, values in courses.items()}
        classes = {
            name: dataclasses.replace(each, map=0.01 * epoch, map_max_det=0.1 * epoch)
            for name, each in evaluation.metrics.classes.items()
        }
        return dataclasses.replace(
            evaluation, metrics=dataclasses.replace(evaluation.metrics, **numbers, classes=classes)
        )

    monkeypatch.setattr("lehr.engine.validation.evaluate", made_up)
    result = run(make_yolo(), tmp_path, "run", epochs=3)
    assert result.metrics.map_max_det == 0.7 and result.metrics.fitness == 0.1 * 0.8 + 0.9 * 0.7
    state = read_checkpoint(result.folder / "last.ckpt").content["state"]
    assert state["stopping"]["best_epoch"] == 1 and state["class_maps"] == [0.2, 0.2]
    assert best_row(result.folder)["epoch"] == "2"


def as_before(folder: Path) -> None:
    """Make a stopped run one of a version that measured COCO's averages alone."""
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({n: v for n, v in yaml.safe_load(path.read_text()).items() if n != "max_det"}))
    checkpoint = read_checkpoint(folder / "last.ckpt")
    content: dict[str, Any] = checkpoint.content
    del content["config"]["max_det"]
    state = content["state"]
    for row in state["history"]:
        for name in ("map_max_det", "map50_max_det"):
            del row[f"val/{name}"]
    best = state["best_metrics"]
    for numbers in (best, *best["classes"].values()):
        for name in NEW & set(numbers):
            del numbers[name]
    write_checkpoint(folder, content, checkpoint.position)


def test_a_run_that_knew_only_cocos_averages_goes_on(make_yolo: MakeYolo, tmp_path: Path) -> None:
    folder = stopped_run(make_yolo(counts={"train": 10, "val": 4}), tmp_path, "run", 4)
    as_before(folder)
    resume(folder)
    log = (folder / "train.log").read_text()
    assert "The fitness of its 1 epoch so far is of COCO's 100 detections" in log
    rows = rows_of(folder)
    assert [row["val/map_max_det"] != "" for row in rows] == [False, True]
    epochs = read_epochs(folder / "results.csv")
    assert epochs[0].metrics["map_max_det"] == float(rows[0]["val/map"])
    assert parse_fitness(DEFAULT)(epochs[0].metrics) == pytest.approx(
        0.1 * float(rows[0]["val/map50"]) + 0.9 * float(rows[0]["val/map"])
    )
    assert best_row(folder)["epoch"] in ("1", "2")


def test_the_table_of_a_run_from_before_is_read(tmp_path: Path) -> None:
    head = "epoch,seconds,images_per_second,val/precision,val/recall,val/f1,val/map50,val/map75,val/map"
    (tmp_path / "results.csv").write_text(f"{head}\n1,10,50,0.5,0.5,0.5,0.4,0.3,0.2\n2,20,50,0.5,0.5,0.5,,,\n")
    first, second = read_epochs(tmp_path / "results.csv")
    assert (first.metrics["map_max_det"], first.metrics["map50_max_det"]) == (0.2, 0.4)
    assert second.metrics["map_max_det"] is None
    assert best_row(tmp_path)["epoch"] == "1"
