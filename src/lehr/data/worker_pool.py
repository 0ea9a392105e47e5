"""A pool of loading processes: requests go out in order, batches come back in that order.

Each process has its own pipe. Its next requests wait in that pipe, so it never idles while the training process is
busy; requests for the next epoch wait there, too. A thread in each process takes the requests out, so that neither side
can block the other, and ends the process when the training process is gone.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import pickle
import queue
import selectors
import threading
import traceback
import weakref
from collections import deque
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import ForkingPickler
from typing import Any, NamedTuple

import numpy as np

from lehr.data.batch import Batch
from lehr.data.block import release_copied
from lehr.data.parcel import Parcel, pack
from lehr.data.requests import BatchRequest
from lehr.data.ring import InSlot, Ring, place_batch
from lehr.data.worker_processes import WorkerLost, frozen_garbage, is_deadlocked, start_processes, start_worker
from lehr.errors import InputError

PARENT_SECONDS = 5
"""Seconds between checks of a loading process whether the training process still exists."""

END_SECONDS = 1
"""Seconds to wait for the end of a loading process; one that hangs is killed when the training process ends."""

MakeBatch = Callable[..., Batch]
"""Makes the batch of a request; a second argument, `Empty`, allocates the memory for its largest tensor."""


class Failure(NamedTuple):
    """An unexpected error in a loading process, with its traceback as a note."""

    error: Exception


Answer = InSlot | Parcel | InputError | Failure
"""Result of a request; errors travel as values."""


class _Asked(NamedTuple):
    number: int
    request: BatchRequest
    worker: int
    slot: int | None


class WorkerPool:
    """Loading processes and their requests.

    Args:
        make: makes the batch of a request.
        workers: how many processes.
        prefetch: batches that each makes ahead at most.
        ring: memory that they write batches to; None for system memory per batch.

    Raises:
        OSError: the system lacks what they need.
    """

    def __init__(self, make: MakeBatch, workers: int, prefetch: int, ring: Ring | None = None) -> None:
        self.ring = ring
        self._prefetch = prefetch
        self._pending: deque[BatchRequest] = deque()
        self._asked: deque[_Asked] = deque()
        self._dropped: dict[int, _Asked] = {}
        self._answers: dict[int, Answer] = {}
        self._undelivered, self._unanswered = [0] * workers, [0] * workers
        self._number = 0
        self._channels: list[Connection] = []
        with frozen_garbage():
            self._processes: list[BaseProcess] = start_processes(lambda: self._started(make, workers))
        self._ends = {process.sentinel: worker for worker, process in enumerate(self._processes)}
        # A selector that stays is asked in microseconds; Windows has none for pipes.
        self._selector = selectors.DefaultSelector() if os.name == "posix" else None
        if self._selector is not None:
            for channel in self._channels:
                self._selector.register(channel, selectors.EVENT_READ, channel)
            for end in self._ends:
                self._selector.register(end, selectors.EVENT_READ, end)
        self._finalizer = weakref.finalize(self, _end, self._channels, self._processes, os.getpid())

    def _started(self, make: MakeBatch, workers: int) -> list[BaseProcess]:
        """Start the processes.

        Raises:
            OSError: the system lacks what they need.
        """
        forks = "fork" in multiprocessing.get_all_start_methods()
        # Forked workers share the cache and the ring without copying them.
        context: Any = multiprocessing.get_context("fork" if forks else None)
        processes = []
        for worker in range(workers):
            ours, theirs = context.Pipe()
            self._channels.append(ours)
            inherited = list(self._channels) if forks else []
            process = context.Process(
                target=_serve, args=(make, theirs, inherited, self.ring if forks else None, worker), daemon=True
            )
            process.start()
            theirs.close()
            processes.append(process)
        return processes

    def ask(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest] = ()) -> None:
        """Request batches, which `next` returns in this order.

        Pending earlier requests are kept if they match the new ones, and dropped otherwise.

        Args:
            requests: the next ones.
            then: those that probably follow, prepared when workers would idle.
        """
        wanted, asked = [*requests, *then], [each.request for each in self._asked]
        if len(asked) > len(wanted) or not all(map(_equal, asked, wanted)):
            for each in self._asked:
                self._dropped[each.number] = each
                self._undelivered[each.worker] -= 1
                if each.number in self._answers:
                    self._drop(each.number, self._answers.pop(each.number))
            self._asked.clear()
        self._pending = deque(wanted[len(self._asked) :])
        self._hand_out()

    def next(self, seconds: float) -> Answer | None:
        """Return the next batch; None if it has not come within some seconds.

        Raises:
            WorkerLost: a process ended, perhaps the one that makes it.
        """
        self._hand_out()
        first = self._asked[0]
        self._collect(0)
        while first.number not in self._answers:
            if not self._collect(seconds):
                return None
        self._asked.popleft()
        self._undelivered[first.worker] -= 1
        self._hand_out()
        answer = self._answers.pop(first.number)
        if first.slot is not None and not isinstance(answer, InSlot) and self.ring is not None:
            self.ring.give_back(first.slot)
        return answer

    def deadlocked(self) -> int | None:
        """Return the process that makes the next batch where all of its threads wait for locks; else None."""
        pid = self._processes[self._asked[0].worker].pid
        return pid if pid is not None and is_deadlocked(pid) else None

    def close(self) -> None:
        """End all processes, and close the pipes to them."""
        if self._selector is not None:
            self._selector.close()
        self._finalizer()

    def kill(self) -> None:
        """Kill all processes at once; pending requests are lost."""
        for process in self._processes:
            process.kill()
        for process in self._processes:
            process.join()

    def _hand_out(self) -> None:
        """Assign requests to the processes with the fewest, each with a free slot.

        Where no slot is free, a request waits for one; without one it goes out only when fewer batches than processes
        are under way, as when a caller keeps all batches.
        """
        if self.ring is not None:
            release_copied()
        while self._pending:
            free = [w for w, count in enumerate(self._undelivered) if count < self._prefetch]
            if self.ring is not None:
                urgent = sum(self._undelivered) < len(self._undelivered)
                free = [w for w in free if self.ring.free(w) > 0] or (free if urgent else [])
            if not free:
                return
            worker = min(free, key=lambda w: (self._undelivered[w], self._unanswered[w]))
            slot = None if self.ring is None else self.ring.take(worker)
            asked = _Asked(self._number, self._pending.popleft(), worker, slot)
            self._number += 1
            try:
                self._channels[worker].send((asked.number, asked.request, slot))
            except OSError:
                raise self._lost(worker) from None
            self._asked.append(asked)
            self._undelivered[worker] += 1
            self._unanswered[worker] += 1

    def _collect(self, seconds: float) -> bool:
        """Collect the results of processes, and return whether there are any; wait some seconds for the first.

        Raises:
            WorkerLost: a process ended.
        """
        if self._selector is not None:
            ready = {key.data for key, _ in self._selector.select(seconds)}
        else:
            ready = set(wait([*self._channels, *self._ends], seconds))
        answered = False
        for worker, channel in enumerate(self._channels):
            if channel in ready:
                try:
                    number, answer = channel.recv()
                except (EOFError, OSError):
                    raise self._lost(worker) from None
                answered = True
                self._unanswered[worker] -= 1
                if number in self._dropped:
                    self._drop(number, answer)
                else:
                    self._answers[number] = answer
        if ready and not answered:
            raise self._lost(next(self._ends[end] for end in ready if isinstance(end, int)))
        return answered

    def _drop(self, number: int, answer: Answer) -> None:
        """Release a batch that is no longer needed."""
        slot = self._dropped.pop(number).slot
        if slot is not None and self.ring is not None:
            self.ring.give_back(slot)
        if isinstance(answer, Parcel):
            answer.unpack()  # so that the process that built it can release its memory

    def _lost(self, worker: int) -> WorkerLost:
        process = self._processes[worker]
        process.join(1)
        return WorkerLost(process.pid, process.exitcode)


def _equal(one: BatchRequest, other: BatchRequest) -> bool:
    """Return whether two requests ask for the same batch."""
    if one.shown is None or other.shown is None:
        return one == other and one.shown is other.shown
    return one == other and np.array_equal(one.shown, other.shown)


def _end(channels: list[Connection], processes: list[BaseProcess], owner: int) -> None:
    """End the processes of a pool; where a forked process forgets it, nothing."""
    if os.getpid() != owner:
        return
    for channel in channels:
        with contextlib.suppress(OSError):
            channel.send(None)
        channel.close()
    for process in processes:
        process.join(END_SECONDS)


def _serve(make: MakeBatch, channel: Connection, inherited: list[Connection], ring: Ring | None, worker: int) -> None:
    """Build batches on request, in a separate process.

    Args:
        make: makes the batch of a request.
        channel: brings requests and takes answers.
        inherited: ends of pipes that belong to the training process, and would outlive it here.
        ring: what batches are written to.
        worker: this process's number.
    """
    start_worker()
    for each in inherited:
        each.close()
    requests: queue.SimpleQueue[tuple[int, BatchRequest, int | None]] = queue.SimpleQueue()
    threading.Thread(target=_listen, args=(channel, requests), daemon=True).start()
    if ring is not None:
        ring.populate(worker)
    while True:
        number, request, slot = requests.get()
        answer = answer_request(make, request, ring, slot)
        try:
            channel.send((number, answer))
        except OSError:  # the other side is gone
            os._exit(0)


def _listen(channel: Connection, requests: queue.SimpleQueue[tuple[int, BatchRequest, int | None]]) -> None:
    """Take requests out of the pipe; end the process when it is closed, or when the training process is gone."""
    parent = os.getppid()
    with contextlib.suppress(EOFError, OSError):
        while os.getppid() == parent:
            if channel.poll(PARENT_SECONDS):
                if (message := channel.recv()) is None:
                    break
                requests.put(message)
    os._exit(0)


def answer_request(make: MakeBatch, request: BatchRequest, ring: Ring | None, slot: int | None) -> Answer:
    """Build a batch for another process.

    Args:
        make: makes it.
        request: the request.
        ring: holds the slot.
        slot: where the batch is written; None for system memory.
    """
    arena = ring.arena(slot) if ring is not None and slot is not None else None
    try:
        if arena is None or slot is None:
            return pack(make(request))
        batch = make(request, arena.empty)
        return place_batch(batch, arena, slot) or pack(batch)
    except InputError as error:
        return InputError(str(error))
    except Exception as error:
        return Failure(_portable(error))


def _portable(error: Exception) -> Exception:
    """Return an error that can travel, with its traceback as a note."""
    trace = f"In a loading process:\n{traceback.format_exc()}"
    try:
        error.add_note(trace)
        pickle.loads(ForkingPickler.dumps(error))
    except Exception:
        return RuntimeError(trace)
    return error
