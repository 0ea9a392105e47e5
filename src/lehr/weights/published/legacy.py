"""Checkpoints as torch wrote them before version 1.6: pickles one behind the other, then blocks of numbers.

The pickles are a number that says what it is, a version, facts about the machine, the content, and the names of the
blocks; each block begins with the number of its numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lehr.runtime.stored_zip import Entry
from lehr.weights.published.program import Program
from lehr.weights.published.stand_in import Refused
from lehr.weights.published.tensors import Storage, Storages

MAGIC, VERSION = 0x1950A86A20F9469CFC6C, 1001
COUNT_LENGTH = 8


def follow_legacy(data: bytes, size: int, count_at: Callable[[int], bytes]) -> tuple[Any, list[tuple[Storage, Entry]]]:
    """Return the content of a checkpoint of the old form, and where the file has each block of its numbers.

    Args:
        data: the file, or as much of it as its pickles can have.
        size: bytes of the file.
        count_at: reads the eight bytes at an offset of the file.

    Raises:
        Refused: it is a pickle of something else, is damaged, or names something that no checkpoint needs.
    """
    nothing = Storages(0)
    first = Program(data, nothing)
    if first.follow() != MAGIC:
        raise Refused("is a pickle, and no checkpoint that torch.save wrote. Give the .pt file of a training.")
    version = Program(data, nothing, first.at)
    if version.follow() != VERSION:
        raise Refused("was written by a torch before version 0.2, or is damaged. Save it again with a later one.")
    machine = Program(data, nothing, version.at)
    facts = machine.follow()
    if type(facts) is not dict or facts.get("little_endian") is not True:
        raise Refused("has its numbers in the order of another kind of machine (big-endian), which is not read.")
    storages = Storages(size)
    program = Program(data, storages, machine.at)
    content = program.follow()
    names = Program(data, nothing, program.at)
    keys = names.follow()
    return content, _places(keys, storages.by_key, names.at, size, count_at)


def _places(
    keys: Any, storages: dict[str, Storage], start: int, size: int, count_at: Callable[[int], bytes]
) -> list[tuple[Storage, Entry]]:
    """The place of each block in the file.

    Args:
        keys: names of the blocks, in the order of the file.
        storages: those that the content is made of.
        start: the first byte behind the pickles.
        size: bytes of the file.
        count_at: reads eight bytes at an offset.
    """
    if type(keys) is not list or not all(type(key) is str for key in keys) or sorted(keys) != sorted(storages):
        raise Refused("is damaged: its blocks of numbers are not those that it describes. Copy it again.")
    places = []
    for key in keys:
        storage = storages[key]
        if count_at(start) != storage.count.to_bytes(COUNT_LENGTH, "little"):
            raise Refused("is cut off or damaged: a block of numbers is not as long as it should be. Copy it again.")
        places.append((storage, Entry(start + COUNT_LENGTH, storage.length, 0)))
        start += COUNT_LENGTH + storage.length
    if start > size:
        raise Refused("is cut off: its last numbers are missing. Copy it again.")
    return places
