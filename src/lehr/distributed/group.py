"""Process group of a run: joining it, watching the other processes, and reporting failures.

The processes are started by torch's elastic launcher, from `torchrun` or `lehr train --device 0,1`, which identifies
each by environment variables. They share a store of keys and values: `torchrun`'s, or a folder on one machine. In it
every process records its activity each second, so that the message of a failed exchange can name the silent ones, and a
failing process records why, so that the others end with the same message.
"""

from __future__ import annotations

import contextlib
import json
import os
import platform
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch.distributed import FileStore, PrefixStore  # type: ignore[attr-defined]  # missing in its stubs
from torch.distributed.rendezvous import rendezvous

from lehr.distributed.collectives import PeerLost, RankFailed, Ranks, lost_touch
from lehr.distributed.environment import World, world
from lehr.distributed.folder_store import FolderStore, check_private
from lehr.distributed.launch import stay_with
from lehr.distributed.rendezvous import meet
from lehr.errors import LehrError
from lehr.runtime.console import complain

Answer = TypeVar("Answer")

HEARTBEAT_SECONDS = 1.0
"""Seconds between two activity records of a process."""
HEARTBEAT_TIMEOUT = 2.5
"""Seconds without a new record after which a process counts as silent, and to wait for the reason of a failure."""
MAX_NAMED = 8
"""Maximum number of processes that a message names."""
GRACE = 30.0
"""Seconds that a process gets to end itself: the time-outs of gloo and NCCL come before or after it."""
FOLDER, FAILURE = "lehr/folder", "failure"


class Group:
    """Processes of a run, as watched by one of them.

    Args:
        ranks: who this one is.
        store: their store; None for a single process.
        memory: store that the launcher keeps across restarts; None without such a launcher.
        world: the launcher's environment.
        timeout: time that a process waits for the others, seconds.
    """

    def __init__(self, ranks: Ranks, store: Any, memory: Any, world: World, timeout: float) -> None:
        self.ranks = ranks
        self.world = world
        self.again = False
        """True if the launcher has restarted the processes after a loss."""
        self._store = store
        self._memory = memory
        self._timeout = timeout
        self._ended = threading.Event()
        self._thread: threading.Thread | None = None
        self._host = platform.node()

    @classmethod
    def alone(cls) -> Group:
        """A single process."""
        return cls(Ranks(), None, None, World(False), 0.0)

    @property
    def name(self) -> str:
        """Name of this process, for messages."""
        return f"Rank {self.ranks.rank} of {self.ranks.count} on {self._host}"

    def recall(self) -> Path | None:
        """The run's folder after a restart; None at the first start."""
        if self._memory is None or not self._memory.check([FOLDER]):
            return None
        return Path(self._memory.get(FOLDER).decode("utf-8", "surrogateescape"))

    def remember(self, folder: Path) -> None:
        """Record the run's folder for the next start."""
        if self._memory is not None and self.ranks.is_main:
            self._memory.set(FOLDER, str(folder.absolute()))

    def begin(self) -> None:
        """Start recording this process's activity every second."""
        if self._store is None:
            return
        self._thread = threading.Thread(target=self._beat, name="heartbeat", daemon=True)
        self._thread.start()

    def end(self) -> None:
        """Stop recording."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(HEARTBEAT_TIMEOUT)

    def tell(self, error: LehrError) -> None:
        """Record why this process fails, unless another has failed before."""
        note = json.dumps([str(error), error.exit_code])
        _within(HEARTBEAT_TIMEOUT, lambda: self._store.compare_set(FAILURE, "", note))

    def speaks(self) -> bool:
        """Return whether this process is the first of its machine to ask: that one reports the error."""
        if self._store is None:
            return True
        return _within(HEARTBEAT_TIMEOUT, lambda: int(self._store.add(f"told/{self.ranks.node}", 1)) == 1) is not False

    def explained(self, error: BaseException) -> LehrError:
        """Build the error of a process that lost contact with the others.

        Args:
            error: torch's.
        """
        reachable = _within(2 * HEARTBEAT_TIMEOUT, lambda: [self._store.check([FAILURE])]) is not None
        failure = _within(2 * HEARTBEAT_TIMEOUT, lambda: self._failure(HEARTBEAT_TIMEOUT)) if reachable else None
        if failure is not None:
            return failure
        silent = _within(4 * HEARTBEAT_TIMEOUT, self._silent) if reachable else None
        if silent is None:
            who = "The machine of rank 0 cannot be reached: is the network between the machines up?"
        elif silent:
            more = f"; and {len(silent) - MAX_NAMED} more" * (len(silent) > MAX_NAMED)
            who = f"Not responding: {'; '.join(silent[:MAX_NAMED])}{more}."
        else:
            who = "Every process still responds: one may be slower than --timeout allows."
        late = "timed out" in str(error).lower() or "timeout" in str(error).lower()
        how = f"had no answer within {self._timeout:g} s (--timeout)" if late else "lost the connection to the others"
        return PeerLost(f"{self.name} {how} at {self.ranks.activity}. {who}")

    def _failure(self, patience: float) -> RankFailed | None:
        """Wait briefly for a failure that another process reports."""
        deadline = time.monotonic() + patience
        while time.monotonic() < deadline:
            if self._store.check([FAILURE]):
                message, code = json.loads(self._store.get(FAILURE))
                return RankFailed(message, code)
            time.sleep(0.1)
        return None

    def _silent(self) -> list[str]:
        """List processes without recent activity, and their last activity."""
        keys = [f"beat/{rank}" for rank in range(self.ranks.count)]
        before = [self._store.get(key) if self._store.check([key]) else b"" for key in keys]
        time.sleep(HEARTBEAT_TIMEOUT)
        silent = []
        for rank, (key, then) in enumerate(zip(keys, before, strict=True)):
            if rank == self.ranks.rank or (then and self._store.get(key) != then):
                continue
            host, _, activity = json.loads(then) if then else ("an unknown machine", 0, "the start")
            silent.append(f"rank {rank} on {host}, last at {activity}")
        return silent

    def _beat(self) -> None:
        """Record activity and check for failures of the others, until the end."""
        count, failing, notes = 0, 0.0, self._store.clone()  # a separate connection
        while not self._ended.wait(HEARTBEAT_SECONDS):
            count += 1
            with contextlib.suppress(RuntimeError):
                notes.set(f"beat/{self.ranks.rank}", json.dumps([self._host, count, self.ranks.activity]))
                if notes.check([FAILURE]):
                    failing = failing or time.monotonic()
            stuck = self.ranks.silence > self._timeout + GRACE
            failed = bool(failing) and time.monotonic() - failing > GRACE
            if self.ranks.watched and (stuck or failed):  # otherwise it saves, without waiting for others
                self._leave(stuck)

    def _leave(self, stuck: bool) -> None:
        """End this process, whose main thread waits for a device that will not answer."""
        error = self.explained(RuntimeError("timed out" if stuck else "lost"))
        if self.speaks():
            complain(str(error))
        os._exit(error.exit_code)


@contextmanager
def joined(device: torch.device, timeout: float) -> Iterator[Group]:
    """Join the processes that a launcher started together with this one; a single process without a launcher.

    Args:
        device: of this process, already current if it is CUDA.
        timeout: time that a process waits for the others, seconds.

    Raises:
        PeerLost: another process does not answer.
        RankFailed: another process has failed.
    """
    started = world()
    ranks = Ranks(started.rank, started.count, started.local_rank, started.local_count, started.node)
    if not started.launched:
        yield Group.alone()
        return
    if started.looked_after:
        stay_with(os.getppid())
    try:
        memory, store, torchs = _stores(started, timeout)
        if ranks.is_distributed:
            _connect(torchs, ranks, device, timeout)
    except (RuntimeError, ValueError) as error:
        raise PeerLost(
            f"Rank {started.rank} of {started.count} on {platform.node()} cannot reach the others: "
            f"{_first_line(error)}\nAre all of them started, with the same address, and is the network "
            "between them open? GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME name the interface to use."
        ) from None
    group = Group(ranks, store, memory, started, timeout)
    group.begin()
    try:
        yield group
    except LehrError as error:
        if not isinstance(error, PeerLost | RankFailed):
            group.tell(error)
        error.told = not group.speaks()
        raise
    except RuntimeError as error:
        if not (ranks.is_distributed and lost_touch(error)):
            raise
        explained = group.explained(error)
        explained.told = not group.speaks()
        raise explained from None
    else:
        if ranks.is_distributed and device.type == "cuda":
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()
    finally:
        group.end()
        if (
            ranks.is_distributed and device.type != "cuda"
        ):  # after a failure NCCL would wait; gloo reports it to the others
            with contextlib.suppress(RuntimeError):
                dist.destroy_process_group()


def _stores(started: World, timeout: float) -> tuple[Any, Any, Any]:
    """Build the stores of the processes: one that outlives this start, one for this start, and torch's own.

    Args:
        started: the launcher's environment.
        timeout: time that a process waits for the others, seconds.

    Raises:
        PeerLost: not all processes have joined.
    """
    wait = timedelta(seconds=timeout)
    if started.folder is not None:
        check_private(started.folder)
        folder = FolderStore(started.folder)
        name = meet(folder, started.rank, started.count, timeout)
        files = FileStore(str(started.folder / f"{name}.torch"), -1)
        files.set_timeout(wait)
        return folder, folder.within(name), files
    memory, _, _ = next(iter(rendezvous("env://", timeout=wait)))
    memory = getattr(memory, "underlying_store", memory)  # store that outlives this start
    store = PrefixStore(f"lehr/{meet(memory, started.rank, started.count, timeout)}", memory)
    return memory, store, PrefixStore("group", store)


def _connect(store: Any, ranks: Ranks, device: torch.device, timeout: float) -> None:
    cuda = device.type == "cuda"
    dist.init_process_group(
        "cpu:gloo,cuda:nccl" if cuda else "gloo",
        store=store,
        rank=ranks.rank,
        world_size=ranks.count,
        # On CUDA the heartbeat must report first: NCCL ends the process without a readable message.
        timeout=timedelta(seconds=timeout + (2 * GRACE if cuda else 0)),
        device_id=device if cuda else None,
    )


def _within(seconds: float, ask: Callable[[], Answer]) -> Answer | None:
    """Answer of a store; None if it does not answer in time, since the network may be gone."""
    answers: list[Answer] = []

    def answer() -> None:
        with contextlib.suppress(RuntimeError, AttributeError):
            answers.append(ask())

    asking = threading.Thread(target=answer, daemon=True)
    asking.start()
    asking.join(seconds)
    return answers[0] if answers else None


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
