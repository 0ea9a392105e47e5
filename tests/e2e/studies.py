"""Studies in processes of their own: begun, looked at, waited for, and what they left."""

from __future__ import annotations

import contextlib
import csv
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import draw_squares
from tests.e2e.forked_modules import fork_module
from tests.processes import Forked, command

optuna = pytest.importorskip("optuna")

TINY = ["--imgsz", "64", "--width", "0.125", "--device", "cpu", "--amp", "off"]
LEARN = ["--lr-schedule", "constant", "--optimizer", "AdamW", "--nominal-batch", "1", "--warmup", "none"]
LEARN += ["--batch", "4", "--ema-decay", "0.98", "--mosaic", "0", "--epochs", "5"]
"""What learns to find squares in a hundred steps, where the learning rate is right."""
STUB = "tests.studies.stub_trial"
ROOT = Path(__file__).parents[2]


def make_data(root: Path) -> None:
    """A bright square an image, its class by its size."""
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


def started(arguments: list[str], folder: Path, **more: Any) -> Forked:
    """A command in the background."""
    count = len(list(folder.glob("*.printed")))
    return Forked(_study, arguments, cwd=folder, out=folder / f"{count}.printed", **more)


def _study(arguments: list[str]) -> None:
    from lehr.studies import pool, runner, worker

    runner.TRIAL_MODULE = os.environ.get("STUDY_TRIALS", runner.TRIAL_MODULE)
    if runner.TRIAL_MODULE == STUB:  # trials that train begin as new interpreters
        pool.start_module = worker.start_module = fork_module  # type: ignore[assignment]
    command(arguments)


def ended(process: Forked, seconds: float = 1000) -> str:
    """What a command printed, once it has ended."""
    return process.communicate(seconds)[0]


def workers_of(process: Forked) -> list[int]:
    """The workers of a command."""
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="ascii").split()
    names = {pid: Path(f"/proc/{pid}/cmdline").read_bytes() for pid in [process.pid, *map(int, children)]}
    mine = names.pop(process.pid)  # that of those which it forked, too
    return [pid for pid, name in names.items() if b"lehr.studies.worker" in name or name == mine]


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
