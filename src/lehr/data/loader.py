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
"""Seconds between two looks whether the run was asked to stop, while it waits for a batch."""
STUCK_LOOKS = 6
"""Looks on end at which a process that owes a batch waits for nothing but locks, until others take its place."""
PREFETCH, LARGE_PREFETCH = 4, 2
"""Batches that a loading process makes ahead, and that it does where they are large."""
LARGE = 2**30
"""Bytes of a ring from which on batches are large."""
IN_USE = 3
"""Batches that the training process uses or copies at a time, and whose slots are not free meanwhile."""
MANY_OUTSIDE, MANY_SHARE = 32, 0.05
"""Batches outside of the ring that are said, and the share of all that they exceed."""
MEMORY_SHARE = 0.15
"""Share of the free memory that a ring may take."""


class Loader:
    """Serves requested batches in order, made by workers that stay between epochs.

    Args:
        make: makes the batch of a request.
        workers: processes that make batches; 0 makes them in this one.
        pin: hand out page-locked memory, for asynchronous copies to CUDA.
        batch: images a batch, for which workers get a ring of memory to write to; None for no ring.
        processes: how many train together on this machine, each with a loader like this.

    Attributes:
        served: batches that workers have made so far.
        outside: those of them that had no place in the ring, where there is one.
        stop_signal: asked while it waits for a batch: the signal that the run was asked to stop by, None for none.
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
        """Whether batches come in memory from which CUDA copies while the host goes on."""
        return self._pin and (self._pool is None or (self._pool.ring is not None and self._pool.ring.pin()))

    def start(self) -> None:
        """Begin the workers before anything is asked of them: best while the process has no other threads.

        Raises:
            LehrError: they cannot be started on this machine.
        """
        if self._workers > 0 and self._pool is None:
            self._pool = self._started()

    def close(self) -> None:
        """End the workers; they begin again when something is asked for."""
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
        """The batches of some requests.

        Args:
            requests: what is asked for.
            then: what is probably asked for after it; workers begin it rather than rest.

        Raises:
            InputError: an image cannot be read.
            LehrError: the workers cannot be started on this machine, or one was lost.
            LoadingStopped: the run was asked to stop while it waited for a batch.
        """
        self.expect(requests, then)
        turn = self._turn
        for number, request in enumerate(requests):
            if self._turn != turn:
                raise RuntimeError("other batches were asked for before these had all been taken")
            made = self._here(request) if self._pool is None else self._received(requests[number:], then)
            if isinstance(made, InputError):
                raise made
            yield made

    def expect(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest] = ()) -> None:
        """Have workers begin what `batches` will be asked for next.

        Args:
            requests: what will be asked for.
            then: what is probably asked for after it.

        Raises:
            LehrError: the workers cannot be started on this machine, or one was lost.
        """
        self._turn += 1
        self.start()
        if self._pool is not None:
            if self._pin and self._pool.ring is not None:
                self._pool.ring.pin()  # once the workers run, whose memory it locks
            self._pool.ask(requests, then)

    def _ring(self) -> tuple[Ring | None, int]:
        """Make the ring that workers write to, where the system can share one, and say how far they make ahead.

        Batches on their way take a share of the free memory at most, with a ring and without one; a worker makes one
        ahead in any case.
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
        except OSError:  # each batch gets memory of its own then
            return None, prefetch

    def _received(self, requests: Sequence[BatchRequest], then: Sequence[BatchRequest]) -> Batch | InputError:
        """Take the next batch, and look meanwhile whether the run was asked to stop, or a process is stuck.

        Args:
            requests: those that have not been answered.
            then: what is probably asked for after them.

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
                LOGGER.warning("A process that loads images was stuck (process %s): others take its place.", pid)
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
        """Start the workers again, in the place of some that answer no more.

        Raises:
            LehrError: they cannot be started on this machine.
        """
        pool.kill()
        self._pool = fresh = self._started()
        if self._pin and fresh.ring is not None:
            fresh.ring.pin()
        return fresh

    def _note_outside(self, pool: WorkerPool) -> None:
        """Count a batch that had no place in the ring, and say once when they are many."""
        if pool.ring is None:
            return
        self.outside += 1
        if not self._noted and self.outside >= MANY_OUTSIDE and self.outside > MANY_SHARE * self.served:
            self._noted = True
            LOGGER.warning(
                "%d of %d batches had no place in the memory that loading processes share (%.1f GB in slots of %.0f "
                "MB), which is slower: they were larger, or too many were kept at a time.",
                self.outside,
                self.served,
                pool.ring.nbytes / 1e9,
                pool.ring.slot_bytes / 1e6,
            )

    def _unpacked(self, parcel: Parcel, request: BatchRequest) -> Batch | InputError:
        """Unpack what a worker sent; a batch that cannot be reached is made here."""
        unpacked = parcel.unpack()
        if unpacked.trouble and not self._slow:
            self._slow = True
            LOGGER.warning("%s", describe_slow_way(unpacked.trouble))
        if unpacked.batch is None:
            return self._here(request)
        return unpacked.batch.pin_memory() if self._pin else unpacked.batch

    def _here(self, request: BatchRequest) -> Batch | InputError:
        """Make a batch in this process."""
        try:
            made = self._make(request)
        except InputError as error:
            return InputError(str(error))
        return made.pin_memory() if self._pin else made
