"""The standard input as a source: an encoded image, a video, or names of sources, told apart by the first bytes."""

from __future__ import annotations

import sys
from typing import BinaryIO

from lehr.data.images.kinds import format_of
from lehr.errors import InputError

NAMES = frozenset({"-", "/dev/stdin"})
"""Name of the standard input as a source."""
SHOWN = "standard input"
START = 4096
"""Bytes that identify the content."""
MAX_NAMES = 64 * 2**20
"""Bytes of names at most."""


class PipedInput:
    """The standard input as an open file whose first bytes are known.

    Args:
        file: it, binary.

    Raises:
        InputError: nothing comes.
    """

    name = SHOWN

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.head = _read_up_to(file, START)
        self._position = 0
        if not self.head:
            raise InputError(f"{SHOWN}: nothing came. Pipe an image, a video or names of sources into it.")

    def read(self, count: int = -1) -> bytes:
        """Read bytes: those that are there, `count` at most; none at the end."""
        if self._position < len(self.head):
            part = self.head[self._position :] if count < 0 else self.head[self._position : self._position + count]
            self._position += len(part)
            return part
        read_some = getattr(self._file, "read1", self._file.read)
        return bytes(read_some(count))

    def seekable(self) -> bool:
        """Return False: what has been piped is gone."""
        return False

    def holds_image(self) -> bool:
        """Return whether it begins as an image file does."""
        return format_of(self.head) is not None

    def holds_names(self) -> bool:
        """Return whether it is text."""
        end = self.head.rfind(b"\n") + 1 or len(self.head)  # a letter of several bytes may be cut at the end
        try:
            text = self.head[:end].decode("utf-8")
        except UnicodeDecodeError:
            return False
        return all(letter.isprintable() or letter in "\r\n\t" for letter in text)

    def names(self) -> bytes:
        """All of it, as names of sources.

        Raises:
            InputError: there are too many.
        """
        parts, length = [], 0
        while part := self.read(2**20):
            parts.append(part)
            length += len(part)
            if length > MAX_NAMES:
                raise InputError(f"{SHOWN}: has more than {MAX_NAMES >> 20} MB of names.")
        return b"".join(parts)


def open_standard_input() -> PipedInput:
    """Open the standard input.

    Raises:
        InputError: it is a terminal, closed, or nothing comes.
    """
    stream = sys.stdin
    file = getattr(stream, "buffer", None)
    if file is None or stream.closed:
        raise InputError(f"{SHOWN}: is closed.")
    if stream.isatty():
        raise InputError(
            f"{SHOWN}: is a terminal. Pipe an image, a video or names of sources into `lehr predict -`, e.g. "
            "find . -name '*.jpg' | lehr predict - --weights W"
        )
    return PipedInput(file)


def _read_up_to(file: BinaryIO, count: int) -> bytes:
    """Read the first bytes as far as they come at once, at least those that identify a kind of image."""
    read_some = getattr(file, "read1", file.read)
    head = b""
    while len(head) < count and (part := read_some(count - len(head))):
        head += part
        if len(head) >= 32 and not head.isascii():
            break
    return head
