"""The loader: serves batches in the order of their requests, made by any number of workers.

What a batch holds depends on the seed and its request alone, so the number of workers changes nothing but the speed.
"""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable, Iterator, Sequence

from lehr.data.batch import Batch
from lehr.data.batch_makers import EvalBatches, TrainBatches
from lehr.data.cache import free_memory
from lehr.data.parcel import Parcel, describe_no_start, describe_slow_way
from lehr.data.requests import BatchRequest
from lehr.data.ring import InSlot, Ring
from lehr.data.worker_pool import Failure, WorkerPool
from lehr.data.worker_processes import LoadingStopped, kill_processes
from lehr.errors import InputError, LehrError
from lehr.runtime.console import LOGGER
from lehr.runtime.signals import describe_signal

POLL_SECONDS = 5
"""Seconds between checks for a stop request while waiting for a batch."""
STUCK_LOOKS = 6
"""Consecutive checks at which a process that owes a batch only waits for locks, until it is replaced."""
PREFETCH, LARGE_PREFETCH = 4, 2
"""Batches that a loading process prepares ahead, and the number for large batches."""
LARGE = 2**30
"""Bytes of a ring above which batches are large."""
IN_USE = 3
"""Batches that the training process uses or copies at a time, and whose slots are not free meanwhile."""
MANY_OUTSIDE, MANY_SHARE = 32, 0.05
"""Number of batches outside the ring that is reported, and their least share of all."""
MEMORY_SHARE = 0.15
"""Share of the free memory that a ring may take."""


class Loader:
    """Serves requested batches in order, made by workers that stay between epochs.

    Args:
        make: builds the batch of a request.
        workers: processes that build batches; 0 builds them in this one.
        pin: deliver page-locked memory, for asynchronous copies to CUDA.
        batch: images per batch, for which workers get a ring of memory to write to; None for no ring.
        processes: how many train together on this machine, each with a loader like this.

    Attributes:
        served: batches that workers have made so far.
        outside: those of them that had no place in the ring, if there is one.
        stop_signal: polled while waiting for a batch: the signal that asked the run to stop; None for none.
    """

    def __init__(
        self,
        make: TrainBatches | EvalBatches,
        workers: int = 0,
        pin: bool = False,
        batch: int | None = None,
        processes: int = 1,
    ) -> None:
        self._make = make
        self._pin = pin
        self._workers = workers
        self._batch = batch
        self._processes = processes
        self._pool: WorkerPool | None = None
        self._turn = 0
        self._slow = self._noted = False
        self.served = self.outside = 0
        self.stop_signal: Callable[[], int | None] = lambda: None

    @property
    def pinned(self) -> bool:
        """True if batches are in memory from which CUDA copies asynchronously."""
        return self._pin and (self._pool is None or (self._pool.ring is not None and self._pool.ring.pin()))

    def start(self) -> None:
        """Start the workers before the first request, ideally while the process has no other threads.

        Raises:
            LehrError: they cannot be started on this machine.
        """
        if self._workers > 0 and self._pool is None:
            self._pool = self._started()

    def close(self) -> None:
        """Stop the workers; they restart on the next request."""
        if self._pool is not None:
            self._pool.close()
            self._pool = None

    def _started(self) -> WorkerPool:
        ring, prefetch = self._ring()
        try:
            return WorkerPool(self._make, self._workers, prefetch, ring)
        except OSError as error:
            raise LehrError(describe_no_start(self._workers, error)) from None

    def batches(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest] = ()) -> Iterator[Batch]:
        """Yield the batches of requests.

        Args:
            requests: the batches to serve.
            then: the batches that probably follow; workers prepare them instead of idling.

        Raises:
            InputError: an image cannot be read.
            LehrError: the workers cannot be started on this machine, or one was lost.
            LoadingStopped: the run was asked to stop while it waited for a batch.
        """
        self.expect(requests, then)
        turn = self._turn
        for number, request in enumerate(requests):
            if self._turn != turn:
                raise RuntimeError("other batches were requested before these had all been taken")
            made = self._here(request) if self._pool is None else self._received(requests[number:], then)
            if isinstance(made, InputError):
                raise made
            yield made

    def expect(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest] = ()) -> None:
        """Let workers prepare the next requests of `batches`.

        Args:
            requests: the next batches.
            then: the batches that probably follow.

        Raises:
            LehrError: the workers cannot be started on this machine, or one was lost.
        """
        self._turn += 1
        self.start()
        if self._pool is not None:
            if self._pin and self._pool.ring is not None:
                self._pool.ring.pin()  # once the workers run, since it locks their memory
            self._pool.ask(requests, then)

    def _ring(self) -> tuple[Ring | None, int]:
        """Create the ring that workers write to, if the system can share one, and return how far they work ahead.

        Pending batches take at most a share of the free memory, with or without a ring; a worker always prepares one
        ahead.
        """
        if self._batch is None:
            return None, PREFETCH
        size = self._make.nbytes(self._batch)
        room = int(MEMORY_SHARE * free_memory()) // self._processes // size
        prefetch = PREFETCH if (self._workers * PREFETCH + IN_USE) * size <= LARGE else LARGE_PREFETCH
        prefetch = max(1, min(prefetch, room // self._workers))
        slots = min(self._workers * (prefetch + -(-IN_USE // self._workers)), room)
        if slots < self._workers or "fork" not in multiprocessing.get_all_start_methods():
            return None, prefetch
        try:
            return Ring(size, slots, self._workers), prefetch
        except OSError:  # each batch then gets separate memory
            return None, prefetch

    def _received(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest]) -> Batch | InputError:
        """Take the next batch; check while waiting for a stop request or a stuck process.

        Args:
            requests: the pending ones.
            then: the batches that probably follow.

        Raises:
            LoadingStopped: it was.
            WorkerLost: a process that makes batches has ended.
        """
        pool, stuck = self._pool, 0
        assert pool is not None
        while (answer := pool.next(POLL_SECONDS)) is None:
            if (number := self.stop_signal()) is not None:
                kill_processes()
                raise LoadingStopped(f"Stopped by {describe_signal(number)}, waiting for images.", number)
            stuck = 0 if (pid := pool.deadlocked()) is None else stuck + 1
            if stuck == STUCK_LOOKS:
                LOGGER.warning("A process that loads images was stuck (process %s) and is replaced.", pid)
                pool, stuck = self._restarted(pool), 0
                pool.ask(requests, then)
        self.served += 1
        if isinstance(answer, Failure):
            raise answer.error
        if isinstance(answer, InSlot):
            assert pool.ring is not None
            return pool.ring.batch(answer)
        if isinstance(answer, Parcel):
            self._note_outside(pool)
            return self._unpacked(answer, requests[0])
        return answer

    def _restarted(self, pool: WorkerPool) -> WorkerPool:
        """Restart the workers in place of unresponsive ones.

        Raises:
            LehrError: they cannot be started on this machine.
        """
        pool.kill()
        self._pool = fresh = self._started()
        if self._pin and fresh.ring is not None:
            fresh.ring.pin()
        return fresh

    def _note_outside(self, pool: WorkerPool) -> None:
        """Count a batch that did not fit in the ring, and report once if there are many."""
        if pool.ring is None:
            return
        self.outside += 1
        if not self._noted and self.outside >= MANY_OUTSIDE and self.outside > MANY_SHARE * self.served:
            self._noted = True
            LOGGER.warning(
                "%d of %d batches did not fit in the memory shared by loading processes (%.1f GB in slots of %.0f "
                "MB), which is slower: they were larger, or too many were kept at a time.",
                self.outside,
                self.served,
                pool.ring.nbytes / 1e9,
                pool.ring.slot_bytes / 1e6,
            )

    def _unpacked(self, parcel: Parcel, request: BatchRequest) -> Batch | InputError:
        """Unpack a worker's result; an unreachable batch is built here."""
        unpacked = parcel.unpack()
        if unpacked.trouble and not self._slow:
            self._slow = True
            LOGGER.warning("%s", describe_slow_way(unpacked.trouble))
        if unpacked.batch is None:
            return self._here(request)
        return unpacked.batch.pin_memory() if self._pin else unpacked.batch

    def _here(self, request: BatchRequest) -> Batch | InputError:
        """Build a batch in this process."""
        try:
            made = self._make(request)
        except InputError as error:
            return InputError(str(error))
        return made.pin_memory() if self._pin else made
