"""A queue of frames between threads, bounded in frames and bytes."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from lehr.runtime.reading import MIB

MAX_BYTES = 256 * MIB
"""Bytes of pixels in a queue at most; one item is taken whatever its size."""
Item = TypeVar("Item")


class Closed(Exception):
    """The other end of a queue has been closed."""


class BoundedQueue(Generic[Item]):
    """A first-in, first-out queue whose writers wait, or replace their own oldest item, where it is full.

    Args:
        max_items: items held at most.
        size: bytes of an item.
        max_bytes: bytes held at most, where more than one item is.
    """

    def __init__(self, max_items: int, size: Callable[[Item], int], max_bytes: int = MAX_BYTES) -> None:
        self._max_items, self._max_bytes, self._size = max_items, max_bytes, size
        self._items: deque[tuple[Item, int, object]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()
        self._blocked = 0
        self._finished = False
        self._closed = False

    def put(self, item: Item, owner: object = None) -> int:
        """Add an item.

        Args:
            item: what to add.
            owner: of a live source, an object that identifies it: if the queue is full, its oldest item makes room;
                without any of its own, and without an owner, the caller waits.

        Returns:
            Count of items that were dropped for it.

        Raises:
            Closed: nobody takes anything any more.
        """
        size = self._size(item)
        dropped = 0
        with self._changed:
            while not self._closed and self._is_full(size):
                if owner is not None and self._drop_oldest(owner):
                    dropped += 1
                else:
                    self._wait_for_room()
            if self._closed:
                raise Closed
            self._items.append((item, size, owner))
            self._bytes += size
            self._changed.notify_all()
        return dropped

    def take(self, count: int, timeout: float, *, fill: bool = True) -> list[Item]:
        """Take items in their order.

        Args:
            count: items at most.
            timeout: seconds to wait, at most.
            fill: wait for all of them, as far as they fit into the queue, and not only for the first.

        Returns:
            The items; none if the time is over or nothing comes any more.
        """
        with self._changed:
            self._changed.wait_for(lambda: self._is_ready(count if fill else 1), timeout)
            if not self._is_ready(count if fill else 1):
                return []
            taken = [self._items.popleft() for _ in range(min(count, len(self._items)))]
            self._bytes -= sum(size for _, size, _ in taken)
            self._changed.notify_all()
        return [item for item, _, _ in taken]

    def finish(self) -> None:
        """Say that no more items come; those that are there can still be taken."""
        with self._changed:
            self._finished = True
            self._changed.notify_all()

    def close(self) -> None:
        """Give up what is there, and turn away whoever adds more."""
        with self._changed:
            self._closed = self._finished = True
            self._items.clear()
            self._bytes = 0
            self._changed.notify_all()

    @property
    def is_over(self) -> bool:
        """True when nothing is there and nothing comes any more."""
        with self._changed:
            return self._finished and not self._items

    def _is_full(self, size: int) -> bool:
        return bool(self._items) and (len(self._items) >= self._max_items or self._bytes + size > self._max_bytes)

    def _is_ready(self, count: int) -> bool:
        return self._finished or len(self._items) >= count or (self._blocked > 0 and bool(self._items))

    def _wait_for_room(self) -> None:
        self._blocked += 1
        self._changed.notify_all()
        try:
            self._changed.wait()
        finally:
            self._blocked -= 1

    def _drop_oldest(self, owner: object) -> bool:
        for place, (_, size, own) in enumerate(self._items):
            if own is owner:
                del self._items[place]
                self._bytes -= size
                return True
        return False
