"""Callbacks and silence in the shell."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import MakeYolo
from tests.e2e.launched import ForkedLaunch

from lehr.callbacks.events import FitEpochEnd, TrainStart
from lehr.cli.app import run
from lehr.errors import InputError

SMALL = ["--imgsz", "64", "--batch", "4", "--epochs", "1", "--device", "cpu", "--amp", "off"]
SMALL += ["--width", "0.0625", "--depth", "0.01"]


class EpochFile:
    """Writes a line an epoch, on every process, into the run's folder."""

    all_ranks = True

    def on_train_start(self, event: TrainStart) -> None:
        """Note who listens."""
        self._write(event, "start")

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Note an epoch."""
        self._write(event, event.epoch)

    def _write(self, event: Any, what: object) -> None:
        with (event.run.folder / f"heard-{event.run.rank}-of-{event.run.processes}.txt").open("a") as file:
            file.write(f"{what}\n")


NAME = "tests.callbacks.test_command:EpochFile"


def test_a_callback_is_named_in_the_shell_and_a_quiet_run_prints_nothing(
    make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    data = str(make_yolo())
    where = ["--project", str(tmp_path / "runs")]
    assert run(["train", "--data", data, *SMALL, *where, "--callback", NAME, "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    folder = tmp_path / "runs" / "train"
    assert (folder / "heard-0-of-1.txt").read_text() == "start\n0\n"
    assert "mAP50-95" in (folder / "train.log").read_text()
    weights = str(folder / "best.safetensors")
    found, metrics = tmp_path / "found.json", tmp_path / "metrics.json"
    image = str(Path(data).parent / "images" / "val" / "0.jpg")
    assert run(["predict", image, "--weights", weights, *where, "--json", str(found), "--quiet"]) == 0
    assert run(["val", "--weights", weights, "--data", data, "--json", str(metrics), "--quiet"]) == 0
    assert capsys.readouterr().out == ""
    assert len(json.loads(found.read_text())) == 1 and json.loads(metrics.read_text())["images"] == 4


def test_a_callback_that_cannot_be_found_is_refused_before_anything_is_made(
    make_yolo: MakeYolo, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=r"--callback no\.such:thing: cannot be imported"):
        run(["train", "--data", str(make_yolo()), "--project", str(tmp_path / "runs"), "--callback", "no.such:thing"])
    assert not (tmp_path / "runs").exists()


def test_a_file_of_options_does_not_get_to_run_code(
    make_yolo: MakeYolo, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = tmp_path / "options.yaml"
    options.write_text(f"callback: [{NAME}]\n")
    where = ["--project", str(tmp_path / "runs"), "--config", str(options)]
    assert run(["train", "--data", str(make_yolo()), *SMALL, *where]) == 0
    told = capsys.readouterr().out
    assert f"{options} names callbacks that are code" in told and f"give --callback {NAME}" in told
    assert not list((tmp_path / "runs" / "train").glob("heard-*"))


@pytest.mark.parametrize("forked", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_processes_that_are_started_for_a_run_have_its_callbacks(
    forked: bool, make_yolo: MakeYolo, tmp_path: Path
) -> None:
    where = ["--project", str(tmp_path / "runs"), "--processes", "2", "--quiet"]
    command = ["train", "--data", str(make_yolo()), *SMALL, *where, "--callback", NAME]
    if forked:
        launched = ForkedLaunch(tmp_path / "command", command)
        assert launched.end() == 0, launched.err
    else:
        assert run(command) == 0
    heard = {path.name: path.read_text() for path in (tmp_path / "runs" / "train").glob("heard-*")}
    assert heard == {"heard-0-of-2.txt": "start\n0\n", "heard-1-of-2.txt": "start\n0\n"}
