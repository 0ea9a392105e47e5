"""Checkpoints of other trainers (`.pt`, `.pth`), read so that nothing in them runs.

`torch.save` writes a ZIP archive: a pickle, and a file for each block of numbers; before torch 1.6 it wrote a few
pickles one behind the other, and the blocks behind them. Both are read here without torch's reader and Python's: the
pickle is followed by `lehr.weights.published.program`, which knows what a checkpoint names and refuses all else.
"""

from __future__ import annotations

import os
from io import FileIO
from pathlib import Path
from typing import Any

import torch

from lehr.errors import InputError
from lehr.runtime.reading import GIB, MIB, TooLarge, open_file
from lehr.runtime.stored_zip import DamagedArchive, Entry, list_entries
from lehr.weights.foreign import describe_foreign
from lehr.weights.published.legacy import follow_legacy
from lehr.weights.published.program import Program
from lehr.weights.published.stand_in import Refused
from lehr.weights.published.tensors import Storage, Storages
from lehr.weights.published.unfolded import check_extent

MAX_FILE, MAX_PICKLE = 4 * GIB, 32 * MIB
"""Bytes of a checkpoint, and of its pickle; those of the largest published networks have 1 GB and 1 MB."""
ZIPPED, PICKLED, TAR, TAR_AT = b"PK\x03\x04", b"\x80", b"ustar", 257
"""First bytes of the forms; those of a tar archive come later."""
PICKLE, BLOCKS, ORDER = "data.pkl", "data/", "byteorder"


def read_torch_file(path: Path) -> Any:
    """Read a checkpoint of another trainer; nothing in it runs.

    Args:
        path: a file that `torch.save` wrote.

    Returns:
        Dictionaries, lists, tuples, sets, text, numbers and None; tensors on the CPU, as they are in the file; a
        `StandIn` for each object of a known class, such as modules, and a `Name` for a class or function. All of it is
        a tree of bounded size: nothing holds itself.

    Raises:
        InputError: it is missing, is no such file, is damaged, or names something that no checkpoint needs.
    """
    try:
        with open_file(path, MAX_FILE) as file:
            return _content(file)
    except (Refused, DamagedArchive) as error:
        raise InputError(f"{path}: {error}") from None
    except _Foreign:
        raise InputError(f"{path}: {describe_foreign(path)}") from None
    except TooLarge as error:
        raise InputError(f"{path}: {error.strerror}.") from None
    except OSError as error:
        if not path.is_file():
            raise InputError(f"{path}: {describe_foreign(path)}") from None
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except MemoryError:
        raise InputError(f"{path}: there is too little memory to read it. Close other programs.") from None


class _Foreign(Exception):
    """A file of another kind."""


def _content(file: FileIO) -> Any:
    size = os.fstat(file.fileno()).st_size
    head = read_at(file, 0, TAR_AT + len(TAR))
    if head.startswith(ZIPPED):
        return _from_archive(file, size)
    if head[TAR_AT:] == TAR:
        raise Refused("is a tar archive, and no checkpoint that torch.save wrote. Unpack it, and give the .pt file.")
    if head[:1] != PICKLED:
        raise _Foreign
    data = read_at(file, 0, min(size, MAX_PICKLE))
    content, places = follow_legacy(data, size, lambda start: read_at(file, start, 8))
    check_extent(content)
    fill(file, places)
    return content


def _from_archive(file: FileIO, size: int) -> Any:
    entries = list_entries(lambda start, count: read_at(file, start, count), size)
    folder = _folder(entries)
    program = entries[f"{folder}/{PICKLE}"]
    if program.length > MAX_PICKLE:
        raise Refused(f"has a pickle of more than {MAX_PICKLE // MIB} MB, as no checkpoint has.")
    data = read_at(file, program.start, program.length)
    if not program.fits(data):
        raise Refused("is damaged: the checksum of its pickle is wrong. Copy it again.")
    order = entries.get(f"{folder}/{ORDER}")
    if order is not None and read_at(file, order.start, min(order.length, 16)) not in (b"little", b""):
        raise Refused("has its numbers in the order of another kind of machine (big-endian), which is not read.")
    prefix = f"{folder}/{BLOCKS}"
    blocks = {name.removeprefix(prefix): entry for name, entry in entries.items() if name.startswith(prefix)}
    storages = Storages(size, {key: entry.length for key, entry in blocks.items()})
    content = Program(data, storages).follow()
    check_extent(content)
    fill(file, [(storage, blocks[key]) for key, storage in storages.by_key.items()])
    return content


def _folder(entries: dict[str, Entry]) -> str:
    """The folder that all entries are in.

    Raises:
        Refused: the archive is of another kind.
    """
    folders = {name.partition("/")[0] for name in entries}
    inner = {name.partition("/")[2] for name in entries}
    if "constants.pkl" in inner or any(name.startswith("code/") for name in inner):
        raise Refused(
            "is a TorchScript export, which holds a program instead of a checkpoint. Give the checkpoint (.pt) that it "
            "was exported from."
        )
    if len(folders) != 1 or PICKLE not in inner:
        raise Refused("is a ZIP archive, and none that torch.save wrote. Give the .pt file itself.")
    return folders.pop()


def fill(file: FileIO, places: list[tuple[Storage, Entry]]) -> None:
    """Read blocks of numbers into the memory that tensors have been made of, in the order of the file."""
    for storage, entry in sorted(places, key=lambda place: place[1].start):
        if storage.length == 0:
            continue
        raw = storage.numbers.view(torch.uint8)
        view = raw.numpy().data
        read_into(file, entry.start, view)
        if not entry.fits(view):
            raise Refused("is damaged: the checksum of a block of its numbers is wrong. Copy it again.")
        if storage.dtype is torch.bool:  # any other byte than 0 and 1 is none
            raw.clamp_(max=1)


def read_into(file: FileIO, start: int, view: memoryview) -> None:
    """Fill memory with bytes of a file.

    Raises:
        Refused: the file ends before.
    """
    file.seek(start)
    done = 0
    while done < len(view):
        count = file.readinto(view[done:])
        if not count:
            raise Refused("is cut off. Copy it again.")
        done += count


def read_at(file: FileIO, start: int, count: int) -> bytes:
    """Bytes of a file from an offset on, `count` at most."""
    file.seek(start)
    parts: list[bytes] = []
    while count > 0 and (part := file.read(count)):
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
