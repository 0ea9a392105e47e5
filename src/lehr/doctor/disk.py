"""The disks of data and runs: whether they can be written, how much is free, how fast they are."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

SIZE = 64 * 2**20
"""Bytes written and read back."""
CHUNK_BYTES = 4 * 2**20
SECONDS = 2.0
"""On a slow disk the writing stops after this, and what was written counts."""


@dataclass(frozen=True, slots=True)
class Disk:
    """The disk of a folder. Sizes are bytes, rates bytes per second; None where they could not be measured.

    Attributes:
        purpose: what the folder is for: data, runs or cache.
        folder: the folder, in full.
        measured_in: the folder itself, or its nearest parent that exists.
        error: why nothing can be written there; None where it can.
        total: size of the file system.
        free: what is free of it for this user.
        write_rate: writing a file, until it is on the disk.
        read_rate: reading it back.
        page_cache: whether the reading may have come from memory, since the system cannot be asked to forget a file.
        same_as: purpose of an earlier folder on the same file system, whose rates these are.
    """

    purpose: str
    folder: str
    measured_in: str
    error: str | None
    total: int | None
    free: int | None
    write_rate: float | None
    read_rate: float | None
    page_cache: bool
    same_as: str | None = None


def examine_disks(folders: dict[str, Path]) -> tuple[Disk, ...]:
    """Examine folders; a file system that several are on is measured once.

    Args:
        folders: by purpose; need not exist.
    """
    found: list[Disk] = []
    measured: dict[int, Disk] = {}
    for purpose, folder in folders.items():
        nearest = nearest_existing(folder)
        file_system = nearest.stat().st_dev
        disk = examine_disk(purpose, folder, earlier=measured.get(file_system))
        if disk.error is None:
            measured.setdefault(file_system, disk)
        found.append(disk)
    return tuple(found)


def examine_disk(purpose: str, folder: Path, size: int = SIZE, earlier: Disk | None = None) -> Disk:
    """Write a temporary file, which no kill leaves behind where the system allows it, and read it back.

    Args:
        purpose: what the folder is for.
        folder: the folder; need not exist.
        size: bytes to write.
        earlier: a folder on the same file system: its rates are taken, and this one is only tried for writing.
    """
    nearest = nearest_existing(folder)
    error = write_rate = read_rate = total = free = None
    page_cache = False
    try:
        usage = shutil.disk_usage(nearest)
        total, free = usage.total, usage.free
        if not nearest.is_dir():
            error = f"{nearest} is a file"
        else:
            with tempfile.TemporaryFile(dir=nearest, buffering=0) as opened:
                file = cast(BinaryIO, opened)
                if earlier is not None:
                    file.write(b"\0")
                    write_rate, read_rate, page_cache = earlier.write_rate, earlier.read_rate, earlier.page_cache
                else:
                    write_rate, written = _write(file, size)
                    page_cache = not _forget(file)
                    read_rate = _read(file, written)
    except OSError as problem:
        error = problem.strerror or str(problem)
    return Disk(
        purpose=purpose,
        folder=str(folder.expanduser().absolute()),
        measured_in=str(nearest),
        error=error,
        total=total,
        free=free,
        write_rate=write_rate,
        read_rate=read_rate,
        page_cache=page_cache,
        same_as=earlier.purpose if earlier is not None else None,
    )


def nearest_existing(folder: Path) -> Path:
    """A folder, or the nearest above it that exists."""
    absolute = folder.expanduser().absolute()
    return next((path for path in (absolute, *absolute.parents) if exists(path)), absolute)


def exists(path: Path) -> bool:
    """Return whether the path exists, as far as this user may see."""
    try:
        return path.exists()
    except OSError:  # in a folder of somebody else
        return False


def _write(file: BinaryIO, size: int) -> tuple[float, int]:
    """Measure bytes per second, and the bytes that were written."""
    chunk = os.urandom(CHUNK_BYTES)  # a file system may pack what repeats
    written = 0
    start = time.perf_counter()
    while written < size and time.perf_counter() - start < SECONDS:
        written += file.write(chunk[: size - written])
    os.fsync(file.fileno())
    return written / (time.perf_counter() - start), written


def _forget(file: BinaryIO) -> bool:
    """Ask the system to drop a file from memory, so that it is read from the disk; whether it could be asked."""
    if not hasattr(os, "posix_fadvise"):
        return False
    try:
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    except OSError:
        return False
    return True


def _read(file: BinaryIO, size: int) -> float:
    """Measure bytes per second."""
    file.seek(0)
    start = time.perf_counter()
    while file.read(CHUNK_BYTES):
        pass
    return size / (time.perf_counter() - start)
