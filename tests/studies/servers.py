"""A real PostgreSQL server for tests: made, started, restarted and ended by them, as an ordinary user."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

import pytest

NEEDED = "LEHR_NEED_POSTGRESQL"
"""Variable under which a missing server is a failure, as where `.ci/run` has installed one."""
USER, PASSWORD = "lehr", "se:cr@t"


@dataclass(frozen=True, slots=True)
class Server:
    """A server with an empty database.

    Attributes:
        url: of the database, with its password.
        programs: folder of PostgreSQL's programs.
        folder: of the server's files.
        port: that it listens on.
    """

    url: str
    programs: Path
    folder: Path
    port: int

    def start(self) -> None:
        """Starts it and waits until it answers."""
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -c fsync=off"  # no power is cut here
        self._control("start", "-o", options, "-l", str(self.folder / "log"))

    def stop(self, mode: str = "fast") -> None:
        """Ends it: `fast` ends the sessions that are open, `immediate` is as a power cut."""
        self._control("stop", "-m", mode)

    def _control(self, *arguments: str) -> None:
        subprocess.run(
            _as_user([str(self.programs / "pg_ctl"), "-D", str(self.folder / "data"), "-w", *arguments]),
            check=True,
            stdout=subprocess.DEVNULL,
            cwd=self.folder,
            timeout=120,
        )


def _as_user(command: list[str]) -> list[str]:
    """A command as the user that PostgreSQL runs as: it refuses to be run by root."""
    return (
        ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups", *command] if os.getuid() == 0 else command
    )


def _programs() -> Path | None:
    """Where the newest PostgreSQL's programs are."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    if found:
        return found[-1].parent
    on_path = shutil.which("initdb")
    return None if on_path is None else Path(on_path).resolve().parent


@contextmanager
def postgresql() -> Iterator[Server]:
    """A running server; the test is skipped where PostgreSQL is not installed."""
    programs = _programs()
    if programs is None:
        if NEEDED in os.environ:
            pytest.fail("PostgreSQL is not installed")
        pytest.skip("PostgreSQL is not installed")
    folder = Path(mkdtemp(prefix="lehr-postgresql-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    password = folder / "password"
    password.write_text(PASSWORD)
    if os.getuid() == 0:
        for path in (folder, password):
            shutil.chown(path, "postgres", "postgres")
    make = ["initdb", "-D", str(folder / "data"), "-U", USER, "-A", "scram-sha-256", f"--pwfile={password}", "-N"]
    url = f"postgresql://{USER}:{PASSWORD.replace(':', '%3A').replace('@', '%40')}@127.0.0.1:{port}/postgres"
    server = Server(url, programs, folder, port)
    try:
        command = _as_user([str(programs / make[0]), *make[1:]])
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=folder, timeout=120)
        server.start()
        try:
            yield server
        finally:
            server.stop("immediate")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
