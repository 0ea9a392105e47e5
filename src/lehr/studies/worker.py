"""One worker of a study: takes trials, runs each in a separate process, and reports the outcome.

`python -m lehr.studies.worker`, started by `lehr.studies.pool`, which writes the job to its standard input and reads
messages from its standard output, one JSON value per line. It loads no torch, so a trial always begins in a fresh
process, and the worker reports whatever ends that process.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

from lehr.checkpoint.results_csv import RESULTS
from lehr.checkpoint.run_folder import DETECTIONS, LAST, PREVIOUS, START, is_held, only_writer
from lehr.distributed.launch import SHUTDOWN, stay_with
from lehr.errors import InputError, LehrError
from lehr.runtime.child_process import find_own_modules, start_module
from lehr.runtime.counted import counted
from lehr.runtime.signals import STOPPING
from lehr.search.definition import Definition
from lehr.search.fitness import Epoch, Fitness, parse_fitness, read_epochs
from lehr.search.study_types import Search, search_of
from lehr.studies.study import SLOT, Result, SharedStudy, drawing, join_study
from lehr.studies.trial_files import is_link, open_log, own_folder, read_outcome, write_job

if TYPE_CHECKING:
    from optuna import Trial

TRIAL_MODULE = "lehr.studies.trial_process"
"""Module that the process of a trial runs."""
TRIALS, WORKERS = "trials", "workers"
"""Folders within a study's folder: runs, and what shows that a worker of this machine is alive."""
POLL_SECONDS = 0.1
"""Seconds between checks of a run."""
IDLE = 1.0
"""Seconds between checks for a trial."""
MAX_FAULTS = 3
"""Attempts at a trial that fails on its own, e.g. for lack of memory or disk space."""
RELEASE = 300
"""Seconds that an earlier process of a trial gets to leave its run."""


@dataclass(frozen=True, slots=True)
class Job:
    """Job of a worker.

    Attributes:
        storage: of the study, as `storage_url` gives it.
        name: of the study.
        folder: of the study on this machine.
        local: options of this machine's runs: device, workers, data, ...
        cores: to run on; none for all.
        heartbeat: seconds between two signs of life.
        patience: seconds that the storage is waited for.
        slots: how many the study has.
        keep_checkpoints: whether ended trials keep their training state.
        supervisor: process id of whoever started the worker.
        definition: of the study, as compared on opening: the storage may change.
        trial_module: is run by the process of a trial.
    """

    storage: str = field(repr=False)
    name: str
    folder: str
    local: Mapping[str, Any]
    cores: tuple[int, ...]
    heartbeat: float
    patience: float
    slots: int
    keep_checkpoints: bool
    supervisor: int
    definition: Mapping[str, Any]
    trial_module: str = TRIAL_MODULE


class Stop:
    """True when a signal asked the worker to end."""

    def __init__(self) -> None:
        self.asked = False
        for number in STOPPING:
            signal.signal(number, self._ask)

    def _ask(self, number: int, frame: FrameType | None) -> None:
        self.asked = True


def worker_name() -> str:
    """This process as a study knows it."""
    return f"{platform.node()}:{os.getpid()}"


def alive(study_folder: Path, worker: str) -> bool | None:
    """Return whether a worker lives, by the lock that it holds; None if unknown from here."""
    host, _, process = worker.rpartition(":")
    place = study_folder / WORKERS / process
    if host != platform.node() or not re.fullmatch("[0-9]{1,10}", process):
        return None
    if is_link(study_folder / WORKERS) or is_link(place) or not place.is_dir():
        return None
    return is_held(place)


def tell(**message: Any) -> None:
    """Send a message to the process that started the worker."""
    with contextlib.suppress(OSError, ValueError):  # it has gone
        sys.stdout.write(json.dumps(message) + "\n")
        sys.stdout.flush()


class Worker:
    """A worker at work.

    Args:
        job: its job.
        stop: asks it to end.
    """

    def __init__(self, job: Job, stop: Stop) -> None:
        self.job = job
        self.stop = stop
        self.name = worker_name()
        self.folder = Path(job.folder)
        self.study: SharedStudy
        self.search: Search
        self.fitness: Fitness

    def run(self) -> None:
        """Run trials until all slots have ended, or it is asked to stop.

        Raises:
            InputError: no trial can be made, for a reason that is in the options or the data.
            LehrError: the storage is lost.
        """
        job, definition = self.job, Definition(**self.job.definition)
        self.study, _ = join_study(job.storage, job.name, job.patience, definition)
        self.search = search_of(definition)
        self.fitness = parse_fitness(definition.search["fitness"])
        place = own_folder(self.folder / WORKERS) / str(os.getpid())
        own_folder(place)
        try:
            with only_writer(place):
                while not self.stop.asked:
                    trial = self.study.take(self.name, self.search.sampler, self.search.pruner())
                    if trial is not None:
                        self._make(trial)
                    elif all(record.ended for record in self.study.records(job.slots) if record.slot < job.slots):
                        return
                    else:
                        time.sleep(IDLE)
        finally:
            shutil.rmtree(place, ignore_errors=True)

    def _make(self, trial: Trial) -> None:
        """Run a trial and report its result, unless the trial now belongs to another."""
        from optuna.exceptions import UpdateFinishedTrialError

        with contextlib.suppress(UpdateFinishedTrialError):
            self._make_taken(trial)

    def _make_taken(self, trial: Trial) -> None:
        slot = int(trial.user_attrs[SLOT])
        folder = self.folder / TRIALS / f"{slot:04}"
        self.study.beat(trial, 0)
        with drawing(slot):
            drawn = self.search.options(trial)
        options = {**drawn, **{k: v for k, v in self.job.local.items() if k != "data"}}
        options.setdefault("data", self.job.local["data"])
        tell(slot=slot, folder=str(folder))
        self._wait_for(folder, trial)
        if self.stop.asked:
            self.study.tell(trial, Result(None, note="stopped before it began"))
            return
        process, outcome = self._begin(folder, options)
        try:
            result, epochs = self._watch(trial, process, folder)
        except BaseException:  # the storage is lost, or the trial is another's
            _end(process)
            raise
        ended = read_outcome(outcome)
        if result is None:
            result = self._result(process.returncode, ended, epochs, slot, folder)
        whole = self._with_numbers(result, epochs, ended, folder)
        if self.study.tell(trial, whole) and whole.state is not None:
            self._tidy(folder)
        if ended.get("kind") == "input":
            raise InputError(f"Trial {slot}: {ended['message']}")

    def _begin(self, folder: Path, options: Mapping[str, Any]) -> tuple[subprocess.Popen[bytes], Path]:
        """Start the process of a trial.

        Returns:
            It, and the file in which it leaves its end.
        """
        own_folder(folder.parent)
        if is_link(folder):
            raise LehrError(f"{folder}: is a link, but a run needs a real folder. Remove it.")
        outcome, job = folder.with_suffix(".outcome.json"), folder.with_suffix(".job.json")
        outcome.unlink(missing_ok=True)
        told: dict[str, Any] = {"options": dict(options), "folder": str(folder), "outcome": str(outcome)}
        told |= {"worker": os.getpid(), "cores": list(self.job.cores)}
        digest = write_job(job, told)
        with open_log(folder.with_suffix(".log")) as log:
            module, quiet = self.job.trial_module, subprocess.DEVNULL
            return start_module(module, str(job), digest, stdin=quiet, stdout=log, stderr=log), outcome

    def _watch(self, trial: Trial, process: subprocess.Popen[bytes], folder: Path) -> tuple[Result | None, list[Epoch]]:
        """Follow a run to its end: report its epochs, end it where it is pruned or the worker is stopped.

        The first trial is never pruned: it is what a search is compared with. A resumed run is judged from its last
        epoch
        on: it is not pruned for epochs that an earlier worker accepted.

        Returns:
            Its result where that was decided here, and its epochs.
        """
        epochs: list[Epoch] = []
        beats, last_beat, seen = 0, time.monotonic(), 0
        results, total = folder / RESULTS, self.search.epochs
        judged_from = len(read_epochs(results)) - 1 if trial.user_attrs[SLOT] > 0 else total
        while True:
            running = process.poll() is None
            changed = _changed(results)
            if changed != seen or not running:
                seen, before, epochs = changed, len(epochs), read_epochs(results)
                for number in range(before, len(epochs)):
                    trial.report(self.fitness(epochs[number].metrics), number + 1)
                    if number + 1 < total and trial.should_prune() and number >= judged_from:
                        _end(process)
                        return Result("pruned", note=f"after {number + 1} of {counted(total, 'epoch')}"), epochs[
                            : number + 1
                        ]
            if not running:
                return None, epochs
            if self.stop.asked:
                _end(process)
                return Result(None, note="stopped"), read_epochs(results)
            if time.monotonic() - last_beat > self.job.heartbeat:
                beats, last_beat = beats + 1, time.monotonic()
                self.study.beat(trial, beats)
            time.sleep(POLL_SECONDS)

    def _result(self, code: int, ended: Mapping[str, Any], epochs: list[Epoch], slot: int, folder: Path) -> Result:
        """Interpret the end of a run's process.

        Args:
            code: its exit code, the signal that killed it as a negative number.
            ended: what it left.
            epochs: those of the run.
            slot: which trial.
            folder: its run.
        """
        if code == 0 and epochs:
            return Result("finished")
        message = ended.get("message") or (
            f"its process was killed by {signal.Signals(-code).name}" if code < 0 else f"its process ended with {code}"
        )
        if ended.get("kind") == "diverged":
            return Result("diverged", 0.0, note=message)
        if ended.get("kind") == "input" or self.stop.asked:
            return Result(None, note=message)
        log = folder.with_suffix(".log")
        again = self.study.faults(slot) + 1 < MAX_FAULTS
        tell(say=f"Trial {slot} failed: {message} {'It is made again' if again else 'It is given up'}; see {log}.")
        return Result(None if again else "failed", note=message, fault=True)

    def _with_numbers(self, result: Result, epochs: list[Epoch], ended: Mapping[str, Any], folder: Path) -> Result:
        """A result with what the run's epochs say."""
        best = max(epochs, key=lambda epoch: self.fitness(epoch.metrics), default=None)
        metrics = {} if best is None else {name: value for name, value in best.metrics.items() if value is not None}
        fitness = result.fitness
        if fitness is None and best is not None and result.state in ("finished", "pruned"):
            fitness = self.fitness(best.metrics)
        return Result(
            result.state,
            fitness,
            metrics,
            epochs[-1].seconds if epochs else None,
            ended.get("memory"),
            str(folder.relative_to(self.folder)),
            result.note,
            result.fault,
        )

    def _tidy(self, folder: Path) -> None:
        """Remove what an ended trial does not need any more: its training state and its start take most of its room."""
        paths = [folder.with_suffix(".outcome.json"), folder.with_suffix(".job.json")]
        if not self.job.keep_checkpoints:
            paths += [folder / name for name in (LAST, PREVIOUS, START, DETECTIONS)]
        for path in paths:
            with contextlib.suppress(OSError):
                path.unlink(missing_ok=True)

    def _wait_for(self, folder: Path, trial: Trial) -> None:
        """Wait until an earlier process of the same trial has left its run.

        Raises:
            LehrError: it does not.
        """
        began = time.monotonic()
        while is_held(folder) and not self.stop.asked:
            if time.monotonic() - began > RELEASE:
                self.study.tell(trial, Result(None, note="another process holds its run", fault=True))
                raise LehrError(f"{folder}: another process holds this run, and does not end. End it.")
            time.sleep(POLL_SECONDS)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask a run to end, its state saved; it is killed if it does not."""
    process.terminate()
    try:
        process.wait(SHUTDOWN)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _changed(path: Path) -> int:
    """Return the modification time of a file; 0 if there is none."""
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0


def main() -> int:
    """Read a job, do it, and return the exit code."""
    find_own_modules()
    told = json.loads(sys.stdin.readline())
    stop, job = Stop(), Job(**{**told, "cores": tuple(told["cores"])})
    stay_with(job.supervisor)
    try:
        Worker(job, stop).run()
    except LehrError as error:
        tell(fatal=str(error), input=isinstance(error, InputError))
        return error.exit_code
    return 0


if __name__ == "__main__":
    sys.exit(main())
