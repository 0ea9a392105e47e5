"""Signals to a training in its own process: it finishes its step, saves, and exits with the documented code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from benchmarks.crash import differences
from tests.commands import lehr
from tests.conftest import Once, make_squares
from tests.e2e.marked import SMALL, Marked, wait_for_marks
from tests.processes import Forked, start_lehr

from lehr.checkpoint.format import read_checkpoint

STEPS = 14
"""Of an epoch."""


@pytest.fixture(scope="module")
def data(once: Once) -> list[str]:
    """Options of a run of short epochs."""
    folder = once("signalled-data", lambda folder: make_squares(folder, {"train": 4 * STEPS, "val": 4}))
    return ["--data", str(folder / "data.yaml"), *SMALL]


@pytest.fixture(scope="module")
def whole(once: Once, data: list[str]) -> Path:
    """A run that was left alone."""

    def make(folder: Path) -> None:
        folder.mkdir()
        lehr("train", *data, "--epochs", "2", "--name", "whole", cwd=folder)

    return once("signalled", make) / "runs" / "whole"


def begin(data: list[str], folder: Path, epochs: int = 2, workers: int = 0) -> Forked:
    """A training that is in its second epoch."""
    more = ["--epochs", str(epochs), "--workers", str(workers), "--project", str(folder), "--name", "run"]
    process, reader = Marked(folder, new_session=True)(["train", *data, *more])
    wait_for_marks(reader, STEPS + 4)
    return process


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [
        (signal.SIGTERM, 143, "SIGTERM"),
        pytest.param(signal.SIGUSR1, 138, "SIGUSR1", marks=pytest.mark.slow),
        (signal.SIGINT, 130, "Ctrl-C"),
    ],
)
def test_a_signal_in_mid_epoch_saves_and_resume_is_exact(
    number: int, code: int, name: str, data: list[str], whole: Path, tmp_path: Path
) -> None:
    workers = 0 if number == signal.SIGINT else 2
    process = begin(data, tmp_path, workers=workers)
    # With workers, to all processes at once, as clusters and terminals do.
    os.killpg(process.pid, number) if workers else process.send_signal(number)
    started = time.monotonic()
    _, told = process.communicate()
    assert time.monotonic() - started < 10
    assert process.returncode == code
    folder = tmp_path / "run"
    assert f"Stopped by {name} in epoch 2" in told and f"lehr train --resume {folder}" in told
    position = read_checkpoint(folder / "last.ckpt").position
    assert STEPS < position.step < 2 * STEPS and not position.finished
    # With nothing named, the newest interrupted run of the project goes on.
    lehr("train", "--resume", "--project", tmp_path, "--workers", "0", cwd=tmp_path)
    assert differences(whole, folder) == []


def test_a_second_ctrl_c_stops_at_once_and_the_run_can_go_on(data: list[str], whole: Path, tmp_path: Path) -> None:
    process = begin(data, tmp_path)
    # Stopped for a moment, the process finds both signals waiting.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=10)
    assert process.returncode in (130, 143) and "Traceback" not in told
    lehr("train", "--resume", tmp_path / "run", cwd=tmp_path)
    assert differences(whole, tmp_path / "run") == []


def test_a_second_process_is_refused(data: list[str], tmp_path: Path) -> None:
    process = begin(data, tmp_path, epochs=50, workers=1)
    second = lehr("train", "--resume", tmp_path / "run", cwd=tmp_path, code=2)
    assert f"is being trained by process {process.pid} on " in second.stderr
    process.kill()
    process.wait()
    # The lock goes with the process, whatever became of its workers.
    third = start_lehr("train", "--resume", tmp_path / "run", folder=tmp_path, name="third")
    while "Resumes from" not in third.out:
        assert third.poll() is None, third.err
        time.sleep(0.02)


@pytest.mark.slow
def test_a_full_disk_stops_nothing_and_the_previous_checkpoint_is_whole(data: list[str], tmp_path: Path) -> None:
    """On a file system of 27 MB there is room for one checkpoint of 15 and two weights of 4, and not for the next."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, so no small file system of one's own")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    train = " ".join(
        [sys.executable, "-m", "lehr", "train", *data, "--epochs", "2", "--project", str(disk), "--name", "run"]
    )
    script = (
        f"mount -t tmpfs -o size=27m tmpfs {disk} || exit 77; {train}; code=$?; rm -f {disk}/run/.*.tmp; "
        f"cp -r {disk}/run {kept}; exit $code"
    )
    done = subprocess.run(
        ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "COLUMNS": "200"},
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{disk}/run/last.ckpt: cannot be written (No space left on device)" in done.stderr
    assert f"lehr train --resume {disk}/run" in done.stderr
    assert "The run continues" in done.stdout and "2/2" in done.stdout  # both epochs were trained
    assert read_checkpoint(kept / "last.ckpt").position.step == 0
    assert "1/2" in lehr("train", "--resume", kept, cwd=tmp_path).stdout
