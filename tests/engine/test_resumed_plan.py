"""A run that goes on keeps the plan that it began with, whatever is chosen for a new one."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from benchmarks.crash import differences
from tests.conftest import MakeYolo
from tests.engine.runs import resume, run, stop_at, stopped_run

from lehr.checkpoint.format import read_checkpoint, write_checkpoint
from lehr.errors import Stopped


@pytest.fixture
def data(make_yolo: MakeYolo) -> Path:
    """Two batches of 4, one of 2."""
    return make_yolo(counts={"train": 10, "val": 4})


def test_a_longer_run_keeps_its_optimizer_and_its_warmup(data: Path, tmp_path: Path) -> None:
    folder = stopped_run(data, tmp_path, "run", 4)
    with stop_at(5), pytest.raises(Stopped):
        resume(folder, {"epochs": 12_000})  # so many iterations that a new run would take SGD, and a longer warmup
    plan = read_checkpoint(folder / "last.ckpt").content["plan"]
    assert plan["optimizer"]["name"] == "AdamW" and plan["warmup"] == 2


def test_a_run_keeps_the_optimizer_that_auto_chose_when_it_began(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lehr.techniques.auto.SGD_ITERATIONS", 0)  # as a rule that has changed since
    run(data, tmp_path, "whole")
    folder = stopped_run(data, tmp_path, "stopped", 4)
    monkeypatch.undo()
    resume(folder)
    kept = read_checkpoint(folder / "last.ckpt").content["plan"]["optimizer"]
    assert (kept["name"], kept["lr0"], kept["warmup_bias_lr"]) == ("SGD", 0.01, 0.1)
    assert differences(tmp_path / "whole", folder) == []


def test_a_run_keeps_the_weight_decay_that_it_began_with(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lehr.techniques.plan.scaled_weight_decay", lambda decay, batch, nominal: decay * batch)
    options = {"nominal_batch": 1, "optimizer": "SGD", "lr0": 0.01}
    run(data, tmp_path, "whole", **options)
    folder = stopped_run(data, tmp_path, "stopped", 4, **options)
    monkeypatch.undo()
    resume(folder)
    groups = read_checkpoint(folder / "last.ckpt").content["state"]["optimizer"]["param_groups"]
    assert [group["weight_decay"] for group in groups] == [5e-4 * 4, 0, 0]
    assert differences(tmp_path / "whole", folder) == []


def test_a_run_of_before_tau_had_a_rule_keeps_2000(data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(data, tmp_path, "whole", ema_tau=2000.0)
    folder = stopped_run(data, tmp_path, "stopped", 4, ema_tau=2000.0)
    checkpoint = read_checkpoint(folder / "last.ckpt")
    del checkpoint.content["plan"]["ema_tau"]
    write_checkpoint(folder, checkpoint.content, checkpoint.position)
    monkeypatch.setattr("lehr.techniques.ema_decay.UNSET_TAU", "auto")
    resume(folder)
    assert differences(tmp_path / "whole", folder) == []


def test_a_run_keeps_the_tau_of_its_first_length_and_of_its_first_default(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folders = [stopped_run(data, tmp_path, f"{tau}", 4, ema_tau=tau) for tau in ("auto", None)]
    monkeypatch.setattr("lehr.techniques.ema_decay.UNSET_TAU", 7.0)
    for folder, tau in zip(folders, (6 / math.log(10), 2000.0), strict=True):
        with stop_at(5), pytest.raises(Stopped):
            resume(folder, {"epochs": 5})
        assert read_checkpoint(folder / "last.ckpt").content["plan"]["ema_tau"] == tau
