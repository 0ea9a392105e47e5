"""How the process allocates memory; decided before torch is imported, since torch reads it once."""

from __future__ import annotations

import ctypes
import os
import sys

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


def keep_memory() -> None:
    """Lets the process keep and reuse its memory: a training step allocates the same blocks again and again.

    By default glibc takes large blocks from the system and gives them back each time, so every step pays for fresh,
    zeroed pages. And large pages, where the system offers them on request, spare look-ups in the page table. Does
    nothing on other systems.
    """
    if not sys.platform.startswith("linux"):
        return
    os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library than glibc
        return
    mallopt(M_MMAP_THRESHOLD, 2**30)
    mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
