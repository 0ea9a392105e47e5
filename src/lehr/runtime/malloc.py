"""Allocating memory as training wants it: for good in a process of Lehr's own, for a while in somebody else's."""

from __future__ import annotations

import ctypes
import functools
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
MADV_HUGEPAGE = 14
BLOCK = 2**28
"""Bytes that are asked of the system at once; blocks of the heap, since they are below the threshold set here."""
MAX_HEAP = 2**34
"""Bytes of the heap that get large pages at most."""
HEAP_FRACTION = 0.5
"""Share of the machine's memory that they may come to."""


USUAL_MMAP, USUAL_TRIM = 2**25, 2**26
"""Thresholds where glibc's own adjustment of them ends, bytes; it ends for good once one of them is set."""
VARIABLES = ("MALLOC_", "GLIBC_TUNABLES")
"""Environment variables by which a user sets them."""


@functools.cache
def tune_malloc() -> None:
    """Let the process keep and reuse its memory: a training step allocates the same blocks again and again.

    By default glibc takes large blocks from the system and gives them back each time, so every step pays for fresh,
    zeroed pages. And large pages, where the system offers them on request, spare look-ups in the page table: a step on
    two cores takes about a tenth less time. Does nothing on other systems. It lasts, so it is for commands alone, and
    is called before torch is imported, which reads its variable once.
    """
    if sys.platform.startswith("linux"):
        os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
        _keep_memory()


@contextmanager
def tuned_malloc() -> Iterator[None]:
    """The same while the block runs, where the process is not Lehr's own; then free memory goes back to the system.

    Left alone where the user has set malloc by the environment.
    """
    kept = not tune_malloc.cache_info().currsize and not any(name.startswith(VARIABLES) for name in os.environ)
    library = _keep_memory() if kept else None
    try:
        yield
    finally:
        if library is not None:
            library.mallopt(M_MMAP_THRESHOLD, USUAL_MMAP)
            library.mallopt(M_TRIM_THRESHOLD, USUAL_TRIM)
            library.malloc_trim(0)


def _keep_memory() -> ctypes.CDLL | None:
    """Set glibc's thresholds; None with another C library."""
    try:
        library = ctypes.CDLL(None)
        mallopt = library.mallopt
    except (OSError, AttributeError, TypeError):
        return None
    mallopt(M_MMAP_THRESHOLD, 2**30)
    mallopt(M_TRIM_THRESHOLD, -1)  # never
    _large_pages(library)
    return library


def _large_pages(library: ctypes.CDLL) -> None:
    """Put the heap to come into large pages.

    It is taken from the system, marked and given back to malloc, which keeps it. Nothing is touched, so it takes
    addresses only; memory follows, in large pages, where malloc hands it out. Left as it is where the system counts
    addresses as memory.
    """
    try:
        counts_addresses = Path("/proc/sys/vm/overcommit_memory").read_text(encoding="ascii").strip() == "2"
    except OSError:
        counts_addresses = True
    if counts_addresses:
        return
    library.malloc.restype, library.malloc.argtypes = ctypes.c_void_p, (ctypes.c_size_t,)
    library.free.restype, library.free.argtypes = None, (ctypes.c_void_p,)
    library.madvise.argtypes = (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int)
    page = os.sysconf("SC_PAGE_SIZE")
    total = min(MAX_HEAP, int(HEAP_FRACTION * page * os.sysconf("SC_PHYS_PAGES")))
    blocks: list[int] = []
    while len(blocks) * BLOCK < total:
        block = library.malloc(BLOCK)
        if not block:  # a limit of the process
            break
        blocks.append(block)
        start = -(-block // page) * page
        library.madvise(start, (block + BLOCK - start) // page * page, MADV_HUGEPAGE)
    for block in reversed(blocks):
        library.free(block)
