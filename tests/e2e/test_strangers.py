"""What other people's files and other users' processes can do to a command that starts processes: nothing.

The working folder holds modules with the names of those that a run imports; meanwhile somebody who knows every command
line, and so the name of the run's temporary folder, tries each port.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import socket
import subprocess
import sys
import time
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

import pytest
import torch.distributed as dist
from tests.conftest import make_squares
from tests.sockets import Socket, descendants, sockets_of

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="looks up processes in /proc")
PLANTED = ("__future__", "json", "numpy", "optuna", "timeit", "torch", "typing", "yaml")
SMALL = ["--device", "cpu", "--imgsz", "64", "--batch", "4", "--width", "0.125", "--epochs", "1", "--amp", "off"]
NOBODY = 65534
STORE_TIMEOUT = timedelta(seconds=1)


class Touch:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.path),)


@dataclass
class Attacked:
    """A command in a hostile folder on a hostile machine.

    Attributes:
        folder: where it works.
        arguments: of `lehr`.
        sockets: all that its processes had.
        unsafe: commands of its Python processes that would import from the working folder.
        modules: those that its processes ran.
        obeyed: ports that let a stranger set a key.
        reached: temporary folders that others may open.
    """

    folder: Path
    arguments: list[str]
    sockets: set[Socket] = field(default_factory=set)
    unsafe: list[str] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    obeyed: list[int] = field(default_factory=list)
    reached: list[str] = field(default_factory=list)

    def run(self) -> None:
        """Run it to its end, which must be a good one."""
        for name in PLANTED:
            text = f"import os\nos.mkdir({str(self.ran)!r})\nraise SystemExit('{name} was planted')\n"
            (self.folder / f"{name}.py").write_text(text)
        source = str(Path(__file__).parents[2] / "src")
        environment = {**os.environ, "PYTHONPATH": source}
        command = [sys.executable, "-m", "lehr", *self.arguments]
        with (self.folder / "told").open("wb") as told:
            process = subprocess.Popen(command, cwd=self.folder, env=environment, stdout=told, stderr=told)
            try:
                while process.poll() is None:
                    self._look(process.pid)
                    time.sleep(0.05)
            finally:
                process.kill()
        assert process.returncode == 0, (self.folder / "told").read_text()

    @property
    def ran(self) -> Path:
        """What exists once anything of the attacks has run."""
        return self.folder / "ran"

    def _look(self, pid: int) -> None:
        pids = descendants(pid)
        for child in pids[1:]:
            with contextlib.suppress(OSError):
                self._look_at(child)
        new = sockets_of(pids) - self.sockets
        self.sockets |= new
        for each in new:
            if each.listening:
                self._attack(each)

    def _look_at(self, pid: int) -> None:
        place = Path(f"/proc/{pid}")
        words = place.joinpath("cmdline").read_bytes().decode().split("\0")
        if "-m" not in words or words[3:] == [*self.arguments, ""]:  # a compiler, say; or forked, and not yet itself
            return
        self.modules.add(words[words.index("-m") + 1])
        safe = b"PYTHONSAFEPATH=1" in place.joinpath("environ").read_bytes().split(b"\0")
        if not safe or "-P" not in words:
            self.unsafe.append(" ".join(words))
        folder = Path(words[words.index("-m") + 2])
        if folder.is_absolute() and folder.is_dir():
            allowed = folder.stat().st_mode & 0o077
            if allowed or (os.geteuid() == 0 and _opens_as_nobody(folder)):
                self.reached.append(str(folder))

    def _attack(self, each: Socket) -> None:
        """Do to a port what made torch's rendezvous run a command, and send it the same as it is."""
        payload = pickle.dumps(Touch(self.ran))
        with contextlib.suppress(RuntimeError, ValueError):
            store = dist.TCPStore("localhost", each.port, is_master=False, timeout=STORE_TIMEOUT)
            store.set("torch.rendezvous", payload)
            self.obeyed.append(each.port)
        with contextlib.suppress(OSError), socket.create_connection(("localhost", each.port), 1) as connection:
            connection.sendall(payload)


def _opens_as_nobody(folder: Path) -> bool:
    listing = subprocess.run(["ls", folder], user=NOBODY, group=NOBODY, extra_groups=[], capture_output=True)
    return listing.returncode == 0


def _attacked(folder: Path, *arguments: str) -> Attacked:
    data = make_squares(folder / "data", {"train": 16, "val": 4})
    attacked = Attacked(folder, [*arguments, "--data", str(data), *SMALL])
    attacked.run()
    assert not attacked.ran.exists(), (folder / "told").read_text()
    assert attacked.unsafe == [] and attacked.obeyed == [] and attacked.reached == []
    return attacked


@pytest.mark.slow
def test_processes_that_train_together_are_reached_by_nobody(tmp_path: Path) -> None:
    attacked = _attacked(tmp_path, "train", "--processes", "2")
    assert attacked.modules == {"lehr.engine.worker"}
    assert any(each.listening for each in attacked.sockets)  # gloo's; else nothing was seen at all
    assert [each for each in attacked.sockets if not each.is_private] == []


@pytest.mark.slow
def test_workers_of_a_study_listen_to_nobody(tmp_path: Path) -> None:
    attacked = _attacked(tmp_path, "evolve", "--trials", "1", "--jobs", "2")
    assert attacked.modules >= {"lehr.studies.worker", "lehr.studies.trial_process"}
    assert [each for each in attacked.sockets if not each.is_private or each.listening] == []
