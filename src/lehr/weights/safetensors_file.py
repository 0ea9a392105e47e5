"""A safetensors file: its header read within the bounds of the file itself, and its bytes.

A file is eight bytes of length, a JSON header that says what lies where, and the numbers (the format of Hugging Face's
safetensors). Here the header is checked before memory is taken for a tensor, and numbers are read and not mapped: a
mapped file that another process cuts off ends this process at the next look at it.

Nothing here needs torch, so that the pages of a run are made without it.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Any

from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.reading import MIB, open_file

ITEM_SIZES = {
    "F64": 8,
    "F32": 4,
    "F16": 2,
    "BF16": 2,
    "I64": 8,
    "I32": 4,
    "I16": 2,
    "I8": 1,
    "U8": 1,
    "BOOL": 1,
}
"""Bytes of a number of each type."""
ORDER = ("I64", "F64", "F32", "I32", "BF16", "F16", "I16", "I8", "U8", "BOOL")
"""Types in the order in which their tensors are written, so that each begins at a multiple of its item."""
METADATA = "__metadata__"
HEADER_LIMIT = 16 * MIB
"""Bytes of a header: those of the longest class names that a model takes, and some thousand tensors."""
MAX_DIMENSIONS, MAX_SIDE = 8, 2**40


class DamagedTensors(ValueError):
    """A file that is not a safetensors file, or is cut off, or whose header does not describe the rest."""


@dataclass(frozen=True, slots=True)
class StoredTensor:
    """A tensor in a file.

    Attributes:
        kind: type of its numbers, as the format writes it, e.g. "F32".
        shape: its shape.
        start: its first byte in the file.
        length: its bytes.
    """

    kind: str
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
        raise DamagedTensors("its header is not JSON") from None
    if not isinstance(content, dict):
        raise DamagedTensors("its header is not a table")
    metadata = content.pop(METADATA, {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise DamagedTensors("its metadata are not text")
    tensors = {name: _stored(value, 8 + length) for name, value in content.items()}
    _check_filled(tensors.values(), 8 + length, size)
    return Header(metadata, tensors, size)


def read_data(
    path: Path, header: Header, names: Iterable[str], *, links: bool = True
) -> Iterator[tuple[str, bytearray]]:
    """Read the bytes of tensors, each into memory of its own.

    Args:
        path: the file.
        header: of the file.
        names: those of the tensors to read.
        links: whether the path itself may be a symbolic link.

    Yields:
        A name and its bytes, in the order of the names.

    Raises:
        DamagedTensors: the file is not the one that the header is of, or has been cut off since.
        OSError: it cannot be read.
    """
    with open_file(path, links=links) as file:
        if os.fstat(file.fileno()).st_size != header.size:
            raise DamagedTensors("it has changed while it was read")
        for name in names:
            stored = header.tensors[name]
            file.seek(stored.start)
            yield name, _read(file, stored.length)


def write_weights(encoded: Iterable[bytes | memoryview], path: Path) -> None:
    """Write a safetensors file; it appears whole or not at all.

    Args:
        encoded: its parts.
        path: the file, a `.safetensors` name.

    Raises:
        InputError: the file cannot be written.
    """
    with atomic_file(path, "Make room, or choose another --project.") as temporary, temporary.open("wb") as file:
        for part in encoded:
            file.write(part)


def encode_header(
    tensors: Mapping[str, tuple[str, Sequence[int]]], metadata: Mapping[str, str]
) -> tuple[bytes, list[str]]:
    """The beginning of a safetensors file, and the names of its tensors in the order in which their bytes follow.

    Args:
        tensors: type and shape by name.
        metadata: text by name.
    """
    names = sorted(tensors, key=lambda name: (ORDER.index(tensors[name][0]), name))
    header: dict[str, object] = {METADATA: dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        kind, shape = tensors[name]
        start, end = end, end + math.prod(shape) * ITEM_SIZES[kind]
        header[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [start, end]}
    return _encode_header(header), names


def sort_metadata(encoded: bytes) -> tuple[bytes | memoryview, ...]:
    """A safetensors file with its metadata sorted by name, in parts: the library writes it in an order of chance."""
    end = 8 + int.from_bytes(encoded[:8], "little")
    header = json.loads(encoded[8:end])
    header[METADATA] = dict(sorted(header[METADATA].items()))
    return _encode_header(header), memoryview(encoded)[end:]


def _encode_header(header: dict[str, object]) -> bytes:
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at multiples of 8
    return len(text).to_bytes(8, "little") + text


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
        raise DamagedTensors("its header has an entry that is not a tensor")
    name, shape, offsets = described["dtype"], described["shape"], described["data_offsets"]
    item = ITEM_SIZES.get(name) if isinstance(name, str) else None
    if item is None or not _are_counts(shape, MAX_DIMENSIONS) or not _are_counts(offsets, 2) or len(offsets) != 2:
        raise DamagedTensors("its header has a tensor of an unknown type or shape")
    length = math.prod(shape) * item
    if offsets[1] - offsets[0] != length:
        raise DamagedTensors("its header has a tensor that is not as long as its shape says")
    return StoredTensor(name, tuple(shape), base + offsets[0], length)


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
