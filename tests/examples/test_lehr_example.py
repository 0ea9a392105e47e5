"""The example package, installed as anybody would, adds a family, an augmentation and a logger to Lehr."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.conftest import draw_squares
from tests.processes import Forked, command

EXAMPLE = Path(__file__).parents[2] / "examples" / "lehr-example"
EPOCHS, BATCHES = 12, 6
KILLED_AT = 7 * BATCHES + 3
"""Batch after which the run is killed: three batches of its epoch are logged, and in no checkpoint."""
OPTIONS = {"model": "toy-s", "imgsz": 64, "batch": 4, "epochs": EPOCHS, "mosaic": 0, "lr0": 0.01}
KILLER = f"""
import os, signal

class Killer:
    def on_train_batch_end(self, event):
        if event.step == {KILLED_AT}:
            os.kill(os.getpid(), signal.SIGKILL)
"""
PLANS = """
import hashlib, json, sys
from lehr.augment.plan import plan_sample
from lehr.data.load import load_dataset
from lehr.options import AugmentOptions

samples = load_dataset(sys.argv[1]).splits["train"]
plans = {}
for asked in ((), ("quarter-turns=0.5",), ("quarter-turns",)):
    options = AugmentOptions(augmentation=asked, hsv_h=0, hsv_s=0, hsv_v=0, mosaic=0, translate=0, scale=0)
    plans[" ".join(asked)] = [
        (plan.boxes.tolist(), [tile.matrix.tolist() for tile in plan.tiles])
        for index in range(len(samples))
        for plan in [plan_sample(samples, options, 64, seed=0, epoch=1, index=index, multi_image=True)]
    ]
assert "torch" not in sys.modules
print(json.dumps(plans))
"""


class Installed:
    """The package in a folder of its own, data to train on, and what is run with both."""

    def __init__(self, folder: Path) -> None:
        source = shutil.copytree(EXAMPLE, folder / "source", ignore=shutil.ignore_patterns("build", "*.egg-info"))
        install = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-index"]
        install += ["--no-deps", "--no-build-isolation", "--target", str(folder / "site"), str(source)]
        subprocess.run(install, check=True)
        self.folder = folder
        self.data = squares(folder / "data")
        (folder / "killing.py").write_text(KILLER)

    def run(self, *arguments: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """Run Python with the package installed."""
        paths = [str(self.folder / "site"), str(self.folder), os.environ.get("PYTHONPATH", "")]
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
        return subprocess.run(
            [sys.executable, *arguments], env=env, capture_output=True, text=True, cwd=self.folder, **options
        )

    def fork(self, *arguments: str) -> Forked:
        """Do a command of `lehr` to its end in a process that has Lehr loaded, and not yet looked for packages."""
        paths = [str(self.folder / "site"), str(self.folder)]
        number = len(list(self.folder.glob("*.out")))
        files = {kind: self.folder / f"{number}.{kind}" for kind in ("out", "err")}
        process = Forked(_with_packages, paths, arguments, cwd=self.folder, **files)
        process.wait()
        return process

    def training(self, name: str, *more: str) -> list[str]:
        """The command that trains on the squares with all that the package adds."""
        given = [word for option, value in OPTIONS.items() for word in (f"--{option.replace('_', '-')}", str(value))]
        given += ["--data", str(self.data), "--device", "cpu", "--name", name]
        return ["train", *given, "--augmentation", "quarter-turns=0.5", "--callback", "json-lines", *more]

    def events(self, name: str) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.folder / "runs" / name / "course.jsonl").read_text().splitlines()]


def _with_packages(paths: list[str], arguments: list[str]) -> None:
    sys.path[:0] = paths
    command(arguments)


def squares(folder: Path) -> Path:
    """Images with a square each, its class by its side; returns the data YAML."""
    for split, count in {"train": 4 * BATCHES, "val": 8}.items():
        (folder / "labels" / split).mkdir(parents=True)
        for i in range(count):
            side, x, y = (16 if i % 2 == 0 else 28), 4 + 3 * i % 20, 6 + 2 * i % 20
            draw_squares(folder / "images" / split / f"{i}.png", [(x, y, x + side, y + side)], seed=i)
            row = f"{i % 2} {(x + side / 2) / 64} {(y + side / 2) / 64} {side / 64} {side / 64}\n"
            (folder / "labels" / split / f"{i}.txt").write_text(row)
    (folder / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [small, large]\n")
    return folder / "data.yaml"


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installed]:
    yield Installed(tmp_path_factory.mktemp("example"))


@pytest.mark.slow
def test_its_family_trains_and_its_logger_goes_on_after_a_kill_without_gap_or_double(installed: Installed) -> None:
    whole = installed.run("-m", "lehr", *installed.training("whole"))
    assert whole.returncode == 0, whole.stderr
    rows = list(csv.DictReader((installed.folder / "runs" / "whole" / "results.csv").open()))
    assert float(rows[0]["val/map50"]) < 0.1 and float(rows[-1]["val/map50"]) > 0.5
    events = installed.events("whole")
    epochs = [["epoch start", *["batch"] * BATCHES, "epoch end"] for _ in range(EPOCHS)]
    kinds = ["train start", *(each for epoch in epochs for each in epoch), "train end"]
    assert [event["event"] for event in events] == kinds
    assert [event["step"] for event in events if event["event"] == "batch"] == list(range(EPOCHS * BATCHES))

    killed = installed.fork(*installed.training("killed", "--callback", "killing:Killer"))
    assert killed.returncode == -9, killed.err
    logged = [event["step"] for event in installed.events("killed") if event["event"] == "batch"]
    assert logged == list(range(KILLED_AT + (logged[-1] == KILLED_AT))) and len(logged) > 7 * BATCHES
    resumed = installed.fork("train", "--resume", "runs/killed")
    assert resumed.returncode == 0, resumed.err
    again = installed.events("killed")
    (begins,) = [index for index, event in enumerate(again) if event.get("resumed")]
    assert again[begins]["step"] == 7 * BATCHES
    assert again[:begins] + again[begins + 1 :] == events
    options = yaml.safe_load((installed.folder / "runs" / "killed" / "config.yaml").read_text())
    assert options["augmentation"] == ["quarter-turns=0.5"] and options["callback"] == ["json-lines"]


def test_its_augmentation_is_in_the_plan_and_turns_pictures_with_their_boxes(installed: Installed) -> None:
    done = [installed.run("-c", PLANS, str(installed.data)) for _ in range(2)]
    assert done[0].returncode == 0, done[0].stderr
    assert done[0].stdout == done[1].stdout
    plans = json.loads(done[0].stdout)
    plain, sometimes, always = plans[""], plans["quarter-turns=0.5"], plans["quarter-turns"]
    turned = [one != other for one, other in zip(plain, sometimes, strict=True)]
    assert 4 < sum(turned) < 20 and all(one != other for one, other in zip(plain, always, strict=True))
    for (boxes, matrices), (new_boxes, new_matrices) in zip(plain, always, strict=True):
        turn = np.array(new_matrices[0]) @ np.linalg.inv(matrices[0])
        assert np.round(np.linalg.det(turn), 6) == 1 and np.round(np.abs(turn[:2, :2]).sum(), 6) == 2
        corners = np.array([[boxes[0][0], boxes[0][1], 1], [boxes[0][2], boxes[0][3], 1]]) @ turn.T
        wanted = [*corners[:, :2].min(0), *corners[:, :2].max(0)]
        np.testing.assert_allclose(new_boxes[0], wanted, atol=1e-4)
