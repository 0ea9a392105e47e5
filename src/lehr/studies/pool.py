"""The workers of a study on this machine: started, watched, restarted and displayed until every slot has ended.

Any number of machines may do this for the same study at once. Each of them gives slots whose trials were lost another
trial: those of its own workers at once, those of other machines when they have been silent for long.
"""

from __future__ import annotations

import contextlib
import json
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lehr.distributed.launch import SHUTDOWN
from lehr.errors import InputError, LehrError
from lehr.runtime.child_process import start_module
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.runtime.stop_request import StopRequest
from lehr.search.records import Record, Value
from lehr.studies.contents import SHOWN, read_json
from lehr.studies.progress import StudyConsole
from lehr.studies.study import PULSE, WORKER, SharedStudy
from lehr.studies.worker import Job, alive, worker_name

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

POLL_SECONDS = 0.2
"""Seconds between checks of the workers."""
REFRESH = 2.0
"""Seconds between checks of the study."""
FIRST_FAULTS = 3
"""Trials that may fail before any succeeds; then the study is stopped."""


@dataclass(slots=True)
class Silence:
    """Silence of a trial: the time since its last sign of life.

    Only time in which the study was reachable counts, and no clock of another machine: an unreachable storage or a
    wrong clock makes no worker lost.

    Attributes:
        sign: the last sign of life.
        seconds: since then.
    """

    sign: object
    seconds: float = 0.0


@dataclass(slots=True)
class LostTrials:
    """Finds trials whose workers are lost.

    Attributes:
        folder: of the study on this machine.
        grace: seconds without a sign of life after which a worker counts as lost.
    """

    folder: Path
    grace: float
    _silence: dict[int, Silence] = field(default_factory=dict)
    _last: float | None = None

    def lost(self, running: Sequence[FrozenTrial], now: float) -> list[FrozenTrial]:
        """Return those of the running trials whose workers are lost.

        Args:
            running: all that run.
            now: monotonic clock, seconds.
        """
        passed = 0.0 if self._last is None else min(now - self._last, 2 * REFRESH)
        self._last = now
        found, silence = [], {}
        for trial in running:
            sign = (trial.user_attrs.get(PULSE), len(trial.intermediate_values))
            before = self._silence.get(trial.number)
            each = Silence(sign) if before is None or before.sign != sign else replace(before)
            each.seconds += 0.0 if before is None or before.sign != sign else passed
            silence[trial.number] = each
            worker = trial.user_attrs.get(WORKER)
            if each.seconds > self.grace or (worker is not None and alive(self.folder, worker) is False):
                found.append(trial)
        self._silence = silence
        return found


@dataclass(frozen=True, slots=True)
class Plan:
    """Work of this machine's workers.

    Attributes:
        study: the study.
        job: job of each, except its device and cores.
        places: the options of each worker's device, and the cores it runs on.
        slots: the fixed values of each slot.
        grace: seconds without a sign of life after which a worker of another machine counts as lost.
        restarts: how often a worker that was lost is started again before any trial has ended meanwhile.
        seconds: after which the work ends; None for no limit.
    """

    study: SharedStudy
    job: Job
    places: Sequence[tuple[Mapping[str, Any], tuple[int, ...]]]
    slots: Sequence[Mapping[str, Value]]
    grace: float
    restarts: int
    seconds: float | None = None


@dataclass(slots=True)
class _Member:
    """A worker's process, its device and cores, and how often it was lost lately."""

    number: int
    process: subprocess.Popen[str]
    name: str
    losses: int = 0


class WorkerPool:
    """The workers of this machine.

    Args:
        plan: what they do.
        reporter: receives the course of the study.
        stop: asks for the end.
        on_ended: called with all records whenever trials have ended.
    """

    def __init__(
        self, plan: Plan, reporter: StudyConsole, stop: StopRequest, on_ended: Callable[[list[Record]], None]
    ) -> None:
        self.plan = plan
        self.reporter = reporter
        self.stop = stop
        self.on_ended = on_ended
        self._messages: queue.Queue[tuple[int, dict[str, Any]]] = queue.Queue()
        self._members: dict[int, _Member] = {}
        self._watch = LostTrials(Path(plan.job.folder), plan.grace)
        self._fatal: LehrError | None = None
        self._ended: set[int] = set()

    def work(self) -> bool:
        """Work until every slot has ended, the time is over, or a signal asks for the end.

        Returns:
            Whether every slot has ended.

        Raises:
            LehrError: no more trials can be made here; everything up to then is kept.
        """
        began = looked = time.monotonic()
        self._ended = {record.slot for record in self.plan.study.records(len(self.plan.slots)) if record.ended}
        self._refresh()
        done = self._done()
        try:
            if not done:
                for number in range(len(self.plan.places)):
                    self._start(number, 0)
            while not done and self._fatal is None and self.stop.signal_number is None:
                if self.plan.seconds is not None and time.monotonic() - began > self.plan.seconds:
                    break
                time.sleep(POLL_SECONDS)
                self._hear()
                changed = self._look_after()
                if changed or time.monotonic() - looked > REFRESH:
                    looked = time.monotonic()
                    self._refresh()
                done = self._done()
        finally:
            with self.reporter.ending():
                self._end(at_once=sys.exc_info()[0] is KeyboardInterrupt)
        self._hear()
        self._refresh()
        if self._fatal is not None and not self._done():
            raise self._fatal
        return self._done()

    def _start(self, number: int, losses: int) -> None:
        """Start a worker."""
        local, cores = self.plan.places[number]
        job = replace(self.plan.job, local={**self.plan.job.local, **local}, cores=cores)
        process = start_module(
            "lehr.studies.worker",
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C is this process's to pass on
        )
        assert process.stdin is not None
        with contextlib.suppress(BrokenPipeError):  # it is gone already: noticed where all are looked after
            process.stdin.write(json.dumps(asdict(job)) + "\n")
            process.stdin.close()
        host = worker_name().rpartition(":")[0]
        self._members[number] = _Member(number, process, f"{host}:{process.pid}", losses)
        threading.Thread(target=self._listen, args=(number, process), daemon=True).start()

    def _listen(self, number: int, process: subprocess.Popen[str]) -> None:
        """Read a worker's messages, on a separate thread."""
        assert process.stdout is not None
        for line in process.stdout:
            try:
                message = read_json(line.encode("utf-8"))
            except ValueError:  # cut off where it was killed, or printed by a library
                continue
            if isinstance(message, dict):
                self._messages.put((number, message))

    def _hear(self) -> None:
        """Report the messages of the workers."""
        with contextlib.suppress(queue.Empty):
            while True:
                _, message = self._messages.get_nowait()
                if "say" in message:
                    self.reporter.say(str(message["say"]))
                if "fatal" in message and self._fatal is None:
                    kind = InputError if message.get("input") else LehrError
                    self._fatal = kind(str(message["fatal"]))

    def _look_after(self) -> bool:
        """Restart lost workers; return whether there was one.

        Raises:
            LehrError: one was lost too often.
        """
        lost = False
        for number, member in list(self._members.items()):
            code = member.process.poll()
            if code is None:
                continue
            if code == 0:  # it saw every slot ended, perhaps before another one was given back
                if not self._done():
                    self._refresh()
                if not self._done():
                    self._start(number, member.losses)
                continue
            how = f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended with exit code {code}"
            mine = [trial for trial in self.plan.study.running() if trial.user_attrs.get(WORKER) == member.name]
            self.plan.study.take_back(mine, f"worker {member.name} {how}")
            lost = True
            time.sleep(POLL_SECONDS)
            self._hear()
            if self._fatal is not None:
                return True
            if member.losses >= self.plan.restarts:
                raise LehrError(
                    f"Worker {number + 1} {how}, {member.losses + 1} times without a trial between. Finished trials "
                    "are kept; the same command continues."
                )
            self.reporter.say(f"Worker {number + 1} ({member.name}) {how}; it is restarted.")
            self._start(number, member.losses + 1)
        return lost

    def _refresh(self) -> None:
        """Check the study: return lost trials, fill slots, report ended ones.

        Raises:
            LehrError: the first trials have all failed.
        """
        study, slots = self.plan.study, self.plan.slots
        lost = self._watch.lost(study.running(), time.monotonic())
        for trial in lost:
            worker = trial.user_attrs.get(WORKER, "")
            if study.take_back([trial], f"worker {worker} was silent"):
                self.reporter.say(f"Trial {trial.user_attrs['slot']}: its worker {worker} is lost; it is repeated.")
        study.fill(slots)
        records = study.records(len(slots))
        new = [record for record in records if record.ended and record.slot not in self._ended]
        for record in sorted(new, key=lambda each: each.slot):
            self._ended.add(record.slot)
            self.reporter.trial_ended(record, len(self._ended), records)
            for member in self._members.values():
                if member.name == record.worker:
                    member.losses = 0
        if new:
            self.on_ended(records)
        self.reporter.show(records)
        failed = [record for record in records if record.state == "failed"]
        if len(failed) >= FIRST_FAULTS and all(record.state == "failed" for record in records if record.ended):
            raise LehrError(
                f"The first {counted(len(failed), 'trial has', 'trials have')} failed, so the study is stopped. The "
                f"last: {one_line(failed[-1].note[:SHOWN])}"
            )

    def _done(self) -> bool:
        return self._ended.issuperset(range(len(self.plan.slots)))

    def _end(self, at_once: bool) -> None:
        """Ask all workers to end, each run's state saved; kill those that do not."""
        for member in self._members.values():
            if member.process.poll() is None:
                if at_once:
                    member.process.kill()
                else:
                    member.process.terminate()
        end = time.monotonic() + SHUTDOWN + 30
        for member in self._members.values():
            try:
                member.process.wait(max(0.1, end - time.monotonic()))
            except subprocess.TimeoutExpired:
                member.process.kill()
                member.process.wait()
