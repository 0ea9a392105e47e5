"""Standard output and error output that never end a process: missing, closed, full, or short of letters.

Under cron, `pythonw` and notebooks a stream is missing or closed; a disk is full; a terminal or a Windows pipe takes
only ASCII or cp1252 while a class is named 猫. Printing is not part of the work, so what cannot be printed is dropped,
and letters that the stream lacks are printed as `\\u732b`.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from lehr.runtime.plain_text import entry

STANDARD = (0, 1, 2)
"""Descriptors of the standard input, output and error output."""


class SafeStream:
    """A standard stream, as it is at each write, to which writing never fails.

    Args:
        name: the stream's name in `sys`.
        stream: a stream instead of the one that `sys` has.
    """

    def __init__(self, name: Literal["stdout", "stderr"], stream: Any = None) -> None:
        self._name = name
        self._given = stream

    def _stream(self) -> Any:
        stream = self._given if self._given is not None else getattr(sys, self._name)
        return getattr(stream, "rich_proxied_file", stream)  # while a bar moves, rich takes the place of the stream

    @property
    def encoding(self) -> str:
        """The stream's encoding; UTF-8 if it has none."""
        return getattr(self._stream(), "encoding", None) or "utf-8"

    def write(self, text: str) -> int:
        """Write text, with `\\uXXXX` for each letter that the encoding lacks; drop what cannot be written.

        Returns:
            The length of the text.
        """
        stream = self._stream()
        with contextlib.suppress(OSError, ValueError, AttributeError):
            try:
                stream.write(text)
            except UnicodeEncodeError:
                stream.write(encodable(text, self.encoding))
        return len(text)

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several texts."""
        for line in lines:
            self.write(line)

    def flush(self) -> None:
        """Flush the stream, if that is possible."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            self._stream().flush()

    def isatty(self) -> bool:
        """Return whether the stream is a terminal."""
        with contextlib.suppress(OSError, ValueError, AttributeError):
            return bool(self._stream().isatty())
        return False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream(), name)


def encodable(text: str, encoding: str) -> str:
    """Return a text with `\\uXXXX` for each letter that an encoding lacks; an unknown encoding counts as ASCII."""
    try:
        return text.encode(encoding, "backslashreplace").decode(encoding)
    except LookupError:
        return text.encode("ascii", "backslashreplace").decode("ascii")


@contextmanager
def safe_streams() -> Iterator[None]:
    """Make both streams of the process safe while the block runs, for a process of Lehr's own.

    Closed descriptors are opened on the null device first: otherwise the next file that is opened takes the number, and
    a library's warning is written into a checkpoint. Warnings of libraries have no control characters meanwhile.
    """
    _open_missing()
    before = sys.stdout, sys.stderr
    with Path(os.devnull).open("w", encoding="utf-8") as null, _plain_warnings():
        sys.stdout = SafeStream("stdout", before[0] or null)
        sys.stderr = SafeStream("stderr", before[1] or null)
        try:
            yield
        finally:
            sys.stdout, sys.stderr = before
            for stream in before:
                _drain(stream)


class _PlainFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        return entry(super().format(record))


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Write control characters in warnings as escapes: those of `warnings`, and of loggers that nobody handles."""
    formatted, last = warnings.formatwarning, logging.lastResort

    def plain(*arguments: Any, **named: Any) -> str:
        return entry(formatted(*arguments, **named).rstrip("\n")) + "\n"

    warnings.formatwarning = plain
    formatter = None if last is None else last.formatter
    if last is not None:
        last.setFormatter(_PlainFormatter())
    try:
        yield
    finally:
        warnings.formatwarning = formatted
        if last is not None:
            last.setFormatter(formatter)


def _open_missing() -> None:
    """Open standard descriptors that are closed on the null device; child processes inherit them."""
    for number in STANDARD:
        try:
            os.fstat(number)
        except OSError:
            with contextlib.suppress(OSError):
                opened = os.open(os.devnull, os.O_RDWR)
                if opened != number:
                    os.dup2(opened, number)
                    os.close(opened)
                os.set_inheritable(number, True)


def _drain(stream: Any) -> None:
    """Flush a stream before the process ends; what it cannot take goes to the null device.

    Python flushes once more at its end, and would make the exit code 120 where that fails.
    """
    try:
        stream.flush()
    except (OSError, ValueError, AttributeError):
        with contextlib.suppress(OSError, ValueError, AttributeError):
            null = os.open(os.devnull, os.O_WRONLY)
            os.dup2(null, stream.fileno())
            os.close(null)
            stream.flush()
