"""One training over two hosts: Linux network namespaces that a virtual cable joins, a `torchrun` in each.

Each host has a name of its own, an address on the cable, and `/etc/hosts` as Debian writes it, in which a host's own
name leads to itself only. The end of every run is compared with that of two processes on one machine, byte for byte.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from benchmarks.crash import differences

TOOLS = ("ip", "unshare", "nsenter", "taskset", "mount", "hostname")
MISSING = [tool for tool in TOOLS if shutil.which(tool) is None]
pytestmark = [
    pytest.mark.skipif(bool(MISSING), reason=f"network namespaces need {', '.join(MISSING)}"),
    pytest.mark.slow,
]

QUICK = ["--data", "shapes", "--imgsz", "64", "--width", "0.125", "--depth", "0.33", "--batch", "16", "--epochs", "2"]
TIMEOUT = 12
"""Seconds; a cable that is cut for twice as long costs much more, since TCP tries again after ever longer pauses."""
NAMES, ADDRESSES = ("node1", "node2"), ("10.77.0.1", "10.77.0.2")
CORES = sorted(os.sched_getaffinity(0))[:2] if hasattr(os, "sched_getaffinity") else [0]


@dataclass(frozen=True)
class Host:
    """One of the two.

    Attributes:
        number: 0 or 1.
        keeper: the process that keeps its namespaces, until its input ends.
        enter: the command that runs another one there.
    """

    number: int
    keeper: subprocess.Popen[str]
    enter: tuple[str, ...]

    @property
    def name(self) -> str:
        return NAMES[self.number]

    def run(self, script: str) -> None:
        """Runs shell commands there."""
        subprocess.run([*self.enter, "sh", "-c", script], check=True, timeout=20, capture_output=True, text=True)

    def processes(self) -> list[int]:
        """All that run there, but for the keeper."""
        own = _network(self.keeper.pid)
        if not own or own == _network(os.getpid()):
            return []
        every = [int(path.name) for path in Path("/proc").glob("[0-9]*")]
        return [pid for pid in every if pid != self.keeper.pid and _network(pid) == own]

    def trainers(self) -> list[int]:
        """The processes there that train: one at most."""
        commands = {pid: _command(pid) for pid in self.processes()}
        return [pid for pid, words in commands.items() if "lehr" in words and "torch.distributed.run" not in words]


@dataclass(frozen=True)
class Run:
    """A `torchrun` on one host; what it told people of failures is in a file."""

    process: subprocess.Popen[bytes]
    errors: Path

    @property
    def told(self) -> str:
        return self.errors.read_text(encoding="utf-8")

    @property
    def messages(self) -> list[str]:
        """Lehr's own ones."""
        return [line for line in self.told.splitlines() if line.startswith("lehr: ")]


@contextmanager
def two_hosts(folder: Path) -> Iterator[tuple[Host, Host]]:
    """Two hosts on one cable, with nothing left of them afterwards; skips the test where there can be none."""
    with contextlib.ExitStack() as left:
        user = None if os.geteuid() == 0 else _keeper(["unshare", "--user", "--map-root-user"], "true", left).pid
        one, two = (_host(number, user, folder, left) for number in (0, 1))
        try:
            one.run(f"ip link add cable type veth peer name cable netns {two.keeper.pid}")
        except subprocess.CalledProcessError as error:
            pytest.skip(f"no virtual cable here: {error.stderr.strip()}")
        for host in (one, two):
            host.run(f"ip address add {ADDRESSES[host.number]}/24 dev cable && ip link set cable up")
        yield one, two


def _host(number: int, user: int | None, folder: Path, left: contextlib.ExitStack) -> Host:
    """One of the hosts.

    Args:
        number: 0 or 1.
        user: a process in whose user namespace this user may do as root does; None for root.
        folder: for its `/etc/hosts`.
        left: what is to be cleared up.
    """
    name, other = NAMES[number], 1 - number
    names = folder / f"hosts-{name}"
    names.write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n{ADDRESSES[other]} {NAMES[other]}\n")
    as_root = [] if user is None else ["--user", "--preserve-credentials"]
    unshare = ["unshare", "--net", "--uts", "--mount"]
    unshare = unshare if user is None else ["nsenter", f"--target={user}", *as_root, *unshare]
    keeper = _keeper(unshare, f"hostname {name} && mount --bind {names} /etc/hosts && ip link set lo up", left)
    there = ("--net", "--uts", "--mount", f"--target={keeper.pid}", f"--wd={folder}")
    host = Host(number, keeper, ("nsenter", *as_root, *there))
    left.callback(lambda: [os.kill(pid, signal.SIGKILL) for pid in host.processes()])
    return host


def _keeper(unshare: Sequence[str], script: str, left: contextlib.ExitStack) -> subprocess.Popen[str]:
    """A process that keeps new namespaces until its input ends, so also no longer than this process lives."""
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    keeper = subprocess.Popen([*unshare, "sh", "-c", f"{script} && echo ready && exec cat"], text=True, **pipes)
    left.callback(keeper.communicate)
    assert keeper.stdout is not None and keeper.stderr is not None
    if keeper.stdout.readline() != "ready\n":
        pytest.skip(f"no network namespaces here: {keeper.stderr.read().strip()}")
    return keeper


def _network(pid: int) -> str:
    """The network namespace of a process; empty where it has ended."""
    try:
        return str(Path(f"/proc/{pid}/ns/net").readlink())
    except OSError:
        return ""


def _command(pid: int) -> list[str]:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().decode().split("\0")
    except OSError:
        return []


@pytest.fixture
def hosts(tmp_path: Path) -> Iterator[tuple[Host, Host]]:
    with two_hosts(tmp_path) as both:
        yield both


@pytest.fixture(scope="module")
def on_one_machine(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run of two processes on one machine, which was left alone."""
    project = tmp_path_factory.mktemp("runs")
    with two_hosts(project):
        pass  # else there is nothing to compare it with
    pinned = ["taskset", "--cpu-list", ",".join(map(str, CORES)), sys.executable, "-m", "lehr", "train"]
    place = ["--device", "cpu", "--processes", "2", "--project", str(project), "--name", "run"]
    subprocess.run([*pinned, *QUICK, *place], check=True, timeout=180)
    return project / "run"


def begin(hosts: Sequence[Host], project: Path, restarts: int = 0) -> list[Run]:
    """Starts a new run on both hosts, which know one another by name."""
    train = [*QUICK, "--device", "cpu", "--timeout", str(TIMEOUT), "--project", str(project), "--name", "run"]
    endpoint = ["--rdzv-endpoint", f"{NAMES[0]}:29500"]
    return [_torchrun(host, project / host.name, [*endpoint, "--max-restarts", str(restarts)], train) for host in hosts]


def go_on(hosts: Sequence[Host], project: Path) -> list[Run]:
    """Goes on with a run on both hosts, by their addresses: they need not know any names, their own included."""
    runs = []
    for host in hosts:
        endpoint = ["--rdzv-endpoint", f"{ADDRESSES[0]}:29500", "--rdzv-conf", f"is_host={1 - host.number}"]
        how = [*endpoint, "--local-addr", ADDRESSES[host.number]]
        runs.append(_torchrun(host, project / f"{host.name}-again", how, ["--resume", str(project / "run")]))
    return runs


def _torchrun(host: Host, errors: Path, how: Sequence[str], train: Sequence[str]) -> Run:
    """A host's part of a run, on a core of its own."""
    command = [
        *(*host.enter, "taskset", "--cpu-list", str(CORES[host.number % len(CORES)])),
        *(sys.executable, "-m", "torch.distributed.run", "--nnodes", "2", "--nproc-per-node", "1"),
        *("--rdzv-backend", "c10d", "--rdzv-id", "job", *how, "-m", "lehr", "train", *train),
    ]
    environment = {**os.environ, "GLOO_SOCKET_IFNAME": "cable"}
    with errors.open("wb") as file:
        quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": file}
        return Run(subprocess.Popen(command, env=environment, **quiet), errors)


def wait(until: Callable[[], object], seconds: float, runs: Sequence[Run]) -> None:
    """Waits until something is so."""
    deadline = time.monotonic() + seconds
    while not until():
        assert time.monotonic() < deadline, [run.told for run in runs]
        time.sleep(0.05)


def come_into_second_epoch(project: Path, runs: Sequence[Run]) -> None:
    wait((project / "run" / "results.csv").exists, 120, runs)
    time.sleep(0.5)


def end_well(runs: Sequence[Run]) -> None:
    wait(lambda: all(run.process.poll() is not None for run in runs), 180, runs)
    assert [run.process.returncode for run in runs] == [0, 0], [run.told for run in runs]


def test_two_hosts_train_as_two_processes_of_one_machine(
    hosts: tuple[Host, Host], on_one_machine: Path, tmp_path: Path
) -> None:
    end_well(begin(hosts, tmp_path))
    assert differences(on_one_machine, tmp_path / "run") == []


def test_a_cut_cable_ends_both_sides_with_a_message_and_resume_is_exact(
    hosts: tuple[Host, Host], on_one_machine: Path, tmp_path: Path
) -> None:
    runs = begin(hosts, tmp_path)
    come_into_second_epoch(tmp_path, runs)
    hosts[1].run("ip link set cable down")
    wait(lambda: not any(host.trainers() for host in hosts), TIMEOUT + 30, runs)
    wait(lambda: runs[0].process.poll() is not None, 10, runs)
    # The torchrun of the cut-off side waits for its store, without a limit of its own: until the network is back.
    hosts[1].run("ip link set cable up")
    wait(lambda: runs[1].process.poll() is not None, 60, runs)
    assert all(run.process.returncode == 1 for run in runs)
    late = rf"had no answer within {TIMEOUT} s \(--timeout\) at step \d+ of epoch 2\."
    ends = (
        rf"lehr: Rank 0 of 2 on node1 {late} Not responding: rank 1 on node2, last at .+\.",
        rf"lehr: Rank 1 of 2 on node2 {late} The machine of rank 0 cannot be reached: is the network .+ up\?",
    )
    for run, message in zip(runs, ends, strict=True):
        assert len(run.messages) == 1 and re.fullmatch(message, run.messages[0]), run.told
        assert not re.search(r'File ".*/lehr/', run.told), run.told  # torchrun's own tracebacks do not name Lehr's code
    end_well(go_on(hosts, tmp_path))
    assert differences(on_one_machine, tmp_path / "run") == []


def test_a_killed_process_and_a_cable_that_is_cut_for_a_while_need_nobody(
    hosts: tuple[Host, Host], on_one_machine: Path, tmp_path: Path
) -> None:
    runs = begin(hosts, tmp_path, restarts=3)
    come_into_second_epoch(tmp_path, runs)
    (killed,) = hosts[1].trainers()
    os.kill(killed, signal.SIGKILL)
    log = tmp_path / "run" / "train.log"
    wait(lambda: "Resumes from" in log.read_text(encoding="utf-8"), 90, runs)
    time.sleep(0.5)
    hosts[1].run("ip link set cable down")
    wait(lambda: all(run.messages for run in runs), TIMEOUT + 30, runs)
    hosts[1].run("ip link set cable up")
    end_well(runs)
    assert log.read_text(encoding="utf-8").count("Resumes from") == 2
    assert differences(on_one_machine, tmp_path / "run") == []
