"""Bytes by position, of a file or in memory, so that both are read by the same code."""

from __future__ import annotations

import os
from io import FileIO
from typing import Protocol

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
    """Bytes of an open, unbuffered file; its beginning is read once."""

    def __init__(self, file: FileIO) -> None:
        self.size = os.fstat(file.fileno()).st_size
        self._file = file
        self._head = file.read(HEAD) or b""

    def read(self, offset: int, count: int) -> bytes:
        """Bytes from an offset on, fewer where the source ends."""
        if offset + count <= len(self._head):
            return self._head[offset : offset + count]
        if offset >= self.size:
            return b""
        self._file.seek(offset)
        data = self._file.read(count) or b""
        while len(data) < count and (more := self._file.read(count - len(data))):
            data += more
        return data
