"""Kill one of several training processes again and again, and compare the result with that of an undisturbed run.

    python benchmarks/lost_process.py [--kills 10] [--processes 2] [--seed 0] [--folder DIR]

Trains on the generated data set with `lehr train --device cpu --processes N --restarts ...`. One of its processes,
drawn at random but each equally often, gets SIGKILL within an epoch, `lehr` restarts all of them, and so on until the
run is done; then the next run begins, until there were enough kills. Every result must be that of the undisturbed run,
byte for byte: see `benchmarks/crash.py`.

The checkpoints, which are written several times per second here, show where the training is: a kill comes at a random
moment after one that is well within an epoch.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from lehr.checkpoint.format import DamagedCheckpoint, Position, read_position
from lehr.checkpoint.run_folder import LAST, LOG

try:
    from benchmarks import crash
except ImportError:  # run as a script
    import crash  # type: ignore[no-redef]

BATCHES = 30
"""Batches per epoch of `shapes`."""
LAST_STEPS = 8
"""Steps at the end of an epoch without kills: the validation could begin before the kill comes."""
MAX_STEPS = 10
"""Maximum steps before a start is disturbed, unless the end of an epoch comes in between."""
BETWEEN = 0.25
"""Seconds within which the kill comes; checkpoints are about 0.3 s apart."""
POLL_SECONDS = 0.02
"""Seconds between two checks."""
LONGEST = 180.0
"""Seconds that a start or an end may take."""
WORKER = b"lehr.engine.worker"
AGAIN = "Restarted after a process was lost"


@dataclass(frozen=True, slots=True)
class Kill:
    """A process that was killed.

    Attributes:
        rank: rank of the process.
        position: position of the newest checkpoint at the time.
        seconds: time until the restarted processes had resumed the run.
    """

    rank: int
    position: Position
    seconds: float


class Launched:
    """A `lehr train` that starts several processes, watched from outside.

    Args:
        folder: folder of the run.
        arguments: command line of `lehr`; its output goes to files next to the folder.
        processes: number of processes that it starts.
    """

    batches: ClassVar[int] = BATCHES
    last_steps: ClassVar[int] = LAST_STEPS
    max_steps: ClassVar[int] = MAX_STEPS

    def __init__(self, folder: Path, arguments: Sequence[str], processes: int = 2) -> None:
        self.folder = folder
        self._processes = processes
        self._known: set[int] = set()
        self._deadline = time.monotonic() + LONGEST
        self._begun = 0
        folder.parent.mkdir(parents=True, exist_ok=True)
        self._told = [folder.with_name(f"{folder.name}.{name}") for name in ("out", "err")]
        self.process = self.start(arguments)

    def start(self, arguments: Sequence[str]) -> subprocess.Popen[bytes]:
        """Start the command."""
        with self._told[0].open("w") as out, self._told[1].open("w") as err:
            return subprocess.Popen(
                [sys.executable, "-m", "lehr", *arguments], stdout=out, stderr=err, start_new_session=True
            )

    @property
    def out(self) -> str:
        """Standard output so far."""
        return self._told[0].read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """Standard error output so far."""
        return self._told[1].read_text(encoding="utf-8")

    def workers(self) -> dict[int, int]:
        """Process ids by rank."""
        found = {}
        for place in Path("/proc").glob("[0-9]*"):
            try:
                parent = int((place / "stat").read_text().rpartition(")")[2].split()[1])
                if parent == self.process.pid and WORKER in (place / "cmdline").read_bytes():
                    variables = (place / "environ").read_bytes().split(b"\0")
                    rank = next(each[5:] for each in variables if each.startswith(b"RANK="))
                    found[int(rank)] = int(place.name)
            except (OSError, StopIteration):  # it has ended
                continue
        return found

    def taken_up(self) -> dict[int, int]:
        """Wait until new processes have resumed the run; return their ids by rank, or none if it has ended."""
        workers: dict[int, int] = {}
        while len(workers) < self._processes or self._known & set(workers.values()):
            if not self._goes_on():
                return {}
            workers = self.workers()
        self._known |= set(workers.values())
        before = self._stamp()
        while self._stamp() == before:  # they begin by saving
            if not self._goes_on():
                return {}
        self._begun, self._deadline = self._position().step, time.monotonic() + LONGEST
        return workers

    def in_mid_epoch(self, steps: int = 1) -> Position | None:
        """Wait until the processes that resumed the run are within an epoch; return None if it has ended.

        Args:
            steps: minimum number of steps that they have done.
        """
        while True:
            position = self._position()
            into = position.step - position.epoch * self.batches
            if position.step >= self._begun + steps and 0 < into <= self.batches - self.last_steps:
                return position
            if not self._goes_on():
                return None

    def end(self) -> int:
        """Wait for its end; return its exit code."""
        try:
            return self.process.wait(LONGEST)
        finally:
            self.kill()

    def kill(self) -> None:
        """End it, together with its processes."""
        for pid in (self.process.pid, *self.workers().values()) if self.process.poll() is None else ():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait()

    def _goes_on(self) -> bool:
        """Wait a moment; return whether it is still running."""
        time.sleep(POLL_SECONDS)
        if time.monotonic() > self._deadline:
            raise SystemExit(f"Nothing has happened for {LONGEST:g} s.\n{self.out}{self.err}")
        return self.process.poll() is None

    def _stamp(self) -> int:
        try:
            return (self.folder / LAST).stat().st_mtime_ns
        except OSError:
            return 0

    def _position(self) -> Position:
        for _ in range(100):
            try:
                return read_position(self.folder / LAST)
            except (OSError, DamagedCheckpoint):  # just being replaced
                time.sleep(POLL_SECONDS)
        raise SystemExit(f"{self.folder / LAST}: cannot be read.\n{self.out}{self.err}")


def options(processes: int = 2, restarts: int = 3) -> list[str]:
    """Options of `lehr train`."""
    return [*crash.OPTIONS, "--depth", "0.33", "--processes", str(processes), "--restarts", str(restarts)]


def disturbed(
    folder: Path,
    ranks: Sequence[int],
    rng: random.Random,
    given: Sequence[str],
    processes: int = 2,
    launched: type[Launched] = Launched,
) -> list[Kill]:
    """Train a run to its end, killing one of its processes after another.

    Args:
        folder: the run's folder; must not exist.
        ranks: ranks to kill in turn, all of them if the run is long enough.
        rng: draws the moments of the kills.
        given: options of `lehr train`.
        processes: number of training processes.
        launched: class that starts the command.
    """
    kills: list[Kill] = []
    run = launched(folder, ["train", *given, "--project", str(folder.parent), "--name", folder.name], processes)
    try:
        workers = run.taken_up()
        for rank in ranks:
            position = run.in_mid_epoch(rng.randint(1, run.max_steps))
            if position is None:
                break
            time.sleep(rng.uniform(0, BETWEEN))
            killed = time.monotonic()
            os.kill(workers[rank], signal.SIGKILL)
            workers = run.taken_up()
            if not workers:
                break
            kills.append(Kill(rank, position, time.monotonic() - killed))
        code = run.end()
    finally:
        run.kill()
    if code != 0:
        raise SystemExit(f"The run failed ({code}).\n{run.out}{run.err}")
    return kills


def restarts_of(folder: Path) -> int:
    """Count how often the processes of a run were restarted, according to its log."""
    return (folder / LOG).read_text(encoding="utf-8").count(AGAIN)


def main() -> None:
    """Print a table of the kills and the result of each run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    folder = given.folder or Path(tempfile.mkdtemp(prefix="lehr-lost-"))
    rng, wanted = random.Random(given.seed), options(given.processes, 2 * given.kills)
    started = time.monotonic()
    crash.undisturbed(folder / "undisturbed", wanted)
    alone = time.monotonic() - started
    names = [f"rank {rank}" for rank in range(given.processes)]
    print(f"{given.processes} processes; undisturbed, the run takes {alone:.0f} s\n")
    times = "s until training resumes: mean | maximum | s lost per kill"
    print(f"| run | killed: {' | '.join(names)} | restarts | {times} | end |")
    print("|" + "---:|" * (len(names) + 5) + "---|")
    total, runs, failures = Counter[int](), 0, 0
    while total.total() < given.kills:
        run = folder / f"disturbed-{runs}"
        started = time.monotonic()
        ranks = [count % given.processes for count in range(total.total(), given.kills)]
        rng.shuffle(ranks)
        kills = disturbed(run, ranks, rng, wanted, given.processes)
        lost = time.monotonic() - started - alone
        found, again = crash.differences(folder / "undisturbed", run), restarts_of(run)
        if again != len(kills):
            found.append(f"{again} restarts for {len(kills)} kills")
        count, waits = Counter(kill.rank for kill in kills), [kill.seconds for kill in kills]
        each = " | ".join(str(count[rank]) for rank in range(given.processes))
        cost = f"{sum(waits) / len(waits):.1f} | {max(waits):.1f} | {lost / len(kills):.1f}" if kills else "| |"
        print(f"| {runs} | {each} | {again} | {cost} | {', '.join(found) or 'same bytes'} |", flush=True)
        total, runs, failures = total + count, runs + 1, failures + bool(found)
    print(f"\n{total.total()} kills in {runs} runs; {failures} runs ended differently")
    if failures:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
