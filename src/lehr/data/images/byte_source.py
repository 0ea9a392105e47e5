"""Bytes by position, of a file or in memory, so that both are read by the same code."""

from __future__ import annotations

from typing import Protocol

from lehr.runtime.reading import read_at

HEAD = 4096
"""Bytes of a file read at once; the header of most images is in them."""


class ByteSource(Protocol):
    """Bytes by position.

    Attributes:
        size: all bytes there are.
    """

    size: int

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on, fewer where the source ends."""
        ...


class DataSource:
    """Bytes in memory."""

    def __init__(self, data: bytes) -> None:
        self.size = len(data)
        self._data = data

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on, fewer where the source ends."""
        return self._data[offset : offset + count]


class FileSource:
    """Bytes of an open file; its beginning is read once."""

    def __init__(self, handle: int, size: int) -> None:
        """Take a file's descriptor, which stays the caller's, and its size in bytes."""
        self.size = size
        self._handle = handle
        self._head = read_at(handle, 0, HEAD)

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on, fewer where the source ends."""
        if offset + count <= len(self._head):
            return self._head[offset : offset + count]
        if offset >= self.size:
            return b""
        data = read_at(self._handle, offset, min(count, self.size - offset))
        while len(data) < count and (more := read_at(self._handle, offset + len(data), count - len(data))):
            data += more
        return data
