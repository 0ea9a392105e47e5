"""What goes wrong while a run trains: numbers that are none, memory, files that disappear, disks that are full."""

from __future__ import annotations

import csv
import multiprocessing
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine import runs
from tests.engine.conftest import Undisturbed
from tests.engine.runs import before_step, resume, stop_at, stopped_run

from lehr.callbacks.events import BatchStart
from lehr.checkpoint.digest_file import DIGESTS
from lehr.checkpoint.format import read_checkpoint
from lehr.checkpoint.writer import AsyncWriter
from lehr.engine.result import TrainResult
from lehr.errors import LehrError, Stopped
from lehr.runtime.console import Console
from lehr.weights.load import load_model


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Five batches of 2 an epoch."""
    return make_yolo(counts={"train": 10, "val": 4})


def run(data: Path, project: Path, name: str, **more: Any) -> TrainResult:
    return runs.run(data, project, name, **{"batch": 2, **more})


def poisoned(bad: Callable[[int, int], bool]) -> Any:
    """Images that are not numbers in some batches.

    Args:
        bad: whether a batch is, by its step and by how many batches were poisoned before.
    """
    count = 0
    model: Any = None

    def poison(_: Any, images: tuple[torch.Tensor]) -> tuple[torch.Tensor]:
        return (images[0] * float("nan"),)

    def act(event: BatchStart) -> None:
        nonlocal count, model
        if model is not None:
            model.remove()
            model = None
        if bad(event.step, count):
            count += 1
            model = event.run.model.register_forward_pre_hook(poison)

    return before_step(act)


def all_finite(checkpoint: Path) -> bool:
    state = read_checkpoint(checkpoint).content["state"]
    tensors = [*state["model"].values(), *state["ema"]["model"].values()]
    tensors += [value for each in state["optimizer"]["state"].values() for value in each.values()]
    return all(bool(torch.isfinite(each).all()) for each in tensors)


def test_a_run_whose_steps_were_all_bad_ends_with_a_result(data: Path, tmp_path: Path) -> None:
    with poisoned(lambda step, _: step == 0):  # and no further optimizer step follows
        result = run(data, tmp_path, "run", nominal_batch=4096, warmup_epochs=0)
    assert result.best.is_file() and len(list(csv.DictReader((result.folder / "results.csv").open()))) == 2


@pytest.mark.parametrize("model", ["yolov8n", "yolov5n"])
def test_one_bad_batch_costs_one_step(
    model: str, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with poisoned(lambda step, _: step == 7):
        folder = run(data, tmp_path, "run", model=model).folder
    told = capsys.readouterr().out
    assert "Optimizer step skipped: epoch 2, batch 3: loss box nan" in told
    assert "Epoch 2: 1 optimizer step skipped." in told and "Rolled back" not in told
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [row["skipped"] for row in rows] == ["0", "1"]
    assert all(float(row["train/box"]) > 0 for row in rows)  # the mean of the others, and a number
    assert all_finite(folder / "last.ckpt")
    assert load_model(folder / "last.safetensors").variant == model


def test_a_step_that_is_left_out_changes_nothing(data: Path, tmp_path: Path) -> None:
    folder = stopped_run(data, tmp_path, "before", 6, batch=2)  # after 7 batches
    with poisoned(lambda step, _: step == 7), stop_at(7), pytest.raises(Stopped):
        resume(folder)
    previous, last = (read_checkpoint(folder / name).content["state"] for name in ("previous.ckpt", "last.ckpt"))
    assert (previous["step"], last["step"]) == (7, 8)
    for part in (lambda state: state["model"], lambda state: state["ema"]["model"]):
        for name, value in part(previous).items():
            if not name.endswith("num_batches_tracked"):
                assert torch.equal(value, part(last)[name]), name
    for number, moments in previous["optimizer"]["state"].items():
        for name, value in moments.items():
            assert torch.equal(value, last["optimizer"]["state"][number][name])


def test_a_bad_batch_among_others_that_add_up_spoils_only_their_step(data: Path, tmp_path: Path) -> None:
    with poisoned(lambda step, _: step == 6):
        folder = run(data, tmp_path, "run", nominal_batch=8, warmup="none").folder
    assert [row["skipped"] for row in csv.DictReader((folder / "results.csv").open())] == ["0", "1"]
    assert all_finite(folder / "last.ckpt")


def test_ten_bad_batches_lead_back_and_on_with_lower_rates(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], undisturbed: Undisturbed
) -> None:
    with poisoned(lambda step, count: step >= 7 and count < 10):
        folder = run(data, tmp_path, "run", epochs=3).folder
    told = capsys.readouterr().out
    # Three steps are left out, then it goes back to the end of the first epoch; so four times ten batches make three.
    assert told.count("3 consecutive optimizer steps were not finite. Rolled back to") == 3
    assert "(epoch 2 of 3, 5 batches done), learning rates x 0.125 (rollback 3 of 3)." in told
    rows = list(csv.DictReader((folder / "results.csv").open()))
    assert [row["epoch"] for row in rows] == ["1", "2", "3"]
    assert [row["skipped"] for row in rows] == ["0", "10", "0"]
    whole = list(csv.DictReader((undisturbed(data, epochs=3, batch=2) / "results.csv").open()))
    assert rows[0]["lr/weights"] == whole[0]["lr/weights"]
    assert float(rows[2]["lr/weights"]) == pytest.approx(0.125 * float(whole[2]["lr/weights"]), rel=1e-4)
    assert all_finite(folder / "last.ckpt")
    assert read_checkpoint(folder / "last.ckpt").content["state"]["recovery"]["skipped"] == 10


def test_every_batch_bad_stops_the_run_and_names_batches_and_images(data: Path, tmp_path: Path) -> None:
    with poisoned(lambda step, _: step >= 7), pytest.raises(LehrError) as caught:
        run(data, tmp_path, "run")
    message = str(caught.value)
    assert "3 consecutive optimizer steps were not finite, after 3 rollbacks" in message
    assert "epoch 2, batch 3: loss box nan, cls nan, dfl nan; images " in message
    assert message.count(".jpg") == 6  # three batches of two
    assert "smaller --lr0" in message and f"lehr train --resume {tmp_path / 'run'}" in message
    assert caught.value.exit_code == 1
    checkpoint = tmp_path / "run" / "last.ckpt"
    assert read_checkpoint(checkpoint).position.step == 5 and all_finite(checkpoint)


def test_every_batch_bad_from_the_first_stops_too(data: Path, tmp_path: Path) -> None:
    with poisoned(lambda step, _: True), pytest.raises(LehrError, match="after 2 rollbacks"):
        run(data, tmp_path, "run", rollbacks=2, skip_limit=2)


def test_without_a_limit_every_bad_step_is_only_left_out(data: Path, tmp_path: Path) -> None:
    with poisoned(lambda step, _: 5 <= step < 10):
        folder = run(data, tmp_path, "run", skip_limit=0).folder
    assert [row["skipped"] for row in csv.DictReader((folder / "results.csv").open())] == ["0", "5"]


def test_a_gradient_that_is_infinite_is_noticed(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def act(event: BatchStart) -> None:
        if event.step == 2:
            parameter = next(event.run.model.parameters())
            parameter.grad = torch.full_like(parameter, float("inf"))

    for clip in (10.0, 0.0):
        with before_step(act):
            run(data, tmp_path, f"run-{clip}", epochs=1, clip_norm=clip)
        assert "epoch 1, batch 3: norm of the gradient" in capsys.readouterr().out


def test_a_rollback_survives_being_stopped(data: Path, tmp_path: Path) -> None:
    options = {"rollback_lr": 0.25, "digests": True}
    with poisoned(lambda step, count: step >= 5 and count < 3):
        run(data, tmp_path, "whole", **options)
    with poisoned(lambda step, count: step >= 5 and count < 3), stop_at(8), pytest.raises(Stopped):
        run(data, tmp_path, "stopped", **options)
    resume(tmp_path / "stopped")
    assert differences(tmp_path / "whole", tmp_path / "stopped") == []
    assert (tmp_path / "whole" / DIGESTS).read_bytes() == (tmp_path / "stopped" / DIGESTS).read_bytes()
    assert read_checkpoint(tmp_path / "stopped" / "last.ckpt").content["state"]["recovery"]["lr_scale"] == 0.25


@pytest.mark.parametrize(("most", "error"), [(1, torch.OutOfMemoryError), (0, RuntimeError)])
def test_out_of_memory_tells_the_batch_that_fits(most: int, error: type[Exception], data: Path, tmp_path: Path) -> None:
    def limited(_: Any, images: tuple[torch.Tensor]) -> None:
        if len(images[0]) > most:
            raise error("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")

    def act(event: BatchStart) -> None:
        if event.step == 6:
            event.run.model.register_forward_pre_hook(limited)

    with (
        before_step(act),
        pytest.raises(LehrError, match="not enough memory for batches of 2 at 64 pixels") as caught,
    ):
        run(data, tmp_path, "run")
    assert ("--batch 1 fits" if most else "Not even one image fits") in str(caught.value)
    assert "Resume with: lehr train --resume" in str(caught.value)
    assert resume(tmp_path / "run").best.is_file()


@pytest.mark.usefixtures("_nothing_decoded_is_kept")
@pytest.mark.parametrize("workers", [0, 2])
def test_a_file_that_disappears_is_replaced_counted_and_named(
    workers: int, data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = [data.parent / "images" / "train" / "3.jpg", data.parent / "images" / "val" / "1.jpg"]

    def act(event: BatchStart) -> None:
        if event.step == 5:
            for path in gone:
                path.unlink(missing_ok=True)

    with before_step(act):
        folder = run(data, tmp_path, "run", cache="none", workers=workers, mosaic=0.0, epochs=4).folder
    told = capsys.readouterr().out
    for path in gone:
        assert told.count(f"training, replaced: {path}: cannot be read") == 1
    replaced = [int(row["replaced"]) for row in csv.DictReader((folder / "results.csv").open())]
    # Workers were a few batches ahead when it went, so one of the epochs after may still have had it.
    assert replaced[0] == 0 and set(replaced[1:]) <= {0, 1} and replaced[-1] == 1
    assert "1 sample replaced." in told


@pytest.mark.usefixtures("_nothing_decoded_is_kept")
def test_data_that_are_gone_altogether_stop_the_run_with_its_state_saved(
    data: Path, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    away = data.parent / "away"

    def act(event: BatchStart) -> None:
        if event.step == 7:
            (data.parent / "images").rename(away)

    with (
        before_step(act),
        pytest.raises(LehrError, match=r"(?s)Does the data set still exist.*lehr train --resume") as error,
    ):
        run(data, tmp_path, "run", cache="none")
    assert error.value.exit_code == 1
    away.rename(data.parent / "images")
    resume(tmp_path / "run")
    assert differences(undisturbed(data, batch=2), tmp_path / "run") == []


def test_a_worker_that_is_killed_is_told_and_the_state_saved(
    data: Path, tmp_path: Path, undisturbed: Undisturbed
) -> None:
    def act(event: BatchStart) -> None:
        if event.step == 5:
            for process in multiprocessing.active_children():
                os.kill(process.pid, signal.SIGKILL)  # type: ignore[arg-type]

    with before_step(act), pytest.raises(LehrError, match=r"(?s)loads images was killed.*lehr train --resume"):
        run(data, tmp_path, "run", epochs=3, workers=1)
    resume(tmp_path / "run", {"workers": 0})
    assert differences(undisturbed(data, epochs=3, batch=2), tmp_path / "run") == []


def test_a_disk_that_is_full_for_a_while_costs_nothing(
    data: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    undisturbed: Undisturbed,
) -> None:
    whole = undisturbed(data, batch=2)
    written = AsyncWriter._written
    calls = 0

    def full(saver: AsyncWriter, save: Any) -> str | None:
        nonlocal calls
        calls += 1
        return "x/last.ckpt: cannot be written (No space left on device)." if calls in (2, 3) else written(saver, save)

    monkeypatch.setattr(AsyncWriter, "_written", full)
    run(data, tmp_path, "run")
    assert "Not saved: x/last.ckpt: cannot be written (No space left on device). The run continues" in (
        capsys.readouterr().out
    )
    assert differences(whole, tmp_path / "run") == []
    assert (tmp_path / "run" / "best.safetensors").is_file()


def test_a_log_that_cannot_be_opened_ends_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Console(tmp_path / "missing" / "train.log") as output:
        output.say("told all the same")
    assert "told all the same" in capsys.readouterr().out


def test_closing_the_terminal_does_not_end_a_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        encoding = "utf-8"

        def write(self, text: str) -> int:
            raise BrokenPipeError

        def flush(self) -> None:
            raise BrokenPipeError

        def isatty(self) -> bool:
            return False

        def fileno(self) -> int:
            raise OSError

    monkeypatch.setattr(sys, "stdout", Closed())
    with Console(tmp_path / "train.log") as output:
        output.say("first")
        output.say("second")
    assert (tmp_path / "train.log").read_text() == "first\nsecond\n"
