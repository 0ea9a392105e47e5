"""A worker's judgement of a run's end, the devices and cores it gets, and what is maximised."""

from __future__ import annotations

import os
import subprocess
import types
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lehr.checkpoint.results_csv import RESULTS
from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import LOCAL
from lehr.search.fitness import METRICS, Epoch, Fitness, parse_fitness, read_epochs
from lehr.search.records import Record
from lehr.studies.pool import WorkerPool, _Member
from lehr.studies.runner import shared_options, worker_places
from lehr.studies.study import SLOT
from lehr.studies.worker import MAX_FAULTS, Job, Worker

EPOCHS = [
    Epoch(10.0, 50.0, {"map": 0.2, "map50": 0.5}),
    Epoch(19.0, 50.0, {"map": 0.4, "map50": 0.6}),
    Epoch(30.0, 50.0, {"map": 0.3, "map50": None}),
]


@pytest.fixture
def worker(tmp_path: Path) -> Worker:
    """A worker whose study has seen some faults of each slot."""
    job = Job("", "study", str(tmp_path), {}, (), 30.0, 60.0, 3, False, os.getpid(), {})
    made = Worker(job, types.SimpleNamespace(asked=False))  # type: ignore[arg-type]
    made.fitness = parse_fitness("0.1*map50+0.9*map")
    made.study = types.SimpleNamespace(faults=lambda slot: slot)  # type: ignore[assignment]
    return made


def test_a_result_is_that_of_the_best_epoch(worker: Worker, tmp_path: Path) -> None:
    result = worker._result(0, {}, EPOCHS, 0, tmp_path / "trials" / "0000")
    whole = worker._with_numbers(result, EPOCHS, {"memory": 700.0}, tmp_path / "trials" / "0000")
    assert whole.state == "finished" and whole.fitness == pytest.approx(0.1 * 0.6 + 0.9 * 0.4)
    assert whole.metrics == {"map": 0.4, "map50": 0.6} and (whole.seconds, whole.memory) == (30.0, 700.0)
    assert whole.folder == "trials/0000"


def written(folder: Path, epochs: int) -> Path:
    """A run's folder, so many epochs done."""
    folder.mkdir(parents=True)
    names = ["epoch", "seconds", "images_per_second", *(f"val/{name}" for name in METRICS)]
    rows = [",".join(map(str, [number + 1, 9, 40, *[0.1] * len(METRICS)])) for number in range(epochs)]
    (folder / RESULTS).write_text("\n".join([",".join(names), *rows]) + "\n")
    return folder


@pytest.mark.parametrize("slot", [0, 1])
def test_a_trial_is_ended_where_it_is_pruned_but_the_first_is_not(slot: int, worker: Worker, tmp_path: Path) -> None:
    worker.search = types.SimpleNamespace(epochs=5)  # type: ignore[assignment]
    reported: dict[int, float] = {}
    trial = types.SimpleNamespace(
        user_attrs={SLOT: slot},
        report=lambda value, step: reported.update({step: value}),
        should_prune=lambda: max(reported) >= 2,
    )
    folder = written(tmp_path / "trials" / "0000", 3)
    (folder / RESULTS).rename(folder / "later")
    course = f"sleep 1; mv later {RESULTS}; exec sleep {1 if slot == 0 else 60}"
    process = subprocess.Popen(["sh", "-c", course], cwd=folder, start_new_session=True)
    result, epochs = worker._watch(trial, process, folder)  # type: ignore[arg-type]
    assert process.poll() is not None
    if slot == 0:
        assert (result, len(epochs)) == (None, 3) and reported == pytest.approx({1: 0.1, 2: 0.1, 3: 0.1})
    else:
        assert result is not None and (result.state, result.note) == ("pruned", "after 2 of 5 epochs")
        assert len(epochs) == 2 and list(reported) == [1, 2]


def test_what_an_earlier_worker_let_pass_is_not_ended_afterwards(worker: Worker, tmp_path: Path) -> None:
    worker.search = types.SimpleNamespace(epochs=5)  # type: ignore[assignment]
    asked: list[int] = []
    trial = types.SimpleNamespace(
        user_attrs={SLOT: 1},
        report=lambda value, step: asked.append(step),
        should_prune=lambda: asked[-1] == 1,
    )
    process = subprocess.Popen(["sleep", "1"])
    folder = written(tmp_path / "trials" / "0001", 3)
    assert worker._watch(trial, process, folder)[0] is None and asked == [1, 2, 3]  # type: ignore[arg-type]
    trial.should_prune = lambda: asked[-1] == 3
    process = subprocess.Popen(["sleep", "60"])
    result, _ = worker._watch(trial, process, folder)  # type: ignore[arg-type]
    assert process.poll() is not None and result is not None and result.state == "pruned"


def test_a_run_that_diverged_has_fitness_0_whatever_its_epochs_came_to(worker: Worker, tmp_path: Path) -> None:
    folder = tmp_path / "trials" / "0000"
    result = worker._result(1, {"kind": "diverged", "message": "not finite"}, EPOCHS, 0, folder)
    whole = worker._with_numbers(result, EPOCHS, {}, folder)
    assert (whole.state, whole.fitness, whole.note) == ("diverged", 0.0, "not finite")


@pytest.mark.parametrize("faults", range(MAX_FAULTS))
def test_a_run_that_fails_by_itself_is_made_again_three_times_at_most(
    faults: int, worker: Worker, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result = worker._result(-9, {}, [], faults, tmp_path / "trials" / "0000")
    assert result.fault and "killed by SIGKILL" in result.note
    assert result.state == ("failed" if faults == MAX_FAULTS - 1 else None)
    assert ("given up" in capsys.readouterr().out) == (result.state == "failed")


def test_bad_input_and_a_stop_are_no_fault_of_the_trial(worker: Worker, tmp_path: Path) -> None:
    result = worker._result(2, {"kind": "input", "message": "no data"}, [], 2, tmp_path / "trials" / "0000")
    assert (result.state, result.fault, result.note) == (None, False, "no data")
    worker.stop.asked = True
    assert worker._result(-15, {}, [], 2, tmp_path / "trials" / "0000").state is None


@pytest.mark.parametrize("keep", [False, True])
def test_an_ended_trial_keeps_its_weights_and_its_state_where_that_was_asked_for(
    keep: bool, worker: Worker, tmp_path: Path
) -> None:
    worker.job = replace(worker.job, keep_checkpoints=keep)
    folder = tmp_path / "trials" / "0000"
    folder.mkdir(parents=True)
    state, weights = {"last.ckpt", "previous.ckpt", "start.safetensors"}, {"best.safetensors", "last.safetensors"}
    for name in state | weights:
        (folder / name).write_bytes(b"1")
    worker._tidy(folder)
    assert {path.name for path in folder.iterdir()} == (state | weights if keep else weights)


def places(jobs: int | None, **options: Any) -> list[tuple[str, int]]:
    """The device and the count of cores of each worker."""
    return [(local["device"], len(cores)) for local, cores in worker_places(build_config(options), jobs)]


def test_devices_and_cores_are_dealt_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0, 1, 2, 3, 4, 5, 6, 7}, raising=False)
    assert places(None, device="cpu") == [("cpu", 0)]
    assert places(None, device="0,1,2,3") == [("0", 2), ("1", 2), ("2", 2), ("3", 2)]
    assert places(2, device="0,1,2,3") == [("0,1", 4), ("2,3", 4)]
    assert places(4, device="0,1") == [("0", 2), ("1", 2), ("0", 2), ("1", 2)]
    stripe = [core for _, cores in worker_places(build_config({"device": "cpu"}), 3) for core in cores]
    assert sorted(stripe) == list(range(8))
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {3}, raising=False)
    assert [cores for _, cores in worker_places(build_config({"device": "cpu"}), 2)] == [(3,), (3,)]


def test_what_the_trials_share_is_what_no_machine_has_of_its_own() -> None:
    shared = shared_options(build_config({"data": "x.yaml", "epochs": 7}))
    assert not set(LOCAL) & set(shared) and (shared["epochs"], shared["imgsz"], shared["seed"]) == (7, 640, 0)
    with pytest.raises(InputError, match="must have the same batch"):
        shared_options(build_config({"data": "x.yaml", "batch": "auto"}))


def test_a_fitness_is_a_metric_or_a_sum_of_them() -> None:
    assert parse_fitness("map50") == Fitness({"map50": 1.0})
    assert parse_fitness("0.1*map50 + 0.9*map") == Fitness({"map50": 0.1, "map": 0.9})
    assert parse_fitness("recall+2*recall")({"recall": 0.5}) == 1.5
    assert parse_fitness("map+recall")({"recall": 0.5, "map": None}) == 0.5  # what was not measured counts nothing
    for wrong in ("map95", "", "-1*map", "0*map", "inf*map", "x*map", "map*0.5", "map50+", "nan*map"):
        with pytest.raises(InputError, match="--fitness"):
            parse_fitness(wrong)


def test_the_epochs_of_a_run_are_read_while_it_goes_on(tmp_path: Path) -> None:
    path = tmp_path / "results.csv"
    assert read_epochs(path) == []
    names = ["epoch", "seconds", "images_per_second", *(f"val/{name}" for name in METRICS)]
    path.write_text(",".join(names) + "\n1,12.5,40,0.1,0.2,,0.3,0.4,0.5\n")
    [epoch] = read_epochs(path)
    assert (
        (epoch.seconds, epoch.images_per_second) == (12.5, 40)
        and epoch.metrics["map75"] is None
        and epoch.metrics["map50"] == 0.2
    )


@pytest.mark.parametrize("state", ["finished", "waiting"])
def test_a_worker_that_has_left_is_started_again_only_where_a_trial_is_left(
    state: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records, nothing = [Record(0, state, {})], lambda *_: None
    study = types.SimpleNamespace(running=list, fill=nothing, records=lambda _: records)
    job = types.SimpleNamespace(folder=str(tmp_path))
    plan = types.SimpleNamespace(study=study, slots=[{}], job=job, grace=1.0, restarts=1)
    reporter = types.SimpleNamespace(trial_ended=nothing, show=nothing)
    pool = WorkerPool(plan, reporter, types.SimpleNamespace(), nothing)  # type: ignore[arg-type]
    begun: list[int] = []
    monkeypatch.setattr(WorkerPool, "_start", lambda self, number, losses: begun.append(number))
    pool._members[0] = _Member(0, types.SimpleNamespace(poll=lambda: 0), "host:1")  # type: ignore[arg-type]
    assert not pool._look_after()
    assert (begun, pool._done()) == (([], True) if state == "finished" else ([0], False))
