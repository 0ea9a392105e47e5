"""The memory that threads may take together in decoding images: they decode no more pixels than one image may have."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Iterator

from lehr.data.limits import max_pixels

SMALL = 2**23
"""Pixels of an image that any number of threads may decode at once."""


class _Share:
    """Pixels that are being decoded, and the threads that wait until there are fewer."""

    def __init__(self) -> None:
        self.pixels = 0
        self.changed = threading.Condition()


_share = _Share()


def _after_fork() -> None:
    """Reset in a forked process: the threads that hold a share do not exist in it."""
    global _share
    _share = _Share()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


@contextlib.contextmanager
def share_of_memory(pixels: int) -> Iterator[None]:
    """Wait until the images that other threads of this process decode leave room for one of so many pixels.

    Args:
        pixels: of the image; one that is larger than the room is decoded alone.
    """
    if pixels <= SMALL:
        yield
        return
    share, room = _share, max_pixels()
    with share.changed:
        share.changed.wait_for(lambda: share.pixels == 0 or share.pixels + pixels <= room)
        share.pixels += pixels
    try:
        yield
    finally:
        with share.changed:
            share.pixels -= pixels
            share.changed.notify_all()
