"""A batch as one flat block of memory: one copy moves all of its tensors to a device."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor


class Place(NamedTuple):
    """Position and layout of a tensor in a block.

    Attributes:
        dtype: of its elements.
        shape: of the tensor.
        stride: of the tensor, elements.
        offset: of its first element, bytes from the block's start.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    offset: int


def views(memory: Tensor, places: Sequence[Place]) -> list[Tensor]:
    """Return the tensors that are in a block of memory, or in a copy of it.

    Args:
        memory: uint8 (bytes,), as many as a multiple of `UNIT`.
        places: of the tensors.
    """
    typed = {dtype: memory.view(dtype) for dtype in {place.dtype for place in places}}
    return [
        torch.as_strided(typed[place.dtype], place.shape, place.stride, place.offset // place.dtype.itemsize)
        for place in places
    ]


UNIT = 8
"""Bytes of the largest elements."""

_COPYING: deque[tuple[Any, Tensor]] = deque()
"""Blocks that the device may still read, each with the event after its copy."""


def release_copied() -> None:
    """Release blocks that the device has read, without waiting."""
    while _COPYING and _COPYING[0][0].query():
        _COPYING.popleft()


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A batch's tensors in one block of host memory, reused once unreferenced.

    Attributes:
        memory: uint8 (bytes,), as many as a multiple of `UNIT`.
        places: of the tensors, in the order of `Batch.map`.
        pinned: whether CUDA can copy from it asynchronously.
    """

    memory: Tensor
    places: tuple[Place, ...]
    pinned: bool = False

    def tensors(self) -> list[Tensor]:
        """Return the tensors, as views of the memory."""
        return views(self.memory, self.places)

    def to(self, device: torch.device) -> list[Tensor]:
        """Copy all to a CUDA device at once, asynchronously on the current stream, and return the tensors there.

        Args:
            device: a CUDA device.
        """
        release_copied()
        memory = self.memory if self.pinned else self.memory.pin_memory()
        moved = memory.to(device, non_blocking=True)
        if self.pinned:  # otherwise torch keeps the memory while it is read
            read = torch.cuda.Event()  # type: ignore[no-untyped-call]
            read.record(torch.cuda.current_stream(device))
            _COPYING.append((read, memory))
        return views(moved, self.places)
