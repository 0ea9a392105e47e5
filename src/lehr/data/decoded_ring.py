"""A ring of recently decoded images in memory that all loading processes of a machine share.

Whoever needs an image looks for it there, and decodes it into the oldest slot if it is not. So the images of a window
are decoded once, whichever process makes which batch; what a batch holds does not depend on it.

Locks are byte-range locks of a file, one per slot, which the system releases when a process ends: no process waits for
one, and a killed process leaves none behind. A batch locks its sources until it is built.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.runtime.shared_block import SharedBlock, map_writable, shared_block

try:
    import fcntl

    HAS_LOCKS = True
except ImportError:  # Windows, whose loading processes have memory of their own
    HAS_LOCKS = False

TRIES = 256
"""Slots that are tried for a free one; an image without one is decoded into separate memory."""
WHOLE_FILE = 0
"""Length of a lock that reaches to the end of the file."""

Fill = Callable[[NDArray[np.uint8]], None]
"""Writes an image into an array (h, w, 3)."""


class DecodedRing:
    """Decoded images; the oldest make room for others.

    Args:
        images: of the split.
        slots: images that it holds at most.
        slot_bytes: bytes of the largest.
        block: memory that another process has made; None to make some.

    Raises:
        OSError: the system does not give the memory.
    """

    def __init__(self, images: int, slots: int, slot_bytes: int, block: SharedBlock | None = None) -> None:
        head = _whole_pages(4 * (images + slots + 1))
        self.slots = slots
        self._slot_bytes = _whole_pages(slot_bytes)
        self._block = block or shared_block(head + slots * self._slot_bytes, "lehr-decoded", shared=True)
        table = np.frombuffer(self._block.memory, np.int32, images + slots + 1)
        # Numbers count from 1: 0, which the memory is full of at first, is none.
        self._next, self._slot_of, self._image_in = table[:1], table[1 : images + 1], table[images + 1 :]
        self._pixels = np.frombuffer(self._block.memory, np.uint8)[head:]
        self._lock_file: Any = None
        if HAS_LOCKS and self._block.handle is None:
            self._lock_file = tempfile.TemporaryFile()  # noqa: SIM115  # open as long as the ring
        self._held: set[int] = set()
        self._process = os.getpid()

    @property
    def path(self) -> str | None:
        """The path by which other processes map it; None if they cannot."""
        return self._block.path

    @property
    def nbytes(self) -> int:
        """Bytes of all slots."""
        return self.slots * self._slot_bytes

    def __call__(self, index: int, shape: tuple[int, int, int], decode: Fill) -> NDArray[np.uint8]:
        """An image, not to be written to; it stays until `release` is called.

        Args:
            index: of the image in its split.
            shape: of its array, (h, w, 3).
            decode: writes its pixels, if they are not there.

        Raises:
            Exception: what `decode` raises.
        """
        if self._process != os.getpid():  # a child has none of the locks of its parent
            self._held, self._process = set(), os.getpid()
        if (slot := self._found(index)) is not None:
            return self._view(slot, shape)
        if (slot := self._oldest()) is None:
            image = np.empty(shape, np.uint8)
            decode(image)
            return image
        image = self._view(slot, shape)
        try:
            decode(image)
        except BaseException:
            self._unlock(slot)
            raise
        self._image_in[slot], self._slot_of[index] = index + 1, slot + 1
        self._lock(slot, exclusive=False)
        self._held.add(slot)
        return image

    def release(self) -> None:
        """Release all requested images: others may take their place."""
        if self._held and self._process == os.getpid():
            self._held.clear()
            if HAS_LOCKS:
                fcntl.lockf(self._handle, fcntl.LOCK_UN, WHOLE_FILE)

    def _found(self, index: int) -> int | None:
        """Find and lock an image's slot; None if it has none, or is being decoded."""
        slot = int(self._slot_of[index]) - 1
        if slot < 0:
            return None
        if slot not in self._held and not self._lock(slot, exclusive=False):
            return None
        if int(self._image_in[slot]) != index + 1:  # another image has replaced it in the meantime
            if slot not in self._held:
                self._unlock(slot)
            return None
        self._held.add(slot)
        return slot

    def _oldest(self) -> int | None:
        """Take the oldest unused slot, locked and empty; None if there is none."""
        for _ in range(min(TRIES, self.slots)):
            slot = int(self._next[0]) % self.slots
            self._next[0] = slot + 1
            if slot in self._held or not self._lock(slot, exclusive=True):
                continue
            former = int(self._image_in[slot]) - 1
            self._image_in[slot] = 0
            if former >= 0 and int(self._slot_of[former]) == slot + 1:
                self._slot_of[former] = 0
            return slot
        return None

    def _view(self, slot: int, shape: tuple[int, int, int]) -> NDArray[np.uint8]:
        start = slot * self._slot_bytes
        return self._pixels[start : start + shape[0] * shape[1] * shape[2]].reshape(shape)

    @property
    def _handle(self) -> int:
        handle = self._block.handle
        return int(self._lock_file.fileno()) if handle is None else handle

    def _lock(self, slot: int, exclusive: bool) -> bool:
        """Lock a slot, and return whether that was possible without waiting."""
        if not HAS_LOCKS:
            return True
        try:
            fcntl.lockf(self._handle, (fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH) | fcntl.LOCK_NB, 1, slot)
        except OSError:
            return False
        return True

    def _unlock(self, slot: int) -> None:
        if HAS_LOCKS:
            fcntl.lockf(self._handle, fcntl.LOCK_UN, 1, slot)


def map_ring(path: str, images: int, slots: int, slot_bytes: int) -> DecodedRing:
    """The ring that another process of this machine has made.

    Args:
        path: of its memory.
        images: of the split.
        slots: images that it holds at most.
        slot_bytes: bytes of the largest.

    Raises:
        OSError: it no longer exists.
    """
    return DecodedRing(images, slots, slot_bytes, map_writable(path))


def _whole_pages(size: int) -> int:
    return -(-size // mmap.PAGESIZE) * mmap.PAGESIZE
