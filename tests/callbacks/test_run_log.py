"""The log of a run: each step once, through kills and rollbacks; and reading what strangers wrote."""

from __future__ import annotations

import csv
import json
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from tests.conftest import MakeYolo
from tests.engine.runs import PowerCut, before_step, listening, on, resume, run, stop_at

from lehr.callbacks.events import BatchEnd
from lehr.callbacks.run_log import STEP_LINES, RunLogCallback
from lehr.checkpoint.run_log import (
    MAX_BYTES,
    RUN_LOG,
    BestLine,
    EndLine,
    MosaicCloseLine,
    RollbackLine,
    RunLog,
    SaveLine,
    StartLine,
    WarmupEndLine,
    parse_run_log,
    read_run_log,
)
from lehr.errors import InputError, Stopped


class Losses:
    """Adds up what the batches came to."""

    def __init__(self) -> None:
        self.of: dict[int, dict[str, float]] = {}

    def on_train_batch_end(self, event: BatchEnd) -> None:
        self.of[event.step] = {part: loss / event.images for part, loss in event.losses.items()}


def test_the_log_holds_each_step_the_rows_and_the_turns_of_a_run(make_yolo: MakeYolo, tmp_path: Path) -> None:
    losses = Losses()
    with listening(losses):
        folder = run(make_yolo(counts={"train": 6, "val": 2}), tmp_path, "run", batch=2).folder
    log = read_run_log(folder)
    assert not log.notes and not log.undone
    start = log.start
    assert start is not None and not start.resumed and start.options["close_mosaic"] == 1
    assert start.names and start.images["val"] == 2 and "torch" in start.versions and start.closed == 1
    assert [line.step for line in log.steps] == list(range(2 * start.batches))
    for line in log.steps:
        assert line.losses == pytest.approx(losses.of[line.step], rel=1e-8)
        assert line.norm is not None and line.epoch == line.step // start.batches and line.finite
    rows = list(csv.DictReader((folder / "results.csv").open()))
    for epoch, row in zip(log.epochs, rows, strict=True):
        assert {name: "" if value is None else value for name, value in epoch.row.items()}.keys() == row.keys()
        assert float(row["val/map"]) == pytest.approx(epoch.row["val/map"], abs=1e-5)  # type: ignore[arg-type]
    assert [line.step for line in log.of(MosaicCloseLine)] == [start.batches]
    assert [line.step for line in log.of(WarmupEndLine)] == [start.warmup]
    assert log.of(BestLine) and log.of(SaveLine)[-1].best in (True, False)
    (end,) = log.of(EndLine)
    assert end.reason == "finished" and end.best_epoch in range(2) and end.step == 2 * start.batches


def test_a_run_that_was_cut_off_has_each_step_once_after_going_on(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo(counts={"train": 6, "val": 2})
    whole = run(data, tmp_path, "whole", batch=2).folder

    def cut(event: Any) -> None:
        if event.step == 5:
            raise PowerCut

    with pytest.raises(PowerCut), before_step(cut):
        run(data, tmp_path, "cut", batch=2)
    with stop_at(4), pytest.raises(Stopped):
        resume(tmp_path / "cut")
    (end,) = read_run_log(tmp_path / "cut").of(EndLine)
    assert end.reason == "stopped" and "SIGTERM" in end.message
    resume(tmp_path / "cut")
    log, expected = read_run_log(tmp_path / "cut"), read_run_log(whole)
    assert log.steps == expected.steps
    assert [epoch.losses for epoch in log.epochs] == [epoch.losses for epoch in expected.epochs]
    starts = log.of(StartLine)
    assert [start.resumed for start in starts] == [False, True, True]
    assert [end.reason for end in log.of(EndLine)] == ["finished"]


def test_a_long_run_has_few_lines_that_hold_the_means(tmp_path: Path) -> None:
    log = RunLogCallback()
    config = SimpleNamespace(epochs=10)
    fake = SimpleNamespace(folder=tmp_path, config=config, batches=STEP_LINES, warmup=0)
    log.on_pretrain_routine_end(SimpleNamespace(run=fake, notes=()))  # type: ignore[arg-type]
    for step in range(95):
        bad = step == 33
        losses = {"box": float("nan") if bad else float(step)}
        event = BatchEnd(fake, 0, step, 1, losses, not bad, True, float(step), {"weights": 0.1}, 0.9, 1, None)  # type: ignore[arg-type]
        log.on_train_batch_end(event)
        if step == 47:  # killed, and begun again at the checkpoint
            state = log.state_dict()
            log = RunLogCallback()
            log.load_state_dict(json.loads(json.dumps(state)))
            log.on_pretrain_routine_start(SimpleNamespace(resumed=True))  # type: ignore[arg-type]
            log.on_pretrain_routine_end(SimpleNamespace(run=fake, notes=()))  # type: ignore[arg-type]
    log.teardown(SimpleNamespace(run=None))  # type: ignore[arg-type]
    steps = read_run_log(tmp_path).steps
    assert [(line.step, line.batches, line.images) for line in steps[:5]] == [
        (9, 10, 10),
        (19, 10, 10),
        (29, 10, 10),
        (33, 4, 3),
        (43, 10, 10),
    ]
    assert [line.losses["box"] for line in steps[:5]] == [4.5, 14.5, 24.5, 31.0, 38.5]
    assert [line.norm for line in steps[:3]] == [9.0, 19.0, 29.0] and [line.finite for line in steps[2:5]] == [1, 0, 1]
    assert (steps[5].step, steps[5].losses["box"]) == (53, 48.5)


def test_a_log_that_cannot_be_written_ends_no_run(make_yolo: MakeYolo, tmp_path: Path, caplog: Any) -> None:
    def lay(event: Any) -> None:
        (event.folder / RUN_LOG).symlink_to(tmp_path / "elsewhere")

    with on("on_pretrain_routine_start", lay):
        result = run(make_yolo(counts={"train": 6, "val": 2}), tmp_path, "run", epochs=1, strict_callbacks=True)
    assert result.best.is_file() and not (tmp_path / "elsewhere").exists()
    assert f"{RUN_LOG}: cannot be written" in caplog.text


def line(kind: str, step: int, **values: Any) -> bytes:
    return json.dumps({"kind": kind, "epoch": step // 10, "step": step, **values}).encode()


def test_steps_that_a_rollback_undid_are_kept_apart() -> None:
    norm = {
        "batches": 1,
        "images": 2,
        "losses": {"box": 1},
        "norm": None,
        "rates": {},
        "momentum": 0.9,
        "accumulate": 1,
    }
    steps = [line("step", step, **norm, loss_scale=None, finite=True) for step in (0, 1, 2, 3)]
    back = line("rollback", 2, from_step=4, lr_scale=0.5, precision="float32", rollbacks=1)
    close = [line("mosaic-close", step) for step in (2, 1)]
    log = parse_run_log(b"\n".join([*steps, *close, back, *steps[2:]]) + b"\n", "log")
    assert [each.step for each in log.steps] == [0, 1, 2, 3] and [each.step for each in log.undone] == [2, 3]
    assert len(log.of(RollbackLine)) == 1 and [each.step for each in log.of(MosaicCloseLine)] == [1]


def test_what_is_no_line_is_passed_over_with_a_note() -> None:
    good = line("warmup-end", 3)
    bad = [b"{", b'{"kind": "no such"}', line("warmup-end", -1), b"[" * 100_000, b"\xff", b"1e999", b"9" * 10_000]
    bad += [line("best", 1, metrics={"map": "high"}), good.replace(b"3", b"NaN"), b""]
    log = parse_run_log(b"\n".join([good, *bad, good, good[:-3]]), "log")
    assert [each.step for each in log.lines] == [3, 3]
    assert (
        len(log.notes) == 2 and "10 lines are not part of a run's log" in log.notes[0] and "incomplete" in log.notes[1]
    )
    assert parse_run_log(b"", "log") == RunLog(())


def test_only_a_regular_file_of_bounded_size_is_read(tmp_path: Path) -> None:
    log = read_run_log(tmp_path)
    assert not log.lines and "is missing" in log.notes[0]
    with (tmp_path / RUN_LOG).open("wb") as file:
        os.ftruncate(file.fileno(), MAX_BYTES + 1)
    with pytest.raises(InputError, match="is larger than 64 MB"):
        read_run_log(tmp_path)
    (tmp_path / RUN_LOG).unlink()
    (tmp_path / RUN_LOG).symlink_to("/etc/passwd")
    with pytest.raises(InputError, match="symbolic link"):
        read_run_log(tmp_path)
