"""Signals to a training in its own process: it finishes its step, saves, and exits with the documented code."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from benchmarks.crash import differences

from lehr.checkpoint.format import read_checkpoint

LEHR = [sys.executable, "-m", "lehr"]
QUICK = ["--data", "shapes", "--imgsz", "64", "--width", "0.125", "--device", "cpu"]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A run that was left alone."""
    project = tmp_path_factory.mktemp("runs")
    arguments = [*QUICK, "--epochs", "2", "--project", str(project), "--name", "whole"]
    subprocess.run([*LEHR, "train", *arguments], check=True)
    yield project / "whole"


def begin(project: Path, epochs: int = 2, workers: int = 0) -> subprocess.Popen[str]:
    """A training that has come into its second epoch."""
    more = ["--epochs", str(epochs), "--workers", str(workers), "--project", str(project), "--name", "run"]
    process = subprocess.Popen(
        [*LEHR, "train", *QUICK, *more],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    for _ in range(600):
        if (project / "run" / "results.csv").exists():
            return process
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    raise AssertionError("no epoch ended within a minute")


@pytest.mark.parametrize(
    ("number", "code", "name"),
    [(signal.SIGTERM, 143, "SIGTERM"), (signal.SIGUSR1, 138, "SIGUSR1"), (signal.SIGINT, 130, "Ctrl-C")],
)
def test_a_signal_in_mid_epoch_saves_and_resume_is_exact(
    number: int, code: int, name: str, whole: Path, tmp_path: Path
) -> None:
    workers = 0 if number == signal.SIGINT else 2
    process = begin(tmp_path, workers=workers)
    time.sleep(0.8)
    # With workers, to all processes at once, as clusters and terminals do.
    os.killpg(process.pid, number) if workers else process.send_signal(number)
    started = time.monotonic()
    _, told = process.communicate()
    assert time.monotonic() - started < 10
    assert process.returncode == code
    folder = tmp_path / "run"
    assert f"Stopped by {name} in epoch 2" in told and f"lehr train --resume {folder}" in told
    position = read_checkpoint(folder / "last.ckpt").position
    assert 30 < position.step < 60 and not position.finished
    # With nothing named, the newest interrupted run of the project goes on.
    done = subprocess.run([*LEHR, "train", "--resume", "--project", str(tmp_path), "--workers", "0"])
    assert done.returncode == 0
    assert differences(whole, folder) == []


def test_a_second_ctrl_c_stops_at_once_and_the_run_can_go_on(whole: Path, tmp_path: Path) -> None:
    process = begin(tmp_path)
    # Stopped for a moment, the process finds both signals waiting.
    process.send_signal(signal.SIGSTOP)
    process.send_signal(signal.SIGTERM)
    process.send_signal(signal.SIGCONT)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=10)
    assert process.returncode in (130, 143) and "Traceback" not in told
    subprocess.run([*LEHR, "train", "--resume", str(tmp_path / "run")], check=True)
    assert differences(whole, tmp_path / "run") == []


def test_a_second_process_is_refused(tmp_path: Path) -> None:
    process = begin(tmp_path, epochs=50, workers=1)
    second = subprocess.run(
        [*LEHR, "train", "--resume", str(tmp_path / "run")], capture_output=True, text=True, timeout=60
    )
    assert second.returncode == 2
    assert f"is being trained by process {process.pid} on " in second.stderr and "Traceback" not in second.stderr
    process.kill()
    process.communicate()
    # The lock goes with the process, whatever became of its workers.
    third = subprocess.Popen([*LEHR, "train", "--resume", str(tmp_path / "run")], stdout=subprocess.PIPE, text=True)
    assert third.stdout is not None
    assert any("Goes on from" in line for line in third.stdout)
    third.kill()
    third.communicate()


def test_a_full_disk_stops_nothing_and_the_previous_checkpoint_is_whole(tmp_path: Path) -> None:
    """On a file system of 27 MB there is room for one checkpoint of 15 and two weights of 4, and not for the next."""
    if shutil.which("unshare") is None:
        pytest.skip("no unshare, so no small file system of one's own")
    disk, kept = tmp_path / "disk", tmp_path / "kept"
    disk.mkdir()
    train = " ".join([*LEHR, "train", *QUICK, "--epochs", "2", "--project", str(disk), "--name", "run"])
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
    assert "The run goes on" in done.stdout and "2/2" in done.stdout  # both epochs were trained
    assert read_checkpoint(kept / "last.ckpt").position.step == 0
    again = subprocess.run([*LEHR, "train", "--resume", str(kept)], capture_output=True, text=True)
    assert again.returncode == 0 and "1/2" in again.stdout
