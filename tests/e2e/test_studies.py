"""`lehr evolve` and `lehr ablate` as a user runs them: killed, stopped, gone on with, and by way of a server.

What becomes of trials when something is lost does not depend on what they do, so they are made up here: see
`tests/studies/stub_trial.py`. With runs that really train, the same is in the slow suite.
"""

from __future__ import annotations

import contextlib
import csv
import json
import os
import re
import shlex
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from tests.commands import lehr
from tests.conftest import Once, draw_squares
from tests.processes import Forked, command
from tests.studies.hostile import set_attribute
from tests.studies.servers import PASSWORD, postgresql

optuna = pytest.importorskip("optuna")
pytestmark = pytest.mark.timeout(1200)

TINY = ["--imgsz", "64", "--width", "0.125", "--device", "cpu", "--amp", "off"]
LEARN = ["--lr-schedule", "constant", "--optimizer", "AdamW", "--nominal-batch", "1", "--warmup", "none"]
LEARN += ["--batch", "4", "--ema-decay", "0.98", "--mosaic", "0", "--epochs", "5"]
"""What learns to find squares in a hundred steps, where the learning rate is right."""
STUB = "tests.studies.stub_trial"
ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def data(once: Once) -> Path:
    """A bright square an image, its class by its size."""
    return once("study-data", _make_data) / "data.yaml"


def _make_data(root: Path) -> None:
    for split, count in (("train", 96), ("val", 32)):
        (root / "labels" / split).mkdir(parents=True)
        for number in range(count):
            size = 16 if number % 2 == 0 else 28
            x, y = 4 + 7 * number % 30, 6 + 11 * number % 28
            box = (x, y, x + size, y + size)
            draw_squares(root / "images" / split / f"{number}.jpg", [box], seed=1000 * len(split) + number)
            row = f"{number % 2} {(x + size / 2) / 64} {(y + size / 2) / 64} {size / 64} {size / 64}\n"
            (root / "labels" / split / f"{number}.txt").write_text(row)
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [small, large]\n")


@pytest.fixture(params=["made-up", pytest.param("trained", marks=pytest.mark.slow)])
def trains(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether trials train; they are made up otherwise, in the processes that a test starts and its own."""
    if request.param == "made-up":
        monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'src'}")
        monkeypatch.setenv("STUDY_TRIALS", STUB)
        monkeypatch.setattr("lehr.studies.runner.TRIAL_MODULE", STUB)
    return bool(request.param == "trained")


def started(arguments: list[str], folder: Path, **more: Any) -> Forked:
    """A command in the background."""
    count = len(list(folder.glob("*.printed")))
    return Forked(_study, arguments, cwd=folder, out=folder / f"{count}.printed", **more)


def _study(arguments: list[str]) -> None:
    from lehr.studies import runner

    runner.TRIAL_MODULE = os.environ.get("STUDY_TRIALS", runner.TRIAL_MODULE)
    command(arguments)


def ended(process: Forked, seconds: float = 1000) -> str:
    """What a command printed, once it has ended."""
    return process.communicate(seconds)[0]


def workers_of(process: Forked) -> list[int]:
    """The workers of a command."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    return [pid for pid in map(int, children) if b"lehr.studies.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def told_of_children(process: Forked) -> list[bytes]:
    """Arguments and environment of all processes that a command has started, as the system tells them."""
    found, waiting = [], [process.pid]
    while waiting:
        pid = waiting.pop()
        with contextlib.suppress(OSError):  # it has ended meanwhile
            waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text(encoding="ascii").split())
            if pid != process.pid:
                found += [Path(f"/proc/{pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    return found


def wait_for(what: Callable[[], Any], process: Forked, seconds: float = 500) -> Any:
    """Waits until something holds while a command runs."""
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        found = what()
        if found:
            return found
        if process.poll() is not None:
            raise AssertionError(f"ended with {process.returncode}:\n{process.out}")
        time.sleep(0.1)
    process.kill()
    raise AssertionError("waited too long")


def trials_of(storage: str, name: str = "evolve") -> list[optuna.trial.FrozenTrial]:
    """A study's trials as Optuna itself reads them; none before there is a study."""
    try:
        return optuna.load_study(study_name=name, storage=storage).get_trials(deepcopy=False)
    except Exception:  # being made
        return []


def worker_of(trial: optuna.trial.FrozenTrial) -> int:
    """The process that has a trial; 0 while it has just been taken."""
    return int(trial.user_attrs.get("worker", ":0").split(":")[1])


def rows(path: Path) -> list[dict[str, str]]:
    """A table that a study wrote."""
    with path.open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def measured(run: Path) -> list[tuple[str, ...]]:
    """What a run's epochs came to."""
    return [tuple(v for k, v in row.items() if k.startswith(("train/", "val/"))) for row in rows(run / "results.csv")]


def test_workers_that_are_killed_lose_and_double_no_trial_and_the_search_improves(
    trains: bool, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_EPOCH_SECONDS", "0.5")  # so that no trial ends between a look at it and the kill
    space = tmp_path / "space.yaml"
    space.write_text("lr0: {low: 1e-5, high: 0.02, gain: 15}\nbox: [3, 30]\nhsv_v:\nscale: [0, 0.9]\n")
    arguments = ["evolve", "--data", str(data), *TINY, *LEARN, "--lr0", "3e-4", "--space", str(space)]
    count = 20 if trains else 8
    arguments += ["--pruner", "none", "--trials", str(count), "--jobs", "2"]
    process = started(arguments, tmp_path)
    storage = f"sqlite:///{tmp_path}/runs/evolve/study.db"
    killed: list[int] = []
    for before in (1, 4):

        def training(before: int = before) -> list[optuna.trial.FrozenTrial]:
            trials = trials_of(storage)
            if sum(trial.state.name == "COMPLETE" for trial in trials) < before:
                return []
            alive = {pid for pid in workers_of(process) if pid not in killed}
            running = [trial for trial in trials if trial.state.name == "RUNNING" and worker_of(trial) in alive]
            return [trial for trial in running if len(trial.params) == 4]  # else there is nothing yet to make again

        victim = worker_of(wait_for(training, process)[-1])  # the one that began last
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
    out = ended(process)
    assert process.returncode == 0, out
    assert out.count("was killed by SIGKILL; it is started again") == 2

    trials = trials_of(storage)
    done = [trial for trial in trials if trial.state.name == "COMPLETE"]
    assert sorted(trial.user_attrs["slot"] for trial in done) == list(range(count))
    lost = [trial for trial in trials if trial.state.name == "FAIL"]
    assert len(trials) == count + 2 and {worker_of(t) for t in lost} == set(killed)
    for trial in lost:  # it was made again with the same values
        again = next(each for each in done if each.user_attrs["slot"] == trial.user_attrs["slot"])
        assert again.params == trial.params
    folder = tmp_path / "runs" / "evolve"
    table = rows(folder / "evolve.csv")
    assert [row["trial"] for row in table] == [str(number) for number in range(count)]
    assert {row["state"] for row in table} == {"finished"} and {row["epochs"] for row in table} == {"5"}
    assert sorted(row["begun"] for row in table) == ["1"] * (count - 2) + ["2"] * 2
    assert len(list((folder / "trials").glob("*/results.csv"))) == count

    first, best = float(table[0]["fitness"]), max(float(row["fitness"]) for row in table)
    assert float(table[0]["lr0"]) == 3e-4 and first < 0.1 and best > first + 0.2, (first, best)
    evolved = yaml.safe_load((folder / "hyp_evolved.yaml").read_text())
    assert evolved["lr0"] == float(max(table, key=lambda row: float(row["fitness"]))["lr0"])
    page = (folder / "report.html").read_text()
    assert "hyp_evolved.yaml" in page and {path.name for path in (folder / "plots").iterdir()} == {
        *("fitness.svg", "parameters.svg", "importances.svg", "parallel.svg", "courses.svg")
    }

    if trains:
        winner = max(table, key=lambda row: float(row["fitness"]))["run"]
        assert_made_again(out, folder / winner, tmp_path)

    # The same command has nothing left to do, and more trials go on.
    more = ended(started([*arguments[:-4], "--trials", str(count + 1)], tmp_path))
    assert f"{count + 1}/{count + 1}  trial {count} " in more and f"trial {count - 1} " not in more


def assert_made_again(out: str, winner: Path, folder: Path) -> None:
    """The command that a search tells makes its best run again, to the last bit."""
    told = next(line for line in out.splitlines() if line.startswith("  lehr train --hyp"))
    again = [*shlex.split(told)[1:], "--epochs", "5", "--device", "cpu", "--amp", "off", "--name", "again"]
    same = started(again, folder, cores=[min(os.sched_getaffinity(0))])
    assert "Trained in" in ended(same)
    assert measured(folder / "runs" / "again") == measured(winner)


@pytest.mark.usefixtures("trains")
def test_a_study_that_was_stopped_or_killed_whole_goes_on_with_the_same_command(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_EPOCH_SECONDS", "0.5")  # longer than its worker takes to see that nobody is left
    arguments = ["evolve", "--data", str(data), *TINY, "--epochs", "6", "--trials", "2", "--storage", "study.journal"]
    journal = tmp_path / "study.journal"
    epochs = tmp_path / "runs" / "evolve" / "trials" / "0000" / "results.csv"

    process = started(arguments, tmp_path)
    wait_for(epochs.exists, process)
    process.send_signal(signal.SIGTERM)
    out = ended(process)
    assert process.returncode == 143 and "The same command goes on" in out, out

    done = len(rows(epochs))
    assert done < 6
    process = started(arguments, tmp_path)
    wait_for(lambda: len(rows(epochs)) > done, process)
    workers = workers_of(process)
    process.kill()  # and nobody looks after the workers any more
    process.wait()
    end = time.monotonic() + 60
    while any(Path(f"/proc/{pid}").exists() for pid in workers) and time.monotonic() < end:
        time.sleep(0.1)
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)

    out = ended(started(arguments, tmp_path))
    table = rows(tmp_path / "runs" / "evolve" / "evolve.csv")
    assert [row["state"] for row in table] == ["finished"] * 2 and table[0]["begun"] == "3", out
    assert "Goes on" in (tmp_path / "runs/evolve/trials/0000/train.log").read_text()
    assert [row["epoch"] for row in rows(epochs)] == [str(number) for number in range(1, 7)]
    assert journal.is_file()


@pytest.mark.usefixtures("trains")
def test_two_commands_share_a_study_by_a_postgresql_server_that_is_restarted(data: Path, tmp_path: Path) -> None:
    with postgresql() as server:
        folders = [tmp_path / "one", tmp_path / "two"]
        arguments = ["evolve", "--data", str(data), *TINY, "--epochs", "4", "--trials", "6", "--pruner", "none"]
        for folder in folders:
            folder.mkdir()
        (folders[0] / "storage").touch(0o600)
        (folders[0] / "storage").write_text(server.url + "\n")
        bare = server.url.replace(":se%3Acr%40t@", "@")  # the password apart
        variables = {"LEHR_STORAGE": bare, "PGPASSWORD": PASSWORD}
        commands = [
            started([*arguments, "--storage-file", "storage"], folders[0]),
            started(arguments, folders[1], env=variables),
        ]
        url = server.url.replace("postgresql:", "postgresql+pg8000:")

        def both_train() -> bool:
            trials = trials_of(url)
            running = {worker_of(trial) for trial in trials if trial.state.name == "RUNNING"}
            return len(running - {0}) == 2 and any(trial.state.name == "COMPLETE" for trial in trials)

        for command in commands:
            wait_for(both_train, command)
        found: set[tuple[int, bytes]] = set()

        def all_are_seen() -> bool:  # between two trials a worker has no process for one
            found.update(
                (number, text) for number, command in enumerate(commands) for text in told_of_children(command)
            )
            return len(found) >= 8

        wait_for(all_are_seen, commands[0])
        seen = [text for _, text in found]
        assert any(b"lehr.studies.worker" in text for text in seen)
        assert not any(re.search(b"cr@t|cr%40t", text) for text in seen), "a password is in the list of processes"
        server.stop("immediate")  # as in a power cut
        time.sleep(5)
        assert all(command.poll() is None for command in commands)
        server.start()
        outs = [ended(command) for command in commands]
        assert [command.returncode for command in commands] == [0, 0], outs
        trials = trials_of(url)
        done = [trial for trial in trials if trial.state.name == "COMPLETE"]
        assert sorted(trial.user_attrs["slot"] for trial in done) == list(range(6))
        assert len({trial.user_attrs["worker"] for trial in done}) == 2
        # Both commands may have given a slot a trial when the study began; the later one gave way untrained.
        assert all(trial.user_attrs["result"] == {"note": "doubled"} for trial in trials if trial not in done)
        tables = [rows(folder / "runs" / "evolve" / "evolve.csv") for folder in folders]
        assert tables[0] == tables[1] and len(tables[0]) == 6
        assert not any(re.search("cr@t|cr%40t", out) for out in outs)
        for folder in folders:
            left = [path.read_text(errors="ignore") for path in (folder / "runs").rglob("*") if path.is_file()]
            assert not any(re.search("cr@t|cr%40t", text) for text in left), "a password was written down"


@pytest.mark.slow
def test_a_trial_that_promises_little_is_ended_early_and_its_run_stays(data: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("lr0: [1.0e-12, 0.002]\n")  # nearly all of it too low to learn anything
    arguments = ["evolve", "--data", str(data), *TINY, *LEARN, "--lr0", "0.002", "--space", "space.yaml"]
    arguments += ["--sampler", "random", "--pruner", "halving", "--prune-after", "3", "--trials", "2"]
    out = lehr(*arguments, cwd=tmp_path).stdout
    folder = tmp_path / "runs" / "evolve"
    whole, pruned = rows(folder / "evolve.csv")
    assert (whole["state"], whole["epochs"]) == ("finished", "5")
    assert (pruned["state"], pruned["epochs"]) == ("pruned", "3") and "trial 1    pruned" in out, out
    assert float(pruned["fitness"]) < float(whole["fitness"]) and float(pruned["seconds"]) < float(whole["seconds"])
    assert yaml.safe_load((folder / "hyp_evolved.yaml").read_text())["lr0"] == 0.002
    run = folder / pruned["run"]
    assert len(rows(run / "results.csv")) < 5 and (run / "best.safetensors").is_file()
    assert not list(run.glob("*.ckpt"))
    assert_made_again(out, folder / whole["run"], tmp_path)
    assert "trial 1 " not in lehr(*arguments, cwd=tmp_path).stdout


def shuffled(data: Path, folder: Path) -> Path:
    """The data set with the labels of its training images dealt out anew."""
    root = data.parent
    labels = sorted((root / "labels" / "train").glob("*.txt"))
    order = np.random.default_rng(0).permutation(len(labels))
    for split in ("train", "val"):
        (folder / "images").mkdir(parents=True, exist_ok=True)
        (folder / "images" / split).symlink_to(root / "images" / split)
        (folder / "labels" / split).mkdir(parents=True)
    for label, other in zip(labels, order, strict=True):
        (folder / "labels" / "train" / label.name).write_bytes(labels[other].read_bytes())
    for label in (root / "labels" / "val").glob("*.txt"):
        (folder / "labels" / "val" / label.name).write_bytes(label.read_bytes())
    (folder / "data.yaml").write_bytes(data.read_bytes())
    return folder / "data.yaml"


@pytest.mark.usefixtures("trains")
def test_an_ablation_sees_no_difference_where_there_is_none_and_harm_where_there_is(data: Path, tmp_path: Path) -> None:
    techniques = tmp_path / "techniques.yaml"
    sabotage = shuffled(data, tmp_path / "shuffled")
    techniques.write_text(f"no_op: {{on: {{}}, off: {{}}}}\nshuffled_labels: {{on: {{data: {sabotage}}}}}\n")
    arguments = ["ablate", "--data", str(data), *TINY, *LEARN, "--lr0", "0.002", "--seeds", "3"]
    arguments += ["--techniques", "no_op,shuffled_labels", "--technique-file", str(techniques)]
    arguments += ["--mode", "add-one-in", "--jobs", "2"]
    result = lehr(*arguments, cwd=tmp_path)
    folder = tmp_path / "runs" / "ablate"
    found = {effect["technique"]: effect for effect in json.loads((folder / "effects.json").read_text())["fitness"]}
    no_op, harm = found["no_op"], found["shuffled_labels"]
    assert no_op["pairs"] == [0.0] * 3 and no_op["verdict"] == "no difference seen at this sample size"
    assert harm["verdict"] == "hurts" and harm["high"] < 0 and harm["low"] < harm["difference"] < harm["high"]
    assert re.search(r"shuffled_labels .*hurts", result.stdout) and "no_op" in (folder / "ablation.md").read_text()
    table = rows(folder / "ablation.csv")
    assert [(row["seed"], row["no_op"], row["shuffled_labels"]) for row in table] == [
        (str(seed), *states) for seed in range(3) for states in (("off", "off"), ("on", "off"), ("off", "on"))
    ]
    assert all(float(row["memory"]) > 50 and float(row["seconds"]) > 0 for row in table)
    again = lehr(*arguments, cwd=tmp_path)
    assert "trial 0 " not in again.stdout and "hurts" in again.stdout


BAD = {
    "bounds upside down": (
        ["--space", "space.yaml"],
        "lr0: [0.1, 0.001]\n",
        "space.yaml:1: the bounds of 'lr0' are upside",
    ),
    "an unknown parameter": (
        ["--space", "space.yaml"],
        "lr0:\nmosaik: [0, 1]\n",
        "space.yaml:2: unknown parameter 'mosaik'",
    ),
    "a value now outside": (["--space", "space.yaml"], "scale: [0.6, 0.9]\n", "space.yaml:1: scale is 0.5 now"),
    "a storage away": (["--storage", "postgresql://u:secret@127.0.0.1:9/x"], "", "cannot be used"),
    "no such metric": (["--fitness", "map95"], "", "unknown metric 'map95'"),
    "pruning after the end": (["--prune-after", "9"], "", "none would be pruned"),
    "a batch that differs": (["--batch", "auto"], "", "must have the same batch"),
    "no such sampler": (["--sampler", "genetic"], "", "--sampler"),
}


@pytest.mark.parametrize("case", BAD)
def test_what_a_search_cannot_do_is_told_before_anything_is_made(case: str, data: Path, tmp_path: Path) -> None:
    arguments, space, said = BAD[case]
    (tmp_path / "space.yaml").write_text(space)
    result = lehr("evolve", "--data", str(data), *TINY, "--epochs", "4", *arguments, cwd=tmp_path, code=2)
    assert said in result.stderr
    assert "secret" not in result.stderr and not (tmp_path / "runs" / "evolve").exists()


def test_a_dry_run_lists_what_would_be_done_measures_an_epoch_and_leaves_nothing(data: Path, tmp_path: Path) -> None:
    run = ["--data", str(data), *TINY, "--epochs", "9", "--dry-run"]
    search = lehr("evolve", *run, "--trials", "12", cwd=tmp_path).stdout
    assert (
        re.search(r"^lr0 +0\.\d+ +1e-05 to 0.1, logarithmic$", search, re.MULTILINE)
        and "12 trials of 9 epochs" in search
    )
    minutes, seconds = map(int, re.search(r"About (\d+):(\d\d) here", search).groups())  # type: ignore[union-attr]
    assert 20 < 60 * minutes + seconds < 1200
    ablation = lehr("ablate", *run, "--techniques", "mosaic,ema", "--seeds", "2", cwd=tmp_path).stdout
    assert "6 runs of 9 epochs" in ablation and "without mosaic: seeds 0, 1" in ablation and "About" in ablation
    assert not (tmp_path / "runs").exists()


def test_a_budget_ends_with_what_is_known_and_the_same_command_goes_on(
    trains: bool, data: Path, tmp_path: Path
) -> None:
    arguments = ["ablate", "--data", str(data), *TINY, "--epochs", "2", "--techniques", "ema", "--seeds", "1"]
    cut = lehr(*arguments, "--hours", "0.0014" if trains else "0.0002", cwd=tmp_path).stdout
    folder = tmp_path / "runs" / "ablate"
    assert "The time is over" in cut and (folder / "report.html").is_file()
    assert len([row for row in rows(folder / "ablation.csv") if row["state"] == "finished"]) < 2
    whole = lehr(*arguments, cwd=tmp_path).stdout
    assert [row["state"] for row in rows(folder / "ablation.csv")] == ["finished"] * 2
    assert "one seed: no interval" in whole and "The time is over" not in whole


@pytest.mark.usefixtures("trains")
def test_another_space_under_the_same_name_is_refused_and_nothing_is_lost(data: Path, tmp_path: Path) -> None:
    base = ["evolve", "--data", str(data), *TINY, "--epochs", "2", "--trials", "1"]
    lehr(*base, cwd=tmp_path)
    folder = tmp_path / "runs" / "evolve"
    before = {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.suffix != ".db"}
    (tmp_path / "space.yaml").write_text("lr0: [0.001, 0.02]\n")
    result = lehr(*base, "--space", "space.yaml", cwd=tmp_path, code=2)
    assert "about something else" in result.stderr and "space parameters" in result.stderr
    result = lehr("ablate", *base[1:-2], "--techniques", "mosaic", "--name", "evolve", cwd=tmp_path, code=2)
    assert "lehr evolve" in result.stderr
    assert {path: path.read_bytes() for path in before} == before
    assert [trial.state.name for trial in trials_of(f"sqlite:///{folder}/study.db")] == ["COMPLETE"]


@pytest.mark.usefixtures("trains")
def test_a_study_that_somebody_has_changed_ends_the_command_in_one_message(data: Path, tmp_path: Path) -> None:
    arguments = ["evolve", "--data", str(data), *TINY, "--epochs", "2", "--trials", "2", "--storage", "study.journal"]
    lehr(*arguments, "--hours", "0.000001", cwd=tmp_path)
    journal, url = tmp_path / "study.journal", str(tmp_path / "study.journal")
    whole = journal.read_bytes()
    victim = tmp_path / "victim"
    (tmp_path / "runs" / "evolve" / "trials").mkdir(exist_ok=True)
    for key, value in (
        ("slot", 10**9),
        ("result", {"folder": "../../x"}),
        ("worker", f"host:{victim}"),
        ("attempt", "x"),
    ):
        set_attribute(url, "trial_user", key, value, trials=2)
        told = lehr(*arguments, cwd=tmp_path, code=2).stderr
        assert key in told and "study.journal" in told and told.count("lehr: ") == 1
        journal.write_bytes(whole)
    for line in (b"not JSON\n", b'{"op_code": 99, "worker_id": "x"}\n' * 2, b"[" * 100_000 + b"\n"):
        journal.write_bytes(whole + line + b'{"op_code": 1, "worker_id": "x", "study_id": 7}\n')
        assert "study.journal" in lehr(*arguments, cwd=tmp_path, code=2).stderr
    journal.write_bytes(whole)
    # Nothing of a hostile study was trained or written elsewhere, and the study as it was goes on.
    assert not victim.exists() and "trial 1 " in lehr(*arguments, cwd=tmp_path).stdout
