"""Reading many small files with several threads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from typing import TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")

READERS = 4
"""Threads; more of them only wait for each other, and fewer for slow disks."""
CHUNK = 64
"""Files that a thread reads before it asks for more."""


def read_many(read: Callable[[Item], Result], items: Sequence[Item]) -> list[Result]:
    """Results of a function for each item, in their order, by several threads where there are many.

    Args:
        read: reads a file.
        items: its arguments.
    """

    def read_chunk(start: int) -> list[Result]:
        return [read(item) for item in items[start : start + CHUNK]]

    if len(items) <= CHUNK:
        return read_chunk(0)
    with ThreadPoolExecutor(READERS) as pool:
        return list(chain.from_iterable(pool.map(read_chunk, range(0, len(items), CHUNK))))
