"""Going on with a run: the same end as if it had never stopped, or a clear refusal."""

from __future__ import annotations

import csv
import dataclasses
import os
import shutil
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.conftest import Undisturbed
from tests.engine.runs import SMALL, PowerCut, before_step, on, resume, run, stop_at, stopped_run
from tests.processes import Forked

from lehr.callbacks.events import BatchStart, TrainStart, ValStart
from lehr.checkpoint.format import Position, read_checkpoint, read_position, write_checkpoint
from lehr.checkpoint.run_folder import only_writer
from lehr.config import build_config
from lehr.engine import run as engine
from lehr.errors import InputError, LehrError, Stopped
from lehr.evaluation.evaluator import Evaluation, evaluate
from lehr.options import MAY_LACK
from lehr.techniques.precision import Precision


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Two batches of 4, one of 2."""
    return make_yolo(counts={"train": 10, "val": 4})


COVERS = {"mixup": 0.5, "mixup_beta": 1.5, "cutmix": 0.5, "erasing": 0.5, "hue": "add"}
WEIGHTS: dict[str, Any] = {"ema_decay": 0, "image_weights": True, "class_weights": 0.5}
NADAM = {"optimizer": "NAdam", "multi_scale": 0.5, "rect": True, "backbone_lr_mult": 0.1}
CASES: dict[str, dict[str, Any]] = {
    "plain": {},
    "accumulation": {"nominal_batch": 16, "warmup": "none"},
    "YOLOv5 with fitted anchors": {"model": "yolov5n", "optimizer": "SGD", "lr0": 0.01},
    "YOLOv3-SPP, frozen": {"model": "yolov3-spp", "freeze": "3", "optimizer": "RMSProp", "lr0": 1e-4},
    "no average, weights for images and classes": WEIGHTS,
    "an average as long as the run": {"ema_tau": "auto", "nominal_batch": 8},
    "repeat factors, copies": {"repeat_threshold": 0.5, "image_weights": True, "mixup": 0.5, "copy_paste": 0.5},
    "all that covers and colours": COVERS,
    "all of these, windows of partners": {**COVERS, "partner_window": 4, "cache": "none"},
    "windows of partners": {"partner_window": 4, "mixup": 0.5, "cache": "none"},
    "tiles, decoded as they are asked for": {"tile": 48, "partner_window": 16, "cache": "none", "mixup": 0.5},
    "NAdam, sizes, rectangles": NADAM,
    "NAdam, sizes, rectangles, weights": {**NADAM, **WEIGHTS},
}


STOPS = {case: (1, 4) for case in CASES if case != "plain"} | {"accumulation": (2, 4)}
"""Steps that a run is stopped at, one after the other: each time it goes on from what it saved there."""


QUICK = (
    *("accumulation", "YOLOv5 with fitted anchors"),
    *("all of these, windows of partners", "NAdam, sizes, rectangles, weights"),
)
"""Those of the first suite."""


@pytest.mark.parametrize(
    "case", [case if case in QUICK else pytest.param(case, marks=pytest.mark.slow) for case in STOPS]
)
def test_a_stopped_run_ends_as_one_that_was_not(
    case: str, data: Path, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    first, *others = STOPS[case]
    folder = stopped_run(data, tmp_path, "stopped", first, **CASES[case])
    assert read_checkpoint(folder / "last.ckpt").position.step == first + 1
    for step in others:
        with stop_at(step), pytest.raises(Stopped):
            resume(folder)
        assert read_checkpoint(folder / "last.ckpt").position.step == step + 1
    resume(folder)
    assert differences(undisturbed(data, **CASES[case]), folder) == []


def test_gradients_that_have_added_up_are_part_of_the_state(data: Path, tmp_path: Path) -> None:
    folder = stopped_run(data, tmp_path, "stopped", 4, nominal_batch=16, warmup="none")
    gradients = read_checkpoint(folder / "last.ckpt").content["state"]["gradients"]
    assert gradients and any(gradient.any() for gradient in gradients.values())


def test_a_run_stopped_in_its_validation_goes_on_with_it(data: Path, tmp_path: Path, undisturbed: Undisturbed) -> None:
    def interrupt(event: ValStart) -> None:
        if event.epoch == 0:
            signal.raise_signal(signal.SIGTERM)

    with on("on_val_start", interrupt), pytest.raises(Stopped):
        run(data, tmp_path, "stopped")
    position = read_checkpoint(tmp_path / "stopped" / "last.ckpt").position
    assert (position.epoch, position.step) == (0, 3)
    resume(tmp_path / "stopped")
    assert differences(undisturbed(data), tmp_path / "stopped") == []


def test_workers_may_change(data: Path, tmp_path: Path, undisturbed: Undisturbed) -> None:
    folder = stopped_run(data, tmp_path, "stopped", 4, workers=2)
    resume(folder, {"workers": 1})
    resume(folder)
    assert differences(undisturbed(data), folder) == []
    assert yaml.safe_load((folder / "config.yaml").read_text())["workers"] == 1


def test_the_newest_interrupted_run_is_found(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    project = Path("runs")
    older = stopped_run(data, project, "older", 1, epochs=1)
    newer = shutil.copytree(older, project / "newer")
    run(data, project, "finished", epochs=1)
    for folder, age in ((older, 200), (newer, 100)):
        for path in folder.iterdir():
            os.utime(path, (path.stat().st_atime - age, path.stat().st_mtime - age))
    assert resume().folder == newer
    with only_writer(older), pytest.raises(InputError, match="runs/older is being trained by another process"):
        resume()
    assert resume().folder == older
    with pytest.raises(InputError, match=r"no interrupted run\. All of its 3 are finished"):
        resume()


def test_a_checkpoint_can_be_named(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undisturbed: Undisturbed
) -> None:
    whole = undisturbed(data)
    folder = shutil.copytree(whole, tmp_path / "run")
    resume(folder / "previous.ckpt")
    assert f"Goes back to {folder / 'previous.ckpt'}" in capsys.readouterr().out
    assert (folder / "abandoned.ckpt").read_bytes() == (whole / "last.ckpt").read_bytes()
    assert differences(whole, folder) == []
    assert len((folder / "results.csv").read_text().splitlines()) == 3
    stray = Path(shutil.copy(folder / "last.ckpt", tmp_path / "stray.ckpt"))
    with pytest.raises(InputError, match=r"Put it back as last\.ckpt"):
        resume(stray)


def test_a_run_killed_before_its_first_checkpoint_begins_again(
    data: Path, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    killed = tmp_path / "killed"
    killed.mkdir()
    shutil.copy(undisturbed(data) / "config.yaml", killed)
    resume(killed)
    assert differences(undisturbed(data), killed) == []


def test_results_that_a_kill_left_out_or_doubled_are_set_right(data: Path, tmp_path: Path) -> None:
    folder = stopped_run(data, tmp_path, "stopped", 4)
    results = folder / "results.csv"
    results.write_text(results.read_text() + "2,9,9\n")
    with stop_at(5), pytest.raises(Stopped):
        resume(folder)
    assert len(results.read_text().splitlines()) == 2
    results.unlink()
    resume(folder)
    assert [row["epoch"] for row in csv.DictReader(results.open())] == ["1", "2"]


def test_a_finished_run_says_so(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    result = run(data, tmp_path, "run", epochs=1)
    before = (result.folder / "last.ckpt").read_bytes()
    again = resume(result.folder)
    assert "has finished: 1 of 1 epochs. To train it longer, give more --epochs" in capsys.readouterr().out
    assert again == result and (result.folder / "last.ckpt").read_bytes() == before


def test_more_epochs_make_a_finished_run_longer(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = run(data, tmp_path, "run", lrf=0.1).folder
    resume(folder, {"epochs": 3})
    told = capsys.readouterr().out
    # Linear to a tenth: after 2 of 3 epochs 1 - 0.9 * 2/3 of lr0, where 2 epochs would have come to a tenth.
    lr0 = float(next(line for line in told.splitlines() if "lr0" in line).split("lr0 ")[1].split(",")[0])
    assert f"continues at {0.4 * lr0:.3g} instead of {0.1 * lr0:.3g}" in told
    assert "mosaic is off for the last 1" in told
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert float(rows[2]["lr/weights"]) == pytest.approx(0.4 * lr0, rel=1e-4)
    assert yaml.safe_load((folder / "config.yaml").read_text())["epochs"] == 3


def test_a_longer_run_that_is_killed_before_its_first_checkpoint_is_still_the_longer_one(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, undisturbed: Undisturbed
) -> None:
    def killed(event: TrainStart) -> None:
        raise PowerCut

    monkeypatch.chdir(tmp_path)
    folder = shutil.copytree(undisturbed(data), Path("runs") / "run")
    with on("on_train_start", killed), pytest.raises(PowerCut):
        resume(folder, {"epochs": 3})
    assert read_checkpoint(folder / "last.ckpt").position.finished
    assert resume().folder == folder
    assert len((folder / "results.csv").read_text().splitlines()) == 4


def test_a_kill_between_the_files_of_the_last_save_is_made_good(
    data: Path, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    from lehr.checkpoint import writer as saver

    write = saver.write_checkpoint

    def killed(folder: Path, content: Any, position: Position) -> None:
        if position.finished:
            raise OSError(28, "No space left on device")
        write(folder, content, position)

    with pytest.MonkeyPatch.context() as patch, pytest.raises(LehrError, match="No space left"):
        patch.setattr(saver, "write_checkpoint", killed)
        run(data, tmp_path, "run")
    (tmp_path / "run" / "results.csv").unlink()
    resume(tmp_path / "run")
    assert differences(undisturbed(data), tmp_path / "run") == []


def test_a_damaged_configuration_is_told_and_that_of_the_checkpoint_used(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = stopped_run(data, tmp_path, "run", 1, epochs=1)
    text = (folder / "config.yaml").read_text()
    cut = text[: text.index("\n", 200) + 1]
    (folder / "config.yaml").write_text(cut)
    resume(folder)
    assert "config.yaml: lacks" in capsys.readouterr().out
    assert (folder / "config.yaml").read_text() == text
    for name in ("last.ckpt", "previous.ckpt"):
        (folder / name).unlink()
    (folder / "config.yaml").write_text(cut)
    with pytest.raises(InputError, match=r"config\.yaml: lacks .* truncated"):
        resume(folder)


def test_a_run_of_before_an_option_goes_on_with_its_default(
    data: Path, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    folder = stopped_run(data, tmp_path, "run", 4)
    path = folder / "config.yaml"
    given = yaml.safe_load(path.read_text())
    assert {"augmentation"} <= MAY_LACK
    path.write_text(yaml.safe_dump({name: value for name, value in given.items() if name not in MAY_LACK}))
    checkpoint = read_checkpoint(folder / "last.ckpt")
    checkpoint.content["config"] = {n: v for n, v in checkpoint.content["config"].items() if n not in MAY_LACK}
    write_checkpoint(folder, checkpoint.content, checkpoint.position)
    resume(folder)
    assert differences(undisturbed(data), folder) == []
    assert yaml.safe_load(path.read_text()) == given


def resume_as_far_as_it_opens(folder: Path) -> None:
    """Begin to resume, and tell how many denormal numbers there are when the run is opened, as a process's work."""

    def probe(*_: Any) -> None:
        torch.ones(2**22).clone()  # as reading a checkpoint does
        sys.stdout.write(f"{int((torch.full((2**22,), 1e-30) * 1e-10).count_nonzero())} denormals")
        raise SystemExit

    engine.open_run = probe  # type: ignore[assignment]
    engine.resume(folder)


def test_the_arithmetic_of_a_run_that_goes_on_is_that_of_a_new_one(data: Path, tmp_path: Path) -> None:
    """Threads that compute take over how their maker treats denormal numbers: none may be made before it is set."""
    folder = stopped_run(data, tmp_path, "run", 1)
    done = Forked(resume_as_far_as_it_opens, folder, out=tmp_path / "out", err=tmp_path / "err")
    assert done.communicate() == ("0 denormals", "")


def test_a_project_beside_a_named_run_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--project is where the newest run is searched for"):
        resume(tmp_path, {"project": "other"})


def test_early_stopping_ends_a_run_that_goes_on(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_better(*given: Any, **named: Any) -> Evaluation:
        evaluation = evaluate(*given, **named)
        metrics = dataclasses.replace(evaluation.metrics, map_max_det=0.25, map50_max_det=0.5)
        return dataclasses.replace(evaluation, metrics=metrics)

    monkeypatch.setattr("lehr.engine.validation.evaluate", no_better)
    options = {"patience": 1, "epochs": 4}
    whole = run(data, tmp_path, "whole", **options).folder
    rows = len((whole / "results.csv").read_text().splitlines()) - 1
    assert rows < 4
    capsys.readouterr()
    for changes in ({}, {"patience": 1}, {"epochs": 5}):  # more epochs alone do not help it
        resume(whole, changes)
        assert "epochs, stopped early (--patience 1). To train it longer, give a larger --patience." in (
            capsys.readouterr().out
        )
    assert len((whole / "results.csv").read_text().splitlines()) - 1 == rows
    folder = stopped_run(data, tmp_path, "stopped", 1, **options)
    resume(folder)
    assert differences(whole, folder) == []
    resume(folder, {"patience": 0})
    assert len((folder / "results.csv").read_text().splitlines()) == 5


def test_checkpoints_come_within_an_epoch_too(data: Path, tmp_path: Path) -> None:
    positions: list[int] = []

    def wait(event: BatchStart) -> None:
        path, end = tmp_path / "run" / "last.ckpt", time.monotonic() + 60
        while time.monotonic() < end and not (path.exists() and read_position(path).step == event.step):
            time.sleep(0.01)
        positions.append(read_checkpoint(path).position.step)

    with before_step(wait):
        run(data, tmp_path, "run", checkpoint_minutes=1e-6, epochs=1)
    assert positions == [0, 1, 2]


def test_the_same_weights_file_has_the_same_bytes(data: Path, tmp_path: Path) -> None:
    one, other = (run(data, tmp_path, name, epochs=1) for name in ("one", "other"))
    assert one.last.read_bytes() == other.last.read_bytes()


def test_a_scaler_is_part_of_the_state(data: Path, tmp_path: Path) -> None:
    from lehr.engine.setup import prepare

    config = build_config({"data": str(data), **SMALL})
    one, other = prepare(config, tmp_path).state, prepare(config, tmp_path).state
    for state, scale in ((one, 512.0), (other, 2.0)):
        state.use_precision(Precision.FLOAT16, scale)
        assert state.scaler is not None
        state.scaler.scale(torch.ones(()))
    other.load_state_dict(one.state_dict())
    assert other.precision is Precision.FLOAT16
    assert other.scaler is not None and other.scaler.get_scale() == 512.0


def test_a_failed_command_leaves_what_was_saved(data: Path, tmp_path: Path, undisturbed: Undisturbed) -> None:
    def burn(*_: Any) -> None:
        raise LehrError("the machine caught fire")

    def fail(event: BatchStart) -> None:
        if event.step == 4:
            event.run.model.register_forward_pre_hook(burn)

    with before_step(fail), pytest.raises(LehrError, match="fire"):
        run(data, tmp_path, "run")
    resume(tmp_path / "run")
    assert differences(undisturbed(data), tmp_path / "run") == []
