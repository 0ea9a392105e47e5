"""`lehr train --processes 2` as a user runs it: what it tells, and what becomes of it when something is lost."""

from __future__ import annotations

import csv
import os
import random
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.crash import differences
from benchmarks.lost_process import disturbed, restarts_of
from tests.conftest import MakeYolo, Once
from tests.e2e.launched import ForkedLaunch, Started, StartedWorkers, alive
from tests.e2e.test_bad_input import truncate

from lehr.checkpoint.format import read_position
from lehr.data.formats.shapes import write_shapes

TWO = ["--device", "cpu", "--processes", "2"]
QUICK = ["--imgsz", "64", "--batch", "4", "--width", "0.125", "--epochs", "2", "--checkpoint-minutes", "0.003"]
QUICK += ["--amp", "off"]
SOON = 15.0
"""Seconds in which everything must have ended once it was asked to."""
SURVIVOR = r"^lehr: Rank \d of 2 on \S+ lost the connection to the others at .*\n"
"""What a process may come to tell before the launcher, which starts all of them again, has ended it."""
HOW_TO_GO_ON = "Resume with: lehr train --resume"
STOPS = {
    "SIGTERM": ("launcher", signal.SIGTERM, 143, "lehr: Stopped by SIGTERM in epoch"),
    "Ctrl-C": ("group", signal.SIGINT, 130, "lehr: Stopped by Ctrl-C in epoch"),
    "the launcher killed": ("launcher", signal.SIGKILL, -9, "lehr: The launcher of these processes was killed."),
    "restarts used up": ("rank 1", signal.SIGKILL, 1, "lehr: Process {pid} (rank 1) was killed by SIGKILL."),
}
"""Who gets which signal, and what a user sees of it."""
QUICK_STOPS = ("SIGTERM", "restarts used up")
"""Those that the first suite tries."""
SCRIPT = """
import os, signal, threading, time
from lehr import Detector

def hang_up():
    while True:
        os.kill(os.getpid(), signal.SIGHUP)
        time.sleep(0.5)

signal.signal(signal.SIGHUP, signal.SIG_IGN)  # as nohup does
threading.Thread(target=hang_up, daemon=True).start()
before = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
detector = Detector("yolov8n")
result = detector.train(
    data=DATA, imgsz=64, batch=4, width=0.125, epochs=2, checkpoint_minutes=0.003, amp="off", device="cpu", processes=2,
    name="whole",
)
assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == before
print("Trained:", result.best, detector.names)
"""
"""The run of QUICK from Python, without a guard for its processes; the data are to be put in."""


@dataclass(frozen=True, slots=True)
class Whole:
    """A run that was left alone.

    Attributes:
        folder: of the run.
        out: its standard output.
        err: its standard error output.
    """

    folder: Path
    out: str
    err: str


@pytest.fixture(scope="module")
def data(once: Once) -> Path:
    """Images for the batches of 4 of each epoch."""
    count = 4 * Started.batches
    return once("two-processes-data", lambda folder: write_shapes(folder, {"train": count, "val": 8})) / "data.yaml"


@pytest.fixture(scope="module")
def whole(once: Once, data: Path) -> Whole:
    """A run of two processes that nothing disturbs."""

    def make(root: Path) -> None:
        root.mkdir()
        given = ["train", *TWO, *QUICK, "--data", str(data), "--project", str(root / "runs"), "--name", "whole"]
        run = ForkedLaunch(root / "whole", given)
        assert run.end() == 0, run.err
        (root / "out").write_text(run.out)
        (root / "err").write_text(run.err)

    root = once("two-processes", make)
    return Whole(root / "runs" / "whole", (root / "out").read_text(), (root / "err").read_text())


@pytest.fixture(scope="module")
def scripted(once: Once, data: Path) -> Whole:
    """The same, begun by a script."""

    def make(root: Path) -> None:
        root.mkdir()
        (root / "script.py").write_text(SCRIPT.replace("DATA", repr(str(data))))
        done = subprocess.run([sys.executable, "script.py"], cwd=root, capture_output=True, text=True, timeout=180)
        assert done.returncode == 0, done.stdout + done.stderr
        (root / "out").write_text(done.stdout)
        (root / "err").write_text(done.stderr)

    root = once("two-processes-of-a-script", make)
    return Whole(root / "runs" / "whole", (root / "out").read_text(), (root / "err").read_text())


@pytest.fixture(params=[ForkedLaunch, pytest.param(Started, marks=pytest.mark.slow)], ids=["forked", "started"])
def launched(request: pytest.FixtureRequest) -> type[Started]:
    """How `lehr` is started: with everything loaded, or as a user does it."""
    kind: type[Started] = request.param
    return kind


def epochs_told(text: str) -> list[int]:
    """The epochs whose rows a text has, in its order."""
    return [int(epoch) for epoch in re.findall(r"^ *(\d+)/2 ", text, re.MULTILINE)]


def epochs_kept(folder: Path) -> list[int]:
    with (folder / "results.csv").open() as file:
        return [int(row["epoch"]) for row in csv.DictReader(file)]


def gone(pids: list[int], since: float) -> bool:
    """Whether processes end soon enough."""
    while any(map(alive, pids)) and time.monotonic() - since < SOON:
        time.sleep(0.05)
    return not any(map(alive, pids))


def assert_told_once(run: Whole) -> None:
    log = (run.folder / "train.log").read_text()
    assert epochs_told(run.out) == epochs_told(log) == epochs_kept(run.folder) == [1, 2]
    assert run.out.count("2 processes, each with 2 images of a batch") == 1
    assert run.err == ""


def test_two_processes_tell_each_epoch_once(whole: Whole) -> None:
    assert_told_once(whole)


@pytest.mark.slow
def test_a_script_without_a_guard_trains_and_tells_each_epoch_once(scripted: Whole, whole: Whole) -> None:
    assert_told_once(scripted)
    assert "Trained: runs/whole/best.safetensors ('disc', 'square', 'triangle', 'star', 'cross')" in scripted.out
    assert differences(whole.folder, scripted.folder) == []


def test_lost_processes_are_started_again_and_the_end_is_the_same(
    launched: type[Started], whole: Whole, data: Path, tmp_path: Path
) -> None:
    given = [*TWO, *QUICK, "--data", str(data)]
    ranks = [0] if launched is ForkedLaunch else [0, 1]
    kills = disturbed(tmp_path / "run", ranks, random.Random(0), given, launched=launched)
    assert [kill.rank for kill in kills] == ranks and restarts_of(tmp_path / "run") == len(ranks)
    assert differences(whole.folder, tmp_path / "run") == []
    out, log = (tmp_path / "run.out").read_text(), (tmp_path / "run" / "train.log").read_text()
    assert epochs_told(out) == epochs_told(log) == epochs_kept(tmp_path / "run") == [1, 2]
    assert f"Restarted after a process was lost: {len(ranks)} of at most 3 times" in out
    assert re.sub(SURVIVOR, "", (tmp_path / "run.err").read_text(), flags=re.MULTILINE) == ""


def test_a_run_stopped_in_every_way_goes_on_to_the_same_end(
    launched: type[Started], whole: Whole, data: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "runs" / "run"
    arguments = ["train", *TWO, *QUICK, "--data", str(data), "--project", str(folder.parent), "--name", "run"]
    for name, (whom, number, code, told) in STOPS.items():
        if launched is ForkedLaunch and name not in QUICK_STOPS:
            continue
        run = launched(folder, [*arguments, "--restarts", "0"])
        workers = run.taken_up()
        before = run.in_mid_epoch(2)
        assert before is not None, run.err
        started = time.monotonic()
        if whom == "group":
            os.killpg(run.process.pid, number)
        else:
            os.kill(run.process.pid if whom == "launcher" else workers[1], number)
        assert run.process.wait(SOON) == code
        assert gone(list(workers.values()), started)
        err = re.sub(SURVIVOR, "", run.err)
        assert err.startswith(told.format(pid=workers[1])), run.err
        assert err.endswith(f"{HOW_TO_GO_ON} {folder}\n") and len(err.splitlines()) == 1
        after = read_position(folder / "last.ckpt")
        assert not after.finished and after.step > before.step - (whom == "rank 1")  # which saves nothing
        arguments = ["train", "--resume", str(folder)]
    run = launched(folder, arguments)
    assert run.end() == 0 and run.err == ""
    assert differences(whole.folder, folder) == []
    assert epochs_told((folder / "train.log").read_text()) == epochs_kept(folder) == [1, 2]


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_signal_at_the_start_leaves_nothing_behind(number: int, code: int, data: Path, tmp_path: Path) -> None:
    project = tmp_path / "runs"
    given = ["train", *TWO, *QUICK, "--data", str(data), "--project", str(project), "--name", "run"]
    run = StartedWorkers(tmp_path / "run", given)
    while len(workers := run.workers()) < 2:
        assert run.process.poll() is None
        time.sleep(0.01)
    time.sleep(0.2)  # they import torch
    started = time.monotonic()
    run.process.send_signal(number)
    assert run.process.wait(SOON) == code
    assert gone(list(workers.values()), started)
    message = (
        "lehr: Stopped by Ctrl-C while the processes were being started. "
        "If the run had started before, resume it with: "
    )
    assert run.err == (f"{message}lehr train --resume {project / 'run'}\n" if number == signal.SIGINT else "")
    assert run.out == "" and not project.exists()


def test_bad_input_is_told_once(make_yolo: MakeYolo, tmp_path: Path) -> None:
    data = make_yolo()
    truncate(data.parent)
    where = ["--project", str(tmp_path / "runs")]
    cases = (
        (["--data", "nowhere.yaml", *where], ["nowhere.yaml", "--data"]),
        (["--data", str(data), *where], ["2.jpg", "--skip-broken"]),
        (["--batch", "15", *where], ["--batch 15", "2 processes", "Use 14 or 16"]),
        (["--resume", str(tmp_path / "none")], [str(tmp_path / "none")]),
    )
    for number, (given, words) in enumerate(cases):
        run = ForkedLaunch(tmp_path / f"{number}", ["train", *TWO, *given])
        assert run.end() == 2 and run.out == ""
        assert all(word in run.err for word in words), run.err
        lines = run.err.splitlines()
        assert lines[0].startswith("lehr: ") and all(line.startswith("      ") for line in lines[1:])
        assert len(set(lines)) == len(lines) <= 8
    assert not (tmp_path / "runs").exists()


def test_a_run_is_never_overwritten(whole: Whole, data: Path, tmp_path: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in whole.folder.iterdir()}
    given = ["train", *TWO, *QUICK, "--data", str(data), "--project", str(whole.folder.parent), "--name", "whole"]
    run = ForkedLaunch(tmp_path / "again", given)
    assert run.end() == 2
    assert run.err.count("never overwritten") == 1 and f"lehr train --resume {whole.folder}" in run.err
    assert {path.name: path.stat().st_mtime_ns for path in whole.folder.iterdir()} == before
