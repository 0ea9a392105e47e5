"""Kill a training again and again, and compare its result with that of a run that was never killed.

    python benchmarks/crash.py [--kills 100] [--workers 0 2] [--seed 0] [--folder DIR]

Trains on the generated data set in a separate process, kills it with SIGKILL inside a step, inside a validation, while
a checkpoint is written, or anywhere, resumes it with `lehr train --resume`, and repeats this until the run is done;
then starts the next run, until there were enough kills. Every result must be that of the undisturbed run, byte for
byte: weights, their average, the optimizer's moments and results.csv, except for its time columns.

The child process reports its progress on a pipe; nothing else of the command is changed.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

OPTIONS = (
    *("--data", "shapes", "--imgsz", "64", "--epochs", "4", "--width", "0.125", "--device", "cpu"),
    *("--batch", "16", "--nominal-batch", "32", "--multi-scale", "0.3", "--image-weights", "--close-mosaic", "2"),
    *("--checkpoint-minutes", "0.005"),
)
PIPE = "LEHR_CRASH_PIPE"
STEP, VALIDATION, WRITING = b"s", b"v", b"w"
PLACES = {"inside a step": STEP, "inside a validation": VALIDATION, "while a checkpoint is written": WRITING}
ANYWHERE = "anywhere"
LONGEST: dict[bytes | str, float] = {STEP: 0.15, VALIDATION: 0.8, WRITING: 0.06, ANYWHERE: 14.0}
"""Approximate duration of each, seconds; the kill comes at a random moment within it."""
MAX_MARKS = {STEP: 30, VALIDATION: 1, WRITING: 6}
"""Marks after which the kill comes at the latest."""
TIME_COLUMNS = ("seconds", "images_per_second")


class Process(Protocol):
    """A run's process, such as a `subprocess.Popen`."""

    @property
    def returncode(self) -> int | None: ...

    def send_signal(self, number: int, /) -> None: ...

    def communicate(self) -> tuple[str, str]: ...


Start = Callable[[Sequence[str]], tuple[Process, int]]
"""Starts a run's process; returns it, and the end of the pipe on which it reports its progress."""


@dataclass(slots=True)
class Crashes:
    """Kills of a run.

    Attributes:
        places: number of kills by place.
        resumed: batches that were done each time the run resumed.
    """

    places: Counter[str] = field(default_factory=Counter)
    resumed: list[int] = field(default_factory=list)


class Marks:
    """Callback that reports the progress of a run on a pipe."""

    def on_train_batch_start(self, event: object) -> None:
        """Report that a step begins."""
        mark(STEP)

    def on_val_start(self, event: object) -> None:
        """Report that a validation begins."""
        mark(VALIDATION)


def mark(place: bytes) -> None:
    """Report on the pipe where the run is."""
    with contextlib.suppress(OSError):  # nobody listens
        os.write(int(os.environ[PIPE]), place)


def child(arguments: Sequence[str]) -> None:
    """Run `lehr`, which reports its progress on a pipe."""
    from lehr.runtime.tuning import tune_process

    tune_process()
    from lehr.checkpoint import writer
    from lehr.cli.app import main

    write = writer.write_checkpoint

    def marked(*args: Any) -> None:
        mark(WRITING)
        write(*args)

    writer.write_checkpoint = marked
    main([*arguments, "--callback", f"{'crash' if __name__ == '__main__' else __name__}:Marks"])


def start(arguments: Sequence[str]) -> tuple[Process, int]:
    """Start a child process; return it, and the end of the pipe on which it reports its progress."""
    reader, writer = os.pipe()
    here = Path(__file__).resolve()
    modules = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(here.parent)]))  # for `crash:Marks`
    process = subprocess.Popen(
        [sys.executable, str(here), "--child", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={**os.environ, PIPE: str(writer), "PYTHONPATH": modules},
        pass_fds=(writer,),
    )
    os.close(writer)
    return process, reader


def undisturbed(folder: Path, options: Sequence[str] = OPTIONS, begin: Start = start) -> None:
    """Train a run from start to end."""
    process, reader = begin(["train", *options, "--project", str(folder.parent), "--name", folder.name])
    os.close(reader)
    _finish(process)


def crashed(
    folder: Path,
    workers: int,
    places: Sequence[str],
    rng: random.Random,
    options: Sequence[str] = OPTIONS,
    begin: Start = start,
) -> Crashes:
    """Train a run to its end, killing it once at each of some places.

    Args:
        folder: the run's folder; must not exist.
        workers: number of loading processes.
        places: keys of `PLACES`, or `ANYWHERE`.
        rng: draws the moments of the kills.
        options: options of the run.
        begin: starts each of its processes.
    """
    crashes = Crashes()
    new = ["train", *options, "--workers", str(workers), "--project", str(folder.parent), "--name", folder.name]
    for place in places:
        process, reader = begin(["train", "--resume", str(folder)] if (folder / "config.yaml").exists() else new)
        killed = _kill(process, reader, place, rng)
        os.close(reader)
        crashes.resumed += _batches_done(folder)
        if not killed:
            break
        crashes.places[place] += 1
    process, reader = begin(["train", "--resume", str(folder)])
    os.close(reader)
    _finish(process)
    return crashes


def differences(one: Path, other: Path) -> list[str]:
    """Name what differs between the results of two runs; empty if they are the same byte for byte."""
    from lehr.checkpoint.format import read_checkpoint

    found = [
        name
        for name in ("last.safetensors", "best.safetensors")
        if (one / name).read_bytes() != (other / name).read_bytes()
    ]
    if _rows(one) != _rows(other):
        found.append("results.csv")
    if _found(one) != _found(other):
        found.append("detections.safetensors")
    states = [read_checkpoint(run / "last.ckpt").content["state"] for run in (one, other)]
    for state in states:
        state["seconds"] = state["sums"]["seconds"] = 0
        state["history"] = [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in state["history"]]
    found += [f"last.ckpt: {name}" for name in states[0] if not _same(states[0][name], states[1][name])]
    return found


def _found(run: Path) -> tuple[object, ...]:
    """Return the detections of a run's best weights, without the folders of the images."""
    from lehr.analysis.record_file import load_record

    record = load_record(run / "detections.safetensors")
    return record.epoch, record.names, [each.path.name for each in record.samples], record.detections.tobytes()


def _rows(run: Path) -> list[dict[str, str]]:
    with (run / "results.csv").open(encoding="utf-8") as file:
        return [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in csv.DictReader(file)]


def _same(one: Any, other: Any) -> bool:
    import torch

    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(_same(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(one == other)


def _kill(process: Process, reader: int, place: str, rng: random.Random) -> bool:
    """Kill a process at a random moment of a place; return False if it ended before."""
    if place == ANYWHERE:
        time.sleep(rng.uniform(0, LONGEST[ANYWHERE]))
    else:
        mark = PLACES[place]
        wait = rng.randint(1, MAX_MARKS[mark])
        while wait:
            told = os.read(reader, 1)
            if not told:
                break
            wait -= told == mark
        time.sleep(rng.uniform(0, LONGEST[mark]))
    process.send_signal(signal.SIGKILL)
    output, _ = process.communicate()
    if process.returncode not in (0, -signal.SIGKILL):
        raise SystemExit(f"the run failed without being killed ({process.returncode}):\n{output}")
    return process.returncode != 0


def _finish(process: Process) -> None:
    output, _ = process.communicate()
    if process.returncode != 0:
        raise SystemExit(f"the run failed ({process.returncode}):\n{output}")


def _batches_done(folder: Path) -> list[int]:
    """Return the batches done in the newest intact checkpoint, if there is one; damage is detected, not hidden."""
    from lehr.checkpoint.format import newest_checkpoint

    checkpoint = newest_checkpoint(folder, lambda _: None)
    return [] if checkpoint is None else [checkpoint.position.step]


def main() -> None:
    """Print a table of the kills and the result of each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2])
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="lehr-crash-"))
    rng = random.Random(given.seed)
    undisturbed(folder / "undisturbed")
    places, every, runs, failures, total = Counter[str](), [*PLACES, ANYWHERE], 0, 0, 0
    while total < given.kills:
        workers = given.workers[runs % len(given.workers)]
        chosen = [every[(total + i) % len(every)] for i in range(min(rng.randint(6, 14), given.kills - total))]
        rng.shuffle(chosen)
        run = folder / f"crashed-{runs}"
        crashes = crashed(run, workers, chosen, rng)
        found = differences(folder / "undisturbed", run)
        places += crashes.places
        runs, failures, total = runs + 1, failures + bool(found), total + crashes.places.total()
        ends = ", ".join(found) if found else "same end"
        print(f"run {runs:>3}, {workers} workers, {crashes.places.total():>3} kills: {ends}", flush=True)
    print(f"\n{total} kills in {runs} runs; {failures} runs ended differently")
    for place, count in sorted(places.items()):
        print(f"  {count:>4} {place}")
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2:])
    else:
        main()
