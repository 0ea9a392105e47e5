"""Blocks of memory that several processes map: forked ones by inheritance, others of the machine by a path."""

from __future__ import annotations

import mmap
import os
from dataclasses import dataclass

from lehr.runtime.reading import open_file


@dataclass(frozen=True, slots=True, eq=False)
class SharedBlock:
    """A block of memory.

    Attributes:
        memory: its bytes, at first 0.
        path: the path by which processes that are not children find it; None if they cannot.
        handle: descriptor of the memory as a file; None if it has none.
    """

    memory: mmap.mmap
    path: str | None = None
    handle: int | None = None


def shared_block(size: int, name: str, shared: bool = False) -> SharedBlock:
    """Make a block of memory, which goes with the last process that maps it, however that ends.

    It needs no room in /dev/shm, and takes memory only where it has been written to.

    Args:
        size: bytes, at least 1.
        name: its name in lists of a system's open files.
        shared: processes that are not children of this one will map it, where the system can do it.

    Raises:
        OSError: the system does not give so much.
    """
    if not shared or not hasattr(os, "memfd_create"):
        return SharedBlock(mmap.mmap(-1, size))
    handle = os.memfd_create(name)  # stays open as long as this process, for those that come later
    os.truncate(handle, size)
    return SharedBlock(mmap.mmap(handle, size), f"/proc/{os.getpid()}/fd/{handle}", handle)


def map_block(path: str) -> SharedBlock:
    """Map a block that another process of this machine has made, or a file, to read it.

    Args:
        path: of the block.

    Raises:
        OSError: it is not there any more.
    """
    with open_file(path) as file:
        return SharedBlock(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path)


def map_writable(path: str) -> SharedBlock:
    """Map a block that another process of this machine has made, to write to it too.

    Args:
        path: of the block.

    Raises:
        OSError: it is not there any more.
    """
    handle = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    return SharedBlock(mmap.mmap(handle, 0), path, handle)
