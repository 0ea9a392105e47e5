"""Ring of shared memory: loading processes write each batch where the device reads it.

The memory is anonymous and mapped before the processes are forked, so it needs no file and no room in /dev/shm. Its
pages stay: no batch pays for fresh ones, and none is copied on its way. CUDA page-locks it once, so that the device
copies from it asynchronously. A message names a slot and the places of the tensors in it.
"""

from __future__ import annotations

import contextlib
import math
import mmap
import os
import weakref
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import DTypeLike, NDArray
from torch import Tensor

from lehr.data.batch import Batch
from lehr.data.block import UNIT, Block, Place, release_copied, views

ALIGNMENT = 256
"""Bytes; what CUDA aligns its own allocations to, so that any access of a kernel is aligned."""
POPULATE = 23
"""MADV_POPULATE_WRITE of Linux 5.14: allocate all pages at once."""
PORTABLE = 1
"""cudaHostRegisterPortable: page-locked for all devices of the process."""


def empty_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an uninitialized array in separate memory."""
    return np.empty(shape, dtype)


Empty = Callable[[tuple[int, ...], DTypeLike], NDArray[Any]]
"""Gives an array of a shape and type whose content is arbitrary."""


class Arena:
    """A slot's memory, given out piece after piece.

    Args:
        memory: uint8 (bytes,), as many as a multiple of `UNIT`.
    """

    def __init__(self, memory: NDArray[np.uint8]) -> None:
        self._memory = memory
        self._start = memory.ctypes.data
        self.used = 0

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
        """Return an array in the slot, or in separate memory if the slot has too little room."""
        start = self._next(math.prod(shape) * np.dtype(dtype).itemsize)
        if start is None:
            return empty_array(shape, dtype)
        return self._memory[start : self.used].view(dtype).reshape(shape)

    def place(self, tensor: Tensor) -> Place | None:
        """Return where a dense tensor is in the slot, copied there if it does not yet; None without room."""
        offset = tensor.data_ptr() - self._start
        if tensor.numel() > 0 and 0 <= offset < len(self._memory):
            return Place(tensor.dtype, tuple(tensor.shape), tensor.stride(), offset)
        if (start := self._next(tensor.nbytes)) is None:
            return None
        stride = torch.empty_like(tensor, device="meta").stride()
        place = Place(tensor.dtype, tuple(tensor.shape), stride, start)
        if tensor.numel() > 0:
            views(torch.from_numpy(self._memory), (place,))[0].copy_(tensor)
        return place

    def _next(self, nbytes: int) -> int | None:
        """Take the next bytes, and return where they begin; None without room."""
        start = -(-self.used // ALIGNMENT) * ALIGNMENT
        if start + nbytes > len(self._memory):
            return None
        self.used = start + nbytes
        return start


class InSlot(NamedTuple):
    """Message that a batch is in a slot.

    Attributes:
        slot: its number.
        used: bytes of it that the batch takes.
        places: of the batch's tensors, in the order of `Batch.map`.
        hollow: the batch without its tensors.
    """

    slot: int
    used: int
    places: tuple[Place, ...]
    hollow: Batch


def place_batch(batch: Batch, arena: Arena, slot: int) -> InSlot | None:
    """Bring all tensors of a batch into a slot; None if it has too little room.

    Args:
        batch: its large tensors best in the slot already.
        arena: the slot's memory.
        slot: its number.
    """
    places: list[Place | None] = []

    def take(tensor: Tensor) -> Any:
        places.append(arena.place(tensor))

    hollow = batch.map(take)
    there = tuple(place for place in places if place is not None)
    used = -(-arena.used // UNIT) * UNIT
    return InSlot(slot, used, there, hollow) if len(there) == len(places) else None


class Ring:
    """Slots of shared memory, each of which one loading process writes to; so it maps the pages of few.

    A slot that was assigned to a request is free again once its batch is unreferenced.

    Args:
        slot_bytes: room of a slot.
        slots: how many there are.
        workers: loading processes, which the slots are dealt to.

    Raises:
        OSError: the system does not have enough memory.
    """

    def __init__(self, slot_bytes: int, slots: int, workers: int) -> None:
        self.slot_bytes = -(-slot_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self.workers = workers
        self._mapping = mmap.mmap(-1, slots * self.slot_bytes)  # shared and anonymous
        self._memory = np.frombuffer(self._mapping, np.uint8)
        self._free = [list(range(worker, slots, workers)) for worker in range(workers)]
        self._used: dict[int, weakref.ref[Any]] = {}
        self._pinned: bool | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return len(self._memory)

    def free(self, worker: int) -> int:
        """Return how many slots a loading process has to write to, now that the device may have read some."""
        release_copied()
        return len(self._free[worker])

    def take(self, worker: int) -> int | None:
        """Take a free slot of a loading process; None if none is free."""
        return self._free[worker].pop() if self._free[worker] else None

    def give_back(self, slot: int) -> None:
        """Make a slot free again."""
        self._used.pop(slot, None)
        self._free[slot % self.workers].append(slot)

    def populate(self, worker: int) -> None:
        """Allocate all pages of a loading process's slots before it writes to them."""
        with contextlib.suppress(OSError, ValueError):  # a system without it maps a page when it is first written to
            for slot in self._free[worker]:
                self._mapping.madvise(POPULATE, slot * self.slot_bytes, self.slot_bytes)

    def arena(self, slot: int) -> Arena:
        """Return a slot's memory, to be written to from its start."""
        return Arena(self._memory[slot * self.slot_bytes : (slot + 1) * self.slot_bytes])

    def batch(self, message: InSlot) -> Batch:
        """Return the batch that a message names. Its slot is free again when nothing refers to its images and boxes."""
        start = message.slot * self.slot_bytes
        array = self._memory[start : start + message.used]  # an object of its own, which lives as long as its tensors
        self._used[message.slot] = weakref.ref(array, lambda _: self.give_back(message.slot))
        block = Block(torch.from_numpy(array), message.places, bool(self._pinned))
        rest = iter(block.tensors())
        return message.hollow.map(lambda _: next(rest)).in_block(block)

    def pin(self) -> bool:
        """Page-lock the memory for CUDA, and return whether that is done; once, however often it is called."""
        if self._pinned is None:
            address = self._memory.ctypes.data
            code = torch.cuda.cudart().cudaHostRegister(address, self.nbytes, PORTABLE)  # type: ignore[no-untyped-call]
            self._pinned = int(code) == 0
            if self._pinned:
                weakref.finalize(self, _unpin, address, self._memory, os.getpid())
            else:
                with contextlib.suppress(RuntimeError):  # the next kernel would report the error as its own
                    torch.ones(1, device="cuda").add_(1)
        return self._pinned


def _unpin(address: int, memory: NDArray[np.uint8], process: int) -> None:
    """Undo what `Ring.pin` did, once the device has finished reading; in the process that did it."""
    if os.getpid() == process:
        with contextlib.suppress(RuntimeError):
            torch.cuda.synchronize()
            release_copied()
            torch.cuda.cudart().cudaHostUnregister(address)  # type: ignore[no-untyped-call]
    del memory  # which had to stay until now
