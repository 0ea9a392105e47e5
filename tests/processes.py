"""Processes that begin at once: a server with torch and Lehr loaded forks them, so no test waits for imports.

They are real processes otherwise: of their own core, session, environment and output, ended by signals as any other.
"""

from __future__ import annotations

import multiprocessing
import os
import pickle
import signal
import sqlite3
import subprocess
import sys
import time
import traceback
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import cache
from multiprocessing import forkserver
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any, ClassVar

import pytest

LOADED = ["torch", "cv2", "yaml", "lehr.cli.train", "lehr.cli.val", "lehr.engine.run", "lehr.studies.evolve", "pytest"]
LOADED += ["torch._dynamo", "torch.distributed.elastic.agent.server.api"]  # what a training imports with its first step
LOADED += ["optuna", "optuna.importance", "sqlalchemy", "matplotlib.figure", "jinja2"]  # what a study imports; if there
LOADED += ["matplotlib.backends.backend_svg", "lehr.report.evolution_page"]
LOADED += ["sqlalchemy.dialects.sqlite", "optuna.storages._rdb.models", "alembic.command"]
LOOK = 0.02
"""Seconds between two looks at a process."""


_Place = tuple[str, str, str, dict[str, str], bool, Collection[int] | None]
"""Output, error output, folder, environment, whether in a session of its own, and cores."""


@cache
def _server() -> ForkServerContext:
    """The server, which is started with the first process."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(LOADED)
    with pytest.MonkeyPatch.context() as patch:  # as in the processes that Lehr starts, which set it before torch
        patch.setenv("TORCH_CPP_LOG_LEVEL", "ERROR")
        forkserver.ensure_running()
    return context


class Child:
    """A process that this one forked, looked at as `subprocess.Popen` is."""

    pid: int
    returncode: int | None = None

    def poll(self) -> int | None:
        """Its exit code; None while it runs."""
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self, timeout: float = 300) -> int:
        """Wait for its end."""
        deadline = time.monotonic() + timeout
        while (code := self.poll()) is None:
            if time.monotonic() > deadline:
                raise subprocess.TimeoutExpired(str(self.pid), timeout)
            time.sleep(LOOK)
        return code


class Forked:
    """A process that does some work, looked at as `subprocess.Popen` is.

    Args:
        work: done by it; of a module, since the process imports it.
        arguments: what it is given.
        out: file of its standard output.
        err: file of its error output; by default that of its standard output.
        cwd: where it works.
        env: variables besides those of this process.
        new_session: whether it leads a session and process group of its own.
        cores: to run on; by default those of this process.
    """

    started: ClassVar[list[Forked]] = []

    def __init__(
        self,
        work: Callable[..., Any],
        *arguments: Any,
        out: Path,
        err: Path | None = None,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        new_session: bool = False,
        cores: Collection[int] | None = None,
    ) -> None:
        self._out, self._err = out, err or out
        for path in {self._out, self._err}:
            path.touch()
        environment = {**os.environ, **(env or {})}
        if cores is None and hasattr(os, "sched_getaffinity"):
            cores = os.sched_getaffinity(0)
        place = (str(out), str(self._err), str(cwd or Path.cwd()), environment, new_session, cores)
        self._process: ForkServerProcess = _server().Process(target=_enter, args=(place, work, arguments))
        self._process.start()
        assert self._process.pid is not None
        self.pid: int = self._process.pid
        Forked.started.append(self)

    @property
    def out(self) -> str:
        """Its standard output so far."""
        return self._out.read_text(encoding="utf-8")

    @property
    def err(self) -> str:
        """Its error output so far."""
        return self._err.read_text(encoding="utf-8")

    @property
    def returncode(self) -> int | None:
        """Its exit code, a signal that killed it as a negative number; None while it runs."""
        return self._process.exitcode

    def poll(self) -> int | None:
        """The same, as `subprocess.Popen` has it."""
        return self._process.exitcode

    def wait(self, timeout: float = 300) -> int:
        """Waits for its end; its exit code.

        Raises:
            subprocess.TimeoutExpired: it has not ended.
        """
        self._process.join(timeout)
        if self._process.exitcode is None:
            raise subprocess.TimeoutExpired(str(self.pid), timeout, self.out, self.err)
        return self._process.exitcode

    def communicate(self, timeout: float = 300) -> tuple[str, str]:
        """Waits for its end; what it has told."""
        self.wait(timeout)
        return self.out, self.err

    def send_signal(self, number: int) -> None:
        """Sends it a signal, unless it has ended."""
        if self._process.exitcode is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """Kills it, unless it has ended."""
        self.send_signal(signal.SIGKILL)


def end_forked() -> None:
    """Kills what a test has left running."""
    while Forked.started:
        process = Forked.started.pop()
        process.kill()
        process.wait()


def _enter(place: _Place, work: Callable[..., Any], given: Sequence[Any]) -> None:
    """Takes the place of the test's choice, as a new process would, and does the work."""
    wait_for_no_disk()
    out, err, cwd, environment, new_session, cores = place
    for path, number in ((os.devnull, 0), (out, 1), (err, 2)):
        file = os.open(path, os.O_RDONLY if number == 0 else os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(file, number)
        os.close(file)
    sys.stdin, sys.stdout, sys.stderr = (open(n, "r" if n == 0 else "w", closefd=False) for n in range(3))  # noqa: SIM115
    sys.stderr.reconfigure(line_buffering=True)
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(environment)
    if new_session:
        os.setsid()
    if cores:
        os.sched_setaffinity(0, cores)
    work(*given)


def wait_for_no_disk() -> None:
    """Have this process wait for no disk: the tests end processes and not machines."""
    from lehr.studies import sqlite_file

    os.fsync = lambda file: None
    if (check := sqlite_file._require_passive).__module__ == __name__:
        return

    def opened(connection: sqlite3.Connection) -> None:
        check(connection)
        connection.execute("PRAGMA synchronous=OFF")  # SQLite has its own way to wait

    sqlite_file._require_passive = opened


def command(arguments: Sequence[str | Path]) -> None:
    """The command `lehr`, as a process's work."""
    from lehr.cli.app import main

    main(list(map(str, arguments)))


def print_modules() -> None:
    """The names of the modules that a process has when it begins, as a process's work."""
    sys.stdout.write("\n".join(sys.modules))


def start_lehr(*arguments: str | Path, folder: Path, name: str = "command", **more: Any) -> Forked:
    """Starts `lehr` in a process of its own.

    Args:
        arguments: of the command.
        folder: where it works, and where its output goes.
        name: of the files of its output.
        more: arguments of `Forked`.
    """
    files = {"out": folder / f"{name}.out", "err": folder / f"{name}.err"}
    return Forked(command, arguments, cwd=folder, **{**files, **more})


def together(
    count: int, work: Callable[..., Any], *arguments: Any, folder: Path, hosts: int = 1, port: bool = True
) -> dict[int, Any]:
    """What each of several processes returns of some work, by rank.

    They are told who they are, and offered a store, as torch's launcher does it; it takes several times as long, and
    is tried where `lehr` starts it.

    Args:
        count: processes.
        work: done by each; of a module, since processes import it.
        arguments: what it is given.
        folder: for their output.
        hosts: that they believe to be on, as many on each.
        port: whether they meet at a port, as with torchrun; else in a folder, as `lehr` has it on one machine.

    Raises:
        RuntimeError: one of them failed; the others were killed.
    """
    import torch.distributed as dist

    store = dist.TCPStore("localhost", 0, is_master=True, wait_for_workers=False)
    place = folder / f".together-{len(list(folder.glob('.together-*')))}"
    place.mkdir(parents=True)
    here = count // hosts
    common: dict[str, object] = {
        "MASTER_ADDR": "localhost",
        "MASTER_PORT": store.port,
        "WORLD_SIZE": count,
        "LOCAL_WORLD_SIZE": here,
    }
    common |= {"TORCHELASTIC_USE_AGENT_STORE": True, "TORCHELASTIC_RUN_ID": place.name, "NODES": hosts}
    if not port:
        place.chmod(0o700)
        common |= {"LEHR_PROCESSES": place, "MASTER_PORT": 0}
    processes = []
    for rank in range(count):
        env = {**common, "RANK": rank, "LOCAL_RANK": rank % here, "GROUP_RANK": rank // here}
        variables = {name: str(value) for name, value in env.items()}
        answer = place / f"{rank}.answer"
        processes.append(Forked(_answer, answer, work, arguments, out=place / f"{rank}.out", env=variables))
    while any(process.poll() is None for process in processes):
        if any(process.poll() for process in processes):
            time.sleep(1)  # as long as the others get to end by themselves
            for process in processes:
                process.kill()
        time.sleep(LOOK)
    answers = {rank: place / f"{rank}.answer" for rank in range(count)}
    if any(process.poll() for process in processes):
        ends = [(rank, each.poll(), each.out) for rank, each in enumerate(processes)]
        raise RuntimeError("\n".join(f"rank {rank}: exitcode {code}\n{out}" for rank, code, out in ends if code))
    return {rank: pickle.loads(path.read_bytes()) for rank, path in answers.items()}


def _answer(path: Path, work: Callable[..., Any], arguments: Sequence[Any]) -> None:
    try:
        answer = work(*arguments)
    except BaseException:
        traceback.print_exc()
        sys.stderr.flush()
        raise SystemExit(1) from None
    path.write_bytes(pickle.dumps(answer))
