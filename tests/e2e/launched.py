"""`lehr train --processes 2` by torch's launcher, which forks its processes instead of starting interpreters.

The launcher, its signals, its restarts and its processes are those of the command; they only have torch loaded.
"""

from __future__ import annotations

import os
import signal
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from benchmarks.lost_process import Launched
from tests.processes import Child, Forked, command

from lehr.runtime.signals import STOPPING


class Started(Launched):
    """As a user starts it, with a run of shorter epochs than the benchmark's."""

    batches, last_steps, max_steps = 14, 6, 3


class Worker(Child):
    """A forked process, as torch's launcher looks at it."""

    def __init__(self, place: Path, variables: dict[str, str], ids: Path) -> None:
        sys.stdout.flush()
        sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            _work(place, variables, ids)


def _work(place: Path, variables: dict[str, str], ids: Path) -> NoReturn:
    """Do what `python -m lehr.engine.worker` does, in a session of its own as there."""
    code = 1
    try:
        os.setsid()
        for number in (*STOPPING, signal.SIGINT):
            if signal.getsignal(number) != signal.SIG_IGN:
                signal.signal(number, signal.SIG_DFL)
        os.environ.update(variables)
        note = ids / f"{os.environ['RANK']}.new"
        note.write_text(str(os.getpid()))
        note.rename(note.with_suffix(".pid"))
        from lehr.engine import worker

        code = worker.main(place)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _launch(arguments: Sequence[str], ids: str) -> None:
    from torch.distributed.elastic.multiprocessing.subprocess_handler import subprocess_handler

    def fork(_: Any, given: Sequence[str], variables: dict[str, str]) -> Worker:
        return Worker(Path(given[-1]), variables, Path(ids))

    subprocess_handler.SubprocessHandler._popen = fork  # type: ignore[method-assign, assignment]
    command(arguments)


class ForkedLaunch(Started):
    """As `Started`, of processes that begin at once."""

    def start(self, arguments: Sequence[str]) -> Any:
        """Start the command."""
        self._ids = self._told[0].with_suffix(".ids")
        self._ids.mkdir(exist_ok=True)
        for path in self._ids.iterdir():
            path.unlink()
        for path in self._told:
            path.write_text("")
        out, err = self._told
        return Forked(_launch, list(arguments), str(self._ids), out=out, err=err, new_session=True)

    def workers(self) -> dict[int, int]:
        """Process ids by rank, of those that live."""
        found = {int(path.stem): int(path.read_text()) for path in self._ids.glob("*.pid")}
        return {rank: pid for rank, pid in found.items() if alive(pid)}


class StartedWorkers(Started):
    """As `Started`, of a command that begins at once; its processes are new interpreters."""

    def start(self, arguments: Sequence[str]) -> Any:
        """Start the command."""
        out, err = self._told
        return Forked(command, list(arguments), out=out, err=err, new_session=True)


def alive(pid: int) -> bool:
    """Whether a process has not ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
