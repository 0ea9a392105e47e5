"""A batch as one flat block of memory: one copy brings all of its tensors to a device."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
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

    @property
    def nbytes(self) -> int:
        """Bytes of the tensor, which is dense."""
        return torch.Size(self.shape).numel() * self.dtype.itemsize

    def view(self, memory: Tensor) -> Tensor:
        """Return the tensor that lies in a block, uint8 (bytes,), or in a copy of it."""
        flat = memory[self.offset : self.offset + self.nbytes].view(self.dtype)
        return flat.as_strided(self.shape, self.stride)


_COPYING: deque[tuple[Any, Tensor]] = deque()
"""Blocks that the device may still read, each with the event behind its copy."""


def release_copied() -> None:
    """Let go of the blocks that the device has read; nothing is waited for."""
    while _COPYING and _COPYING[0][0].query():
        _COPYING.popleft()


@dataclass(frozen=True, slots=True, eq=False)
class Block:
    """A batch's tensors in one piece of the host's memory, which is used again once nothing refers to it.

    Attributes:
        memory: uint8 (bytes,).
        places: of the tensors, in the order of `Batch.map`.
        pinned: whether CUDA can copy from it while the host goes on.
    """

    memory: Tensor
    places: tuple[Place, ...]
    pinned: bool = False

    def tensors(self) -> Iterator[Tensor]:
        """Give the tensors, as views of the memory."""
        return (place.view(self.memory) for place in self.places)

    def to(self, device: torch.device) -> Iterator[Tensor]:
        """Copy all to a CUDA device at once, on the current stream, and give the tensors there; the host goes on.

        Args:
            device: a CUDA device.
        """
        memory = self.memory if self.pinned else self.memory.pin_memory()
        moved = memory.to(device, non_blocking=True)
        if self.pinned:  # else torch keeps the memory for as long as it is read
            read = torch.cuda.Event()  # type: ignore[no-untyped-call]
            read.record(torch.cuda.current_stream(device))
            _COPYING.append((read, memory))
        return (place.view(moved) for place in self.places)
