"""Batches on their way from loading processes: large tensors in shared memory, or in the pipe if there is none.

torch shares tensors by files in /dev/shm, of which a container has 64 MB unless it is given more, and hands their
descriptors over by a socket in the folder of temporary files. It does so in a thread of the loading process: failures
there are lost, and the run would wait for that batch forever. So a batch is packed where failures are visible, and then
goes through the pipe, which is slower but needs none of this.
"""

from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
from dataclasses import dataclass
from multiprocessing.reduction import ForkingPickler
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor

from lehr.data.batch import Batch

SMALL = 2**15
"""Bytes up to which a tensor always goes through the pipe: it is not worth a separate file."""
NOTHING = torch.empty(0)
SHORTAGES = (errno.ENOSPC, errno.EACCES, errno.EPERM, errno.ENOENT, errno.EROFS, errno.ENOSYS)
"""Errors by which a system says that there is no /dev/shm, or no room in it."""


@dataclass(frozen=True, slots=True)
class InPipe:
    """A tensor's content.

    Attributes:
        values: in the order in which they are in memory.
        order: which dimension of the tensor each of theirs is.
    """

    values: NDArray[Any]
    order: tuple[int, ...]

    def tensor(self) -> Tensor:
        """Return the tensor, with its original layout."""
        back = [self.order.index(dimension) for dimension in range(len(self.order))]
        return torch.from_numpy(self.values).permute(back)


@dataclass(frozen=True, slots=True)
class Unpacked:
    """A received batch.

    Attributes:
        batch: None if its shared memory cannot be reached from this process.
        trouble: why shared memory could not be used; empty if it could.
    """

    batch: Batch | None
    trouble: str


@dataclass(frozen=True, slots=True)
class Parcel:
    """A batch that is packed.

    Attributes:
        content: its parts, pickled; tensors in shared memory are named in it.
        trouble: why shared memory could not be used; empty if it could.
    """

    content: bytes
    trouble: str = ""

    def unpack(self) -> Unpacked:
        """Return the batch."""
        try:
            hollow, parts = pickle.loads(self.content)
        except (OSError, RuntimeError, EOFError, multiprocessing.ProcessError) as error:
            return Unpacked(None, f"shared memory cannot be reached ({error})")
        rest = iter(parts)

        def filled(_: Tensor) -> Tensor:
            part = next(rest)
            return part.tensor() if isinstance(part, InPipe) else part

        return Unpacked(hollow.map(filled), self.trouble)

    def pin_memory(self) -> Unpacked:
        """Return the batch in page-locked memory; called by the thread of torch's loader."""
        unpacked = self.unpack()
        return unpacked if unpacked.batch is None else Unpacked(unpacked.batch.pin_memory(), self.trouble)


def pack(batch: Batch) -> Parcel:
    """Pack a batch, its large tensors into shared memory if that is possible."""
    try:
        return Parcel(_content(batch, shared=True))
    except (OSError, RuntimeError) as error:
        return Parcel(_content(batch, shared=False), str(error).splitlines()[0])


def _content(batch: Batch, shared: bool) -> bytes:
    """Pickle a batch.

    Raises:
        OSError: shared memory cannot be had, or not be handed over.
        RuntimeError: likewise.
    """
    parts: list[Tensor | InPipe] = []

    def take(tensor: Tensor) -> Tensor:
        large = shared and tensor.nbytes > SMALL
        parts.append(tensor.share_memory_() if large else _in_pipe(tensor))  # type: ignore[no-untyped-call]
        return NOTHING

    hollow = batch.map(take)
    return bytes(ForkingPickler.dumps((hollow, parts)))


def _in_pipe(tensor: Tensor) -> InPipe:
    strides = tensor.stride()
    order = tuple(sorted(range(tensor.ndim), key=lambda dimension: -strides[dimension]))
    return InPipe(tensor.permute(order).contiguous().numpy(), order)


def describe_slow_way(trouble: str) -> str:
    """Report that batches go through pipes, why, and what to do."""
    return f"Batches come from the loading processes through pipes, which is slower: {trouble}. {_remedy(trouble)}"


def describe_no_start(workers: int, error: OSError) -> str:
    """Explain why loading processes cannot be started, and what to do."""
    trouble = os.strerror(error.errno) if error.errno else str(error)
    place = "/dev/shm: " if error.errno in SHORTAGES else ""
    return (
        f"--workers {workers}: the processes that load images cannot be started ({place}{trouble}). "
        f"{_remedy(place + trouble)} Or give --workers 0, which loads in the training process."
    )


def _remedy(trouble: str) -> str:
    if os.strerror(errno.EMFILE) in trouble or os.strerror(errno.ENFILE) in trouble:
        return "Raise the limit of open files, e.g. ulimit -n 4096, or use fewer --workers."
    if os.strerror(errno.EAGAIN) in trouble or os.strerror(errno.ENOMEM) in trouble:
        return "Raise the limit of processes or of memory, or use fewer --workers."
    if "shm" in trouble or "shared memory" in trouble:
        return "Give /dev/shm more room: docker run --shm-size=8g, or --ipc=host."
    return "Check the free space in /dev/shm and in the folder of temporary files (TMPDIR)."
