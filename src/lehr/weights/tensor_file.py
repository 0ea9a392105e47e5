"""Tensors of a safetensors file, read within the bounds of the file itself.

A file is eight bytes of length, a JSON header that says what lies where, and the numbers (the format of Hugging Face's
safetensors). Here the header is checked before memory is taken for a tensor, and numbers are read and not mapped: a
mapped file that another process cuts off ends this process at the next look at it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lehr.runtime.reading import MIB, open_file

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}
METADATA = "__metadata__"
HEADER_LIMIT = 16 * MIB
"""Bytes of a header: those of the longest class names that a model takes, and some thousand tensors."""
MAX_DIMENSIONS, MAX_SIDE = 8, 2**40


class DamagedTensors(ValueError):
    """A file that is no safetensors file, or is cut off, or whose header does not describe the rest."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
        dtype: type of its numbers.
        shape: its shape.
        start: its first byte in the file.
        length: its bytes.
    """

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    length: int


@dataclass(frozen=True, slots=True)
class Header:
    """Header of a safetensors file.

    Attributes:
        metadata: text by name.
        tensors: by name.
        size: bytes of the whole file.
    """

    metadata: dict[str, str]
    tensors: dict[str, StoredTensor]
    size: int


def read_header(path: Path, limit: int | None = None, *, links: bool = True) -> Header:
    """Read what a safetensors file holds, without its numbers; that they fill the file is checked.

    Args:
        path: the file.
        limit: bytes that it may have; None for any number.
        links: whether the path itself may be a symbolic link.

    Raises:
        DamagedTensors: it is none, or cut off, or its header does not describe it.
        OSError: it cannot be read.
    """
    with open_file(path, limit, links=links) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(_read(file, 8), "little")
        if not 2 <= length <= min(HEADER_LIMIT, size - 8):
            raise DamagedTensors("its header is longer than the file, or than a header is")
        text = _read(file, length)
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        raise DamagedTensors("its header is no JSON") from None
    if not isinstance(content, dict):
        raise DamagedTensors("its header is no table")
    metadata = content.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise DamagedTensors("its metadata are no text")
    tensors = {name: _stored(value, 8 + length) for name, value in content.items()}
    _check_filled(tensors.values(), 8 + length, size)
    return Header(metadata, tensors, size)


def read_tensors(path: Path, header: Header, names: Iterable[str], *, links: bool = True) -> dict[str, Tensor]:
    """Read tensors of a safetensors file, each into memory of its own.

    Args:
        path: the file.
        header: of the file.
        names: those of the tensors to read.
        links: whether the path itself may be a symbolic link.

    Raises:
        DamagedTensors: the file is not the one that the header is of, or has been cut off since.
        OSError: it cannot be read.
    """
    with open_file(path, links=links) as file:
        if os.fstat(file.fileno()).st_size != header.size:
            raise DamagedTensors("it has changed while it was read")
        return {name: _tensor(file, header.tensors[name]) for name in names}


def _tensor(file: FileIO, stored: StoredTensor) -> Tensor:
    if stored.length == 0:
        return torch.empty(stored.shape, dtype=stored.dtype)
    file.seek(stored.start)
    data = _read(file, stored.length)
    if stored.dtype is torch.bool:  # any other byte than 0 and 1 is none
        return (torch.frombuffer(data, dtype=torch.uint8) != 0).view(stored.shape)
    return torch.frombuffer(data, dtype=stored.dtype).view(stored.shape)


def _read(file: FileIO, count: int) -> bytearray:
    data = bytearray(count)
    view, done = memoryview(data), 0
    while done < count:
        read = file.readinto(view[done:])
        if not read:
            raise DamagedTensors("it is cut off")
        done += read
    view.release()
    return data


def _stored(described: Any, base: int) -> StoredTensor:
    """The tensor that an entry of a header describes.

    Args:
        described: the entry.
        base: the first byte after the header.
    """
    if not isinstance(described, dict) or described.keys() != {"dtype", "shape", "data_offsets"}:
        raise DamagedTensors("its header has an entry that is no tensor")
    name, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    dtype = DTYPES.get(name) if isinstance(name, str) else None
    if dtype is None or not _are_counts(shape, MAX_DIMENSIONS) or not _are_counts(offsets, 2) or len(offsets) != 2:
        raise DamagedTensors("its header has a tensor of an unknown type or shape")
    length = math.prod(shape) * dtype.itemsize
    if offsets[1] - offsets[0] != length:
        raise DamagedTensors("its header has a tensor that is not as long as its shape says")
    return StoredTensor(dtype, tuple(shape), base + offsets[0], length)


def _are_counts(values: Any, most: int) -> bool:
    return (
        isinstance(values, list)
        and len(values) <= most
        and all(type(value) is int and 0 <= value < MAX_SIDE for value in values)
    )


def _check_filled(tensors: Iterable[StoredTensor], base: int, size: int) -> None:
    """Check that tensors lie one behind the other from the header to the end of the file."""
    end = base
    for tensor in sorted(tensors, key=lambda tensor: (tensor.start, tensor.length)):
        if tensor.start != end:
            raise DamagedTensors("its tensors overlap, or leave gaps")
        end += tensor.length
    if end != size:
        raise DamagedTensors("it is cut off, or longer than its header says")
