"""Pickles and archives of torch's forms, written piece by piece, so that they can be wrong in any one piece."""

from __future__ import annotations

import io
import pickle
import struct
import warnings
import zipfile
from collections.abc import Mapping
from typing import Any

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
EMPTY, MARK, CALL, NEW, BUILD, REFER = b")", b"(", b"R", b"\x81", b"b", b"Q"


def name(module: str, text: str) -> bytes:
    """The instruction that names something."""
    return f"c{module}\n{text}\n".encode()


def late_name(module: str, text: str) -> bytes:
    """The instructions that name something since protocol 4."""
    return value(module) + value(text) + b"\x93"


def value(plain: Any) -> bytes:
    """The instructions that make a plain value."""
    written = pickle.dumps(plain, 2)
    return written[2:-1]


def tuple_of(*parts: bytes) -> bytes:
    """The instructions that make a tuple."""
    return MARK + b"".join(parts) + b"t"


def list_of(*parts: bytes) -> bytes:
    """The instructions that make a list."""
    return b"](" + b"".join(parts) + b"e"


def table(**entries: bytes) -> bytes:
    """The instructions that make a dictionary."""
    return b"}(" + b"".join(value(key) + entry for key, entry in entries.items()) + b"u"


def call(function: bytes, *args: bytes) -> bytes:
    """The instructions that call a function."""
    return function + tuple_of(*args) + CALL


def made(kind: bytes, state: bytes | None = None) -> bytes:
    """The instructions that make an object of a class, with a state."""
    return kind + EMPTY + NEW + (state + BUILD if state is not None else b"")


def program(*parts: bytes, protocol: int = 2) -> bytes:
    """A whole pickle."""
    return bytes((0x80, protocol)) + b"".join(parts) + b"."


def block(key: str = "0", count: int = 4, kind: tuple[str, str] = ("torch", "FloatStorage")) -> bytes:
    """The instructions that refer to a block of numbers."""
    return tuple_of(value("storage"), name(*kind), value(key), value("cpu"), value(count)) + REFER


def old_block(key: str = "0", count: int = 4, view: Any = None) -> bytes:
    """The instructions that refer to a block of numbers in a file of the old form."""
    parts = (value("storage"), name("torch", "FloatStorage"), value(key), value("cpu"), value(count), value(view))
    return tuple_of(*parts) + REFER


def tensor(of: bytes | None = None, offset: Any = 0, shape: Any = (4,), strides: Any = (1,)) -> bytes:
    """The instructions that make a tensor."""
    hooks = name("collections", "OrderedDict") + EMPTY + CALL
    parts = (of or block(), value(offset), value(shape), value(strides), b"\x89", hooks)
    return call(name("torch._utils", "_rebuild_tensor_v2"), *parts)


NUMBERS = struct.pack("<4f", 1, 2, 3, 4)
BLOCKS = {"0": NUMBERS}


def archive(pickled: bytes, blocks: Mapping[str, bytes] = BLOCKS, folder: str = "w/", **more: bytes) -> bytes:
    """An archive as `torch.save` writes it.

    Args:
        pickled: its pickle.
        blocks: of numbers, by name.
        folder: before all names.
        more: further entries by name, with `_` for a dot.
    """
    entries = {"data.pkl": pickled, "byteorder": b"little"}
    entries |= {f"data/{key}": numbers for key, numbers in blocks.items()} | {"version": b"3\n"}
    entries |= {key.replace("_", "."): data for key, data in more.items()}
    return zipped({f"{folder}{key}": data for key, data in entries.items()})


def zipped(entries: Mapping[str, bytes] | list[tuple[str, bytes]], method: int = zipfile.ZIP_STORED) -> bytes:
    """A ZIP archive of entries."""
    file = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(file, "w", method) as written:
        warnings.simplefilter("ignore", UserWarning)  # a name that is there twice
        for key, data in entries.items() if isinstance(entries, Mapping) else entries:
            written.writestr(zipfile.ZipInfo(key), data, method)
    return file.getvalue()


def legacy(
    pickled: bytes,
    blocks: Mapping[str, bytes] | list[tuple[str, bytes]] = BLOCKS,
    *,
    magic: Any = MAGIC,
    version: Any = VERSION,
    machine: Any = None,
    keys: Any = None,
    counts: Mapping[str, int] | None = None,
) -> bytes:
    """A checkpoint of the old form.

    Args:
        pickled: the pickle of its content.
        blocks: of numbers, by name.
        magic: its first number.
        version: its second.
        machine: facts about the machine; None for the usual ones.
        keys: names of the blocks; None for those of the blocks.
        counts: how many numbers a block says that it has, where it lies.
    """
    pairs = list(blocks.items()) if isinstance(blocks, Mapping) else blocks
    facts = {"protocol_version": VERSION, "little_endian": True} if machine is None else machine
    parts = [pickle.dumps(each, 2) for each in (magic, version, facts)]
    parts += [pickled, pickle.dumps([key for key, _ in pairs] if keys is None else keys, 2)]
    for key, numbers in pairs:
        parts += [struct.pack("<q", (counts or {}).get(key, len(numbers) // 4)), numbers]
    return b"".join(parts)
