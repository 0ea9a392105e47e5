"""Going on with a run that is not there, is damaged, or was to be another one: a clear refusal."""

from __future__ import annotations

import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from benchmarks.crash import differences
from tests.conftest import MakeYolo, Once
from tests.engine.conftest import Undisturbed
from tests.engine.runs import resume, run, stopped_run

from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.checkpoint.run_folder import only_writer
from lehr.errors import InputError


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Two batches of 4, one of 2."""
    return make_yolo(counts={"train": 10, "val": 4})


@pytest.fixture
def stopped(data: Path, tmp_path: Path, once: Once) -> Path:
    """A run that was stopped in its second step, to be changed."""
    kept = once("stopped-to-refuse", lambda folder: stopped_run(shared(data, folder), folder, "run", 1))
    return shutil.copytree(kept / "run", tmp_path / "run")


def shared(data: Path, folder: Path) -> Path:
    """A copy of a data set in a folder that tests share."""
    return shutil.copytree(data.parent, folder / "data") / data.name


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"batch": 8}, "--batch cannot change from 4 to 8: the batches to come"),
        ({"lr0": 0.5}, "--lr0 cannot change from None to 0.5: the optimizer's moments"),
        ({"model": "yolov8s"}, "--model cannot change from yolov8n to yolov8s: the weights"),
        ({"mosaic": 0.0}, "--mosaic cannot change from 1.0 to 0.0: the images before and after"),
        ({"box": 1.0}, "--box cannot change from None to 1.0: the losses"),
        ({"seed": 3}, "--seed cannot change from 0 to 3: it belongs to the run"),
        ({"epochs": 1}, "--epochs 1 is fewer than the run's 2"),
    ],
)
def test_other_options_are_refused(changes: dict[str, Any], expected: str, stopped: Path) -> None:
    before = (stopped / "config.yaml").read_text()
    with pytest.raises(InputError, match=expected):
        resume(stopped, changes)
    assert (stopped / "config.yaml").read_text() == before


def test_an_option_given_as_it_was_is_no_change(data: Path, tmp_path: Path) -> None:
    folder = stopped_run(data, tmp_path, "run", 1, epochs=1)
    resume(folder, {"batch": 4, "model": "yolov8n"})


def test_an_edited_configuration_is_refused(stopped: Path) -> None:
    text = (stopped / "config.yaml").read_text()
    (stopped / "config.yaml").write_text(text.replace("mixup: 0.0", "mixup: 0.5"))
    with pytest.raises(InputError, match=r"config.yaml: --mixup is 0.5, but the run was trained with 0.0"):
        resume(stopped)


def test_changed_data_are_refused_and_moved_data_are_not(data: Path, tmp_path: Path, undisturbed: Undisturbed) -> None:
    whole = undisturbed(data)
    folder = stopped_run(data, tmp_path, "run", 4)
    moved = shutil.move(data.parent, tmp_path / "elsewhere")
    with pytest.raises(InputError):
        resume(folder)
    label = next((moved / "labels" / "train").glob("*.txt"))
    text = label.read_text()
    label.write_text(text.replace("0 ", "1 ", 1) if text.startswith("0") else text.replace("1 ", "0 ", 1))
    with pytest.raises(InputError, match="has changed since"):
        resume(folder, {"data": str(moved / "data.yaml")})
    label.write_text(text)
    resume(folder, {"data": str(moved / "data.yaml")})
    for each in (whole, folder):  # the path is all that differs
        checkpoint = read_checkpoint(each / "last.ckpt")
        assert checkpoint.position.finished
    assert differences(whole, folder) == []


def test_damage_is_told_and_the_previous_checkpoint_used(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undisturbed: Undisturbed
) -> None:
    folder = stopped_run(data, tmp_path, "run", 4)
    whole = (folder / "last.ckpt").read_bytes()
    (folder / "last.ckpt").write_bytes(whole[:-100])
    resume(folder)
    told = capsys.readouterr().out
    assert "last.ckpt: is damaged" in told or "last.ckpt: is truncated" in told
    assert "Using the previous checkpoint" in told
    assert differences(undisturbed(data), folder) == []


def test_a_checkpoint_that_lacks_something_is_refused(stopped: Path) -> None:
    checkpoint = read_checkpoint(stopped / "last.ckpt")
    del checkpoint.content["plan"]
    write_checkpoint(stopped, checkpoint.content, checkpoint.position)
    with pytest.raises(InputError, match="by a version of Lehr that this one cannot resume"):
        resume(stopped)


@pytest.mark.parametrize("name", ["nothing", "empty", "file.ckpt"])
def test_what_is_no_run_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file.ckpt").write_text("text")
    with pytest.raises(InputError, match=name):
        resume(tmp_path / name)


def test_a_run_has_one_writer(stopped: Path) -> None:
    with only_writer(stopped), pytest.raises(InputError, match=rf"is being trained by process {os.getpid()} on "):
        resume(stopped)


def test_a_run_that_exists_is_not_overwritten(data: Path, tmp_path: Path, stopped: Path) -> None:
    before = {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()}
    with pytest.raises(InputError, match=rf"never overwritten.*resume it: lehr train --resume {stopped}"):
        run(data, tmp_path, "run")
    assert {path: path.read_bytes() for path in stopped.rglob("*") if path.is_file()} == before


def test_bad_input_leaves_no_folder(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        run(tmp_path / "missing.yaml", tmp_path / "runs", "run")
    assert not (tmp_path / "runs").exists()


def test_the_configuration_is_written_before_the_data_are_read(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[bool] = []

    def stop(*args: Any) -> None:
        seen.append((tmp_path / "run" / "config.yaml").is_file())
        raise RuntimeError("the power went")

    monkeypatch.setattr("lehr.engine.setup.start_data", stop)
    with pytest.raises(RuntimeError, match="power"):
        run(data, tmp_path, "run", epochs=1)
    assert seen == [True]
    monkeypatch.undo()
    assert resume(tmp_path / "run").best.is_file()
