"""`lehr evolve` as a user runs it: killed, stopped, gone on with, and by way of a server.

What becomes of trials when something is lost does not depend on what they do, so they are made up here: see
`tests/studies/stub_trial.py`. With runs that really train, the same is in the slow suite.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import time
from pathlib import Path

import pytest
import yaml
from tests.commands import lehr
from tests.e2e.studies import (
    LEARN,
    TINY,
    ended,
    measured,
    optuna,
    rows,
    started,
    told_of_children,
    trials_of,
    wait_for,
    worker_of,
    workers_of,
)
from tests.studies.servers import PASSWORD, postgresql

pytestmark = pytest.mark.timeout(1200)


def test_workers_that_are_killed_lose_and_double_no_trial_and_the_search_improves(
    trains: bool, study_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = ("2", "4")
    monkeypatch.setenv("STUB_HELD", " ".join(held))  # so that no trial ends between a look at it and the kill
    space = tmp_path / "space.yaml"
    space.write_text("lr0: {low: 1e-5, high: 0.02, gain: 15}\nbox: [3, 30]\nhsv_v:\nscale: [0, 0.9]\n")
    arguments = ["evolve", "--data", str(study_data), *TINY, *LEARN, "--lr0", "3e-4", "--space", str(space)]
    count = 20 if trains else 6
    arguments += ["--pruner", "none", "--trials", str(count), "--jobs", "2"]
    process = started(arguments, tmp_path)
    storage = f"sqlite:///{tmp_path}/runs/evolve/study.db"
    killed: list[int] = []
    for before in (1, 3):

        def training(before: int = before) -> list[optuna.trial.FrozenTrial]:
            trials = trials_of(storage)
            if sum(trial.state.name == "COMPLETE" for trial in trials) < before:
                return []
            alive = {pid for pid in workers_of(process) if pid not in killed}
            running = [trial for trial in trials if trial.state.name == "RUNNING" and worker_of(trial) in alive]
            running = [trial for trial in running if trains or str(trial.user_attrs["slot"]) in held]
            return [trial for trial in running if len(trial.params) == 4]  # else there is nothing yet to make again

        victim = worker_of(wait_for(training, process)[-1])  # the one that began last
        os.kill(victim, signal.SIGKILL)
        killed.append(victim)
    out = ended(process)
    assert process.returncode == 0, out
    assert out.count("was killed by SIGKILL; it is restarted") == 2

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


@pytest.mark.slow
@pytest.mark.usefixtures("trains")
def test_a_study_that_was_stopped_or_killed_whole_goes_on_with_the_same_command(
    study_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STUB_EPOCH_SECONDS", "0.5")  # longer than its worker takes to see that nobody is left
    arguments = [
        "evolve",
        "--data",
        str(study_data),
        *TINY,
        "--epochs",
        "6",
        "--trials",
        "2",
        "--storage",
        "study.journal",
    ]
    journal = tmp_path / "study.journal"
    epochs = tmp_path / "runs" / "evolve" / "trials" / "0000" / "results.csv"

    process = started(arguments, tmp_path)
    wait_for(epochs.exists, process)
    process.send_signal(signal.SIGTERM)
    out = ended(process)
    assert process.returncode == 143 and "The same command continues" in out, out

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


@pytest.mark.slow
@pytest.mark.usefixtures("trains")
def test_two_commands_share_a_study_by_a_postgresql_server_that_is_restarted(study_data: Path, tmp_path: Path) -> None:
    with postgresql() as server:
        folders = [tmp_path / "one", tmp_path / "two"]
        arguments = ["evolve", "--data", str(study_data), *TINY, "--epochs", "4", "--trials", "6", "--pruner", "none"]
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
        time.sleep(2)
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
def test_a_trial_that_promises_little_is_ended_early_and_its_run_stays(study_data: Path, tmp_path: Path) -> None:
    (tmp_path / "space.yaml").write_text("lr0: [1.0e-12, 0.002]\n")  # nearly all of it too low to learn anything
    arguments = ["evolve", "--data", str(study_data), *TINY, *LEARN, "--lr0", "0.002", "--space", "space.yaml"]
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
