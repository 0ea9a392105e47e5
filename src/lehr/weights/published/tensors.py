"""Tensors of a checkpoint: blocks of numbers that a pickle refers to, and the views of them that it describes.

Each block is taken into memory once, at most as much as the file has bytes; sizes, strides and offsets are checked
before anything is made of them.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from lehr.runtime.reading import MIB
from lehr.weights.published.names import STORAGES, readable, shown_value
from lehr.weights.published.stand_in import Name, Refused

MAX_DIMENSIONS, MAX_SIDE, MAX_TENSORS = 8, 2**40, 50_000
NOTHING = torch.empty(0)
SHARED, FREE = 4, 32 * MIB
"""Tensors together may be so many times the file and so many bytes more: copies of weights, and small ones expanded."""


@dataclass(slots=True)
class Storage:
    """A block of numbers of a file.

    Attributes:
        key: its name.
        dtype: type of the numbers; None if tensors say it.
        count: how many; bytes if there is no type.
        numbers: 1-D; filled when the file has been followed to its end.
    """

    key: str
    dtype: torch.dtype | None
    count: int
    numbers: Tensor

    @property
    def length(self) -> int:
        """Bytes."""
        return self.count * (self.dtype.itemsize if self.dtype else 1)


@dataclass(frozen=True, slots=True)
class StoragePart:
    """Part of a block that a pickle refers to; mostly the whole.

    Attributes:
        storage: the block.
        start: its first number.
        count: how many numbers.
    """

    storage: Storage
    start: int
    count: int


class Storages:
    """The blocks that a pickle refers to.

    Args:
        size: bytes of the file.
        lengths: bytes of each block by its name, if they are known already.
    """

    def __init__(self, size: int, lengths: Mapping[str, int] | None = None) -> None:
        self.by_key: dict[str, Storage] = {}
        self._lengths, self._bytes_left = lengths, size
        self._tensor_bytes_left, self._tensors = SHARED * size + FREE, 0

    def refer(self, reference: Any) -> Any:
        """Return the part of a block that a persistent id of a pickle stands for; or a class with its source code.

        Raises:
            Refused: it stands for none.
        """
        if type(reference) is not tuple or len(reference) < 2:
            raise Refused("is damaged: it refers to something that is not a tensor. Copy it again.")
        if reference[0] == "module" and len(reference) == 4 and isinstance(reference[1], Name):
            return reference[1]  # old files bring along the source code of classes; it is not looked at
        if reference[0] != "storage" or len(reference) not in (5, 6):
            raise Refused("is damaged: it refers to something that is not a tensor. Copy it again.")
        _, kind, key, _, count, *view = reference
        if not isinstance(kind, Name) or kind.text not in STORAGES:
            raise Refused(f"keeps numbers of a type that is unknown here ({shown_value(kind)}).")
        if type(key) is not str or type(count) is not int or not 0 <= count < MAX_SIDE:
            raise Refused("is damaged: a block of numbers has no name, or no length. Copy it again.")
        storage = self.by_key.get(key)
        if storage is None:
            storage = self._added(key, STORAGES[kind.text], count)
        elif (storage.dtype, storage.count) != (STORAGES[kind.text], count):
            raise Refused(f"is damaged: it describes the block of numbers '{readable(key)}' twice, in two ways.")
        if not view or view[0] is None:
            return StoragePart(storage, 0, count)
        return _part(storage, view[0])

    def _added(self, key: str, dtype: torch.dtype | None, count: int) -> Storage:
        storage = Storage(key, dtype, count, NOTHING)
        if self._lengths is not None and self._lengths.get(key) != storage.length:
            there = self._lengths.get(key)
            held = "is missing" if there is None else f"has {there} bytes"
            raise Refused(f"is damaged: the block of numbers '{readable(key)}' {held} and must have {storage.length}.")
        self._bytes_left -= storage.length
        if self._bytes_left < 0:
            raise Refused("is cut off or damaged: it describes more numbers than it has bytes. Copy it again.")
        storage.numbers = torch.empty(count, dtype=dtype or torch.uint8, device="cpu")
        self.by_key[key] = storage
        return storage

    def rebuild(self, part: Any, offset: Any, shape: Any, strides: Any, dtype: Any = None) -> Tensor:
        """Return a tensor of a block.

        Args:
            part: of the block.
            offset: first number of the tensor.
            shape: its sides.
            strides: of each side, numbers.
            dtype: type of its numbers where the block has none.

        Raises:
            Refused: it is not there, or is more than a tensor can be.
        """
        if not isinstance(part, StoragePart):
            raise Refused("is damaged: a tensor is of something that is not a block of numbers. Copy it again.")
        storage = part.storage
        start, count, dtype = _typed(part, dtype)
        if type(offset) is not int or not _are_counts(shape) or not _are_counts(strides) or len(shape) != len(strides):
            raise Refused(f"is damaged: a tensor has no such shape ({shown_value(shape)}). Copy it again.")
        size = math.prod(shape)
        reach = sum((side - 1) * stride for side, stride in zip(shape, strides, strict=True)) if size else -1
        if not 0 <= offset <= count or offset + reach >= count:
            raise Refused(
                f"is damaged: a tensor of shape {list(shape)} reaches beyond its numbers ({count}). Copy it again."
            )
        self._tensors += 1
        self._tensor_bytes_left -= size * dtype.itemsize
        if self._tensors > MAX_TENSORS or self._tensor_bytes_left < 0:
            raise Refused("describes many times more tensors than it has numbers, as no checkpoint does.")
        return torch.as_strided(storage.numbers.view(dtype), tuple(shape), tuple(strides), start + offset)


def _typed(part: StoragePart, dtype: Any) -> tuple[int, int, torch.dtype]:
    """The first number, count and type of a part's numbers.

    Args:
        part: of a block.
        dtype: the type that a tensor gives, None for that of the block.
    """
    own = part.storage.dtype
    if own is not None and dtype in (None, own):
        return part.start, part.count, own
    typed = isinstance(dtype, torch.dtype) and dtype is not torch.bool  # of which not all bytes are one
    if own is not None or not typed or part.storage.length % dtype.itemsize or part.start:
        raise Refused("is damaged: a tensor is of another type than its numbers. Copy it again.")
    return 0, part.count // dtype.itemsize, dtype


def _part(storage: Storage, view: Any) -> StoragePart:
    """A part of a block, as old files describe it: a name, the first number, and how many."""
    if type(view) is not tuple or len(view) != 3 or not _are_counts(view[1:]) or view[1] + view[2] > storage.count:
        raise Refused("is damaged: a part of a block of numbers is not within it. Copy it again.")
    return StoragePart(storage, view[1], view[2])


def _are_counts(values: Any) -> bool:
    return (
        type(values) in (tuple, list)
        and len(values) <= MAX_DIMENSIONS
        and all(type(value) is int and 0 <= value < MAX_SIDE for value in values)
    )
