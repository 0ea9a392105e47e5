"""Savings of pruning: the same search with each pruner, epochs and best fitness side by side.

`python benchmarks/pruning.py --seeds 2` prints a table for docs/evolution.md. Each search is `lehr evolve` on `shapes`
with a small model, two workers and SQLite, started from a learning rate that is far too low. `--kills 2` kills two
workers of each search with SIGKILL, and checks that no trial is lost or duplicated. `--again 3` trains the values that
each search found with three new seeds: their spread is the noise of a best fitness. `--trials-of STUDY.db` trains
nothing: it shows each pruner the trials of a study without pruning, an epoch at a time, two trials at once, so that
chance has no part in the differences between the pruners.
"""

from __future__ import annotations

import argparse
import csv
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import optuna

from lehr.checkpoint.results_csv import RESULTS
from lehr.search.fitness import DEFAULT, parse_fitness, read_epochs
from lehr.search.samplers import make_pruner

FITNESS = parse_fitness(DEFAULT)
DONE = optuna.trial.TrialState.COMPLETE
LEHR = [sys.executable, "-m", "lehr"]
RUN = ["--data", "shapes", "--imgsz", "64", "--width", "0.125", "--batch", "8", "--device", "cpu"]
RUN += ["--ema-decay", "0.99", "--close-mosaic", "3"]
SEARCH = ["--jobs", "2", "--optimizer", "AdamW", "--nominal-batch", "1", "--lr0", "3e-4"]
SPACE = "lr0: {low: 1e-5, high: 0.03, gain: 15}\nbox: [3, 30]\ncls: [0.2, 4]\nscale: [0, 0.9]\nmosaic: [0, 1]\nhsv_v:\n"
KILL_AFTER = 4
"""Trials that end before each kill of a worker."""


@dataclass(frozen=True, slots=True)
class Found:
    """Result of a search: epochs trained, trials trained to their end, fitness of the first and best, seconds."""

    epochs: int
    finished: int
    first: float
    best: float
    seconds: float


def workers_of(process: int) -> list[int]:
    """Return the process ids of a command's workers."""
    children = Path(f"/proc/{process}/task/{process}/children").read_text(encoding="ascii").split()
    return [pid for pid in map(int, children) if b"lehr.studies.worker" in Path(f"/proc/{pid}/cmdline").read_bytes()]


def search(place: Path, pruner: str, given: argparse.Namespace, seed: int) -> Found:
    """Run a search, and return its result.

    Raises:
        AssertionError: a trial was lost or duplicated.
    """
    space, began = place / "space.yaml", time.monotonic()
    space.write_text(SPACE)
    command = [*LEHR, "evolve", *RUN, *SEARCH, "--epochs", str(given.epochs), "--space", str(space)]
    command += ["--pruner", pruner, "--prune-after", str(given.prune_after), "--seed", str(seed)]
    process = subprocess.Popen(
        [*command, "--trials", str(given.trials), "--project", str(place)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    ended = kills = 0
    for line in process.stdout:
        ended += "  trial " in line
        if kills < given.kills and ended >= KILL_AFTER * (kills + 1):
            os.kill(workers_of(process.pid)[kills % 2], signal.SIGKILL)
            kills += 1
    assert process.wait() == 0
    with (place / "evolve" / "evolve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [int(row["trial"]) for row in rows] == list(range(given.trials))
    assert {row["state"] for row in rows} <= {"finished", "pruned", "diverged"} and ended == given.trials
    assert kills == given.kills and sum(int(row["begun"]) - 1 for row in rows) >= min(kills, 1)
    whole = [float(row["fitness"]) for row in rows if row["state"] == "finished"]
    epochs, first = sum(int(row["epochs"]) for row in rows), float(rows[0]["fitness"])
    return Found(epochs, len(whole), first, max(whole), time.monotonic() - began)


def again(place: Path, epochs: int, seed: int) -> float:
    """Train with the values that a search found and another seed; return the best fitness."""
    command = [*LEHR, "train", *RUN, "--hyp", str(place / "evolve" / "hyp_evolved.yaml"), "--epochs", str(epochs)]
    command += ["--seed", str(1000 + seed), "--project", str(place), "--name", f"again-{seed}"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return max(FITNESS(epoch.metrics) for epoch in read_epochs(place / f"again-{seed}" / RESULTS))


def replay(database: Path, pruner: str, prune_after: int) -> tuple[int, int, list[float]]:
    """Replay the trials of a study with a pruner.

    Returns:
        Epochs of all trials, epochs that would have been trained, and the fitness of the trials that would have been
        completed.
    """
    trials = optuna.load_study(study_name=None, storage=f"sqlite:///{database}").get_trials(
        deepcopy=False, states=[DONE]
    )
    courses = [[value for _, value in sorted(trial.intermediate_values.items())] for trial in trials]
    epochs = max(map(len, courses))
    study = optuna.create_study(
        study_name="replay", direction="maximize", pruner=make_pruner(pruner, epochs, prune_after)
    )
    waiting, running, trained = list(courses), [], 0
    whole: list[float] = []
    while waiting or running:
        while waiting and len(running) < 2:
            running.append((study.ask(), waiting.pop(0), iter(range(epochs))))
        for each in list(running):
            trial, course, left = each
            number = next(left)
            trial.report(course[number], number + 1)
            trained += 1
            if number + 1 == epochs:
                whole.append(max(course))
                study.tell(trial, whole[-1])
            elif trial.should_prune() and trial.number > 0:
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                continue
            running.remove(each)
    return epochs * len(courses), trained, whole


def print_replay(database: Path, pruners: list[str], prune_after: int) -> None:
    """Print a table of the trials of a study as each pruner would have stopped them."""
    print("| pruner | epochs | saved | completed trials | best |\n|---|---|---|---|---|")
    for pruner in pruners:
        planned, trained, whole = replay(database, pruner, prune_after)
        saved = 1 - trained / planned
        print(f"| {pruner} | {trained} of {planned} | {saved:.0%} | {len(whole)} | {max(whole):.3f} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=20)
    parser.add_argument("--prune-after", type=int, default=3)
    parser.add_argument("--kills", type=int, default=0)
    parser.add_argument("--again", type=int, default=0)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--pruners", default="none,halving,median,hyperband")
    parser.add_argument("--keep", type=Path, help="folder to keep the studies in (default: a temporary one)")
    parser.add_argument("--trials-of", type=Path, metavar="STUDY.db")
    given = parser.parse_args()
    if given.trials_of:
        print_replay(given.trials_of, given.pruners.split(","), given.prune_after)
        return
    planned = given.trials * given.epochs
    print("| pruner | seed | epochs | saved | completed trials | first | best | trained again | seconds |")
    print("|---|---|---|---|---|---|---|---|---|", flush=True)
    for seed in range(given.first_seed, given.first_seed + given.seeds):
        for pruner in given.pruners.split(","):
            with tempfile.TemporaryDirectory() as temporary:
                place = given.keep / f"{pruner}-{seed}" if given.keep else Path(temporary)
                place.mkdir(parents=True, exist_ok=True)
                found = search(place, pruner, given, seed)
                values = [again(place, given.epochs, each) for each in range(given.again)]
            spread = f"{statistics.mean(values):.3f} ({min(values):.3f} to {max(values):.3f})" if values else "-"
            print(
                f"| {pruner} | {seed} | {found.epochs} of {planned} | {1 - found.epochs / planned:.0%} | "
                f"{found.finished} | {found.first:.3f} | {found.best:.3f} | {spread} | {found.seconds:.0f} |",
                flush=True,
            )


if __name__ == "__main__":
    main()
