"""An index of what was read of a data set's images and label files, so that the next start does not read them again.

It is in the cache folder, one file per data set. Files whose size, times or inode have changed are read again; an index
that is damaged, or was written by another version, is not used. It holds numbers and JSON, nothing executable.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import os
import tempfile
import time
import zipfile
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.data.limits import SCAN_INDEX_BYTES
from lehr.runtime.cache_folder import cache_folder
from lehr.runtime.ownership import is_own_file, private_folder
from lehr.runtime.reading import MIB, read_file
from lehr.version import __version__

MIN_IMAGES = 500
"""Smaller data sets are read as quickly as an index of them."""
MAGIC = b"lehr scan index\n"
DIGEST_BYTES = 16
RACY_SECONDS = 0.1
"""A file that changed this recently before it was read may change again undetectably."""
COARSE_SECONDS = 2.0
"""The same where a file system counts whole seconds."""
MAX_AGE_SECONDS = 90 * 24 * 3600.0
"""Indexes that were not used for so long are removed."""
CHUNK, THREADS = 512, 8
QUICK_SECONDS = 50e-6
"""An answer of a disk of this machine takes less, one from the network more."""
GONE = -1

Stamps = NDArray[np.int64]
"""(files, 4): size, times of the last change of content and of inode in nanoseconds, inode; all -1 without a file."""


@dataclass(frozen=True, slots=True, eq=False)
class ScanIndex:
    """Contents of an index.

    Attributes:
        names: the images, in order.
        stamps: (images, 8) of each image and its label file, as they were when they were read; -2 throughout where
            nothing can be relied on.
        arrays: what was read, by name.
        rest: what is not an array, as JSON has it.
    """

    names: tuple[str, ...]
    stamps: Stamps
    arrays: Mapping[str, NDArray[Any]]
    rest: Mapping[str, Any]


def stamp_files(paths: Sequence[str]) -> Stamps:
    """Ask the system for the size, times and inode of files; several at a time where each answer takes long."""
    started = time.perf_counter()
    rows = [_stamp(path) for path in paths[:CHUNK]]
    rest = paths[len(rows) :]
    if time.perf_counter() - started < QUICK_SECONDS * len(rows):  # threads would only slow each other down
        rows += [_stamp(path) for path in rest]
    else:
        chunks = [rest[start : start + CHUNK] for start in range(0, len(rest), CHUNK)]
        with ThreadPoolExecutor(THREADS) as pool:
            rows += chain.from_iterable(pool.map(lambda chunk: [_stamp(path) for path in chunk], chunks))
    return np.array(rows, np.int64).reshape(-1, 4)


def _stamp(path: str) -> tuple[int, int, int, int]:
    try:
        status = os.stat(path)  # noqa: PTH116 (half the time of Path.stat)
    except (OSError, ValueError):
        return GONE, GONE, GONE, GONE
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino


def reliable(stamps: Stamps, read_at: float) -> Stamps:
    """Mark the stamps of files that changed shortly before they were read as no stamp at all.

    Args:
        stamps: (images, 8).
        read_at: time before the reading, seconds.
    """
    times = stamps[:, (1, 2, 5, 6)]
    margin = np.where((times % 10**9 == 0).all(1), COARSE_SECONDS, RACY_SECONDS)
    racy = times.max(1, initial=0) > (read_at - margin) * 1e9
    return np.where(racy[:, None], np.int64(-2), stamps)


def load_index(key: str) -> ScanIndex | None:
    """Load the index of a data set; None if there is none, or none that is whole and of this version.

    Args:
        key: names the data set.
    """
    path = _file_of(key)
    if not is_own_file(path):
        return None
    try:
        data = read_file(path, SCAN_INDEX_BYTES, links=False)
        start = len(MAGIC) + DIGEST_BYTES
        if data[: len(MAGIC)] != MAGIC or data[len(MAGIC) : start] != _digest(data[start:]):
            return None
        with np.load(io.BytesIO(data[start:]), allow_pickle=False) as content:
            if sum(each.file_size for each in content.zip.infolist()) > len(data):
                return None  # it is written without compression
            arrays = {name: content[name] for name in content.files}
        head = json.loads(arrays.pop("head").tobytes())
        if head["version"] != _version() or head["key"] != key:
            return None
        names = (
            tuple(os.fsdecode(name) for name in arrays.pop("names").tobytes().split(b"\0")) if head["images"] else ()
        )
        stamps = arrays.pop("stamps")
    except (OSError, ValueError, LookupError, TypeError, AttributeError, EOFError, zipfile.BadZipFile):
        return None
    except (MemoryError, RecursionError):  # numbers or JSON that Lehr did not write
        return None
    if len(names) != head["images"] or stamps.shape != (len(names), 8) or stamps.dtype != np.int64:
        return None
    with contextlib.suppress(OSError):
        os.utime(path)  # it is in use
    return ScanIndex(names, stamps, arrays, head["rest"])


def save_index(key: str, index: ScanIndex) -> None:
    """Save the index of a data set; where the cache folder cannot be written, do nothing.

    Args:
        key: names the data set.
        index: what it holds.
    """
    head = {"version": _version(), "key": key, "images": len(index.names), "rest": index.rest}
    arrays: dict[str, Any] = {
        "head": np.frombuffer(json.dumps(head).encode(), np.uint8),
        "names": np.frombuffer(os.fsencode("\0".join(index.names)), np.uint8),
        "stamps": index.stamps,
        **index.arrays,
    }
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    body, path = buffer.getvalue(), _file_of(key)
    with contextlib.suppress(OSError):
        private_folder(path.parent.parent)
        private_folder(path.parent)
        handle, temporary = tempfile.mkstemp(prefix=".scan-", dir=path.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines((MAGIC, _digest(body), body))
            Path(temporary).replace(path)
        finally:
            Path(temporary).unlink(missing_ok=True)
        _remove_old(path.parent)


def _remove_old(folder: Path) -> None:
    limit = time.time() - MAX_AGE_SECONDS
    for path in folder.iterdir():
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < limit:
                path.unlink()


def _file_of(key: str) -> Path:
    return cache_folder() / "scans" / f"{hashlib.blake2b(os.fsencode(key), digest_size=16).hexdigest()}.scan"


@lru_cache(1)
def _version() -> str:
    """Version of the code that reads data, by its own text: whatever of it changes may read something else."""
    digest = hashlib.blake2b(__version__.encode(), digest_size=DIGEST_BYTES)
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        with contextlib.suppress(OSError):
            digest.update(read_file(path, MIB))
    return digest.hexdigest()


def _digest(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=DIGEST_BYTES).digest()


def changed_rows(index: ScanIndex, names: Sequence[str], stamps: Stamps) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Compare an index with the current files.

    Args:
        index: of the data set.
        names: the current images.
        stamps: (images, 8), current.

    Returns:
        For each current image, the row in the index that still holds, or -1; and the images without one.
    """
    if tuple(names) == index.names:
        rows = np.arange(len(names))
    else:
        row_of = {name: row for row, name in enumerate(index.names)}
        rows = np.array([row_of.get(name, -1) for name in names], np.int64)
    known = rows >= 0
    known[known] = (index.stamps[rows[known]] == stamps[known]).all(1)
    rows = np.where(known, rows, -1)
    return rows, np.flatnonzero(~known)
