"""Journal of a study on a shared disk: a line of JSON for each change, read within bounds, never through a link.

The lines and the lock are those of Optuna's `JournalFileBackend`, so that both may share a file. That one reads lines
of any length, follows links, and waits forever for a dangling lock.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any, BinaryIO

from optuna.storages.journal import BaseJournalBackend

from lehr.runtime.reading import GIB, MIB, open_append, open_file
from lehr.studies.contents import DamagedStudy, read_json

MAX_JOURNAL, MAX_LINE = GIB, MIB
"""Bytes of a journal, and of a line in it."""
GRACE = 30.0
"""Seconds after which an unchanged lock is attributed to a dead process."""
LONGEST_PAUSE = 1.0
"""Seconds between attempts to get the lock."""


class StudyJournal(BaseJournalBackend):
    """A journal file.

    Args:
        path: the file; created if missing.

    Raises:
        OSError: it cannot be read and written, or is a link or no regular file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._read = (0, 0)  # lines, and the bytes that they take
        open_append(path).close()

    def read_logs(self, log_number_from: int) -> Iterator[dict[str, Any]]:
        """Yield the changes from a number on; a last line that is still being written is not among them.

        Raises:
            DamagedStudy: a line is none that a worker writes.
            OSError: the file cannot be read.
        """
        with BufferedReader(open_file(self._path, MAX_JOURNAL, links=False)) as file:
            end = os.fstat(file.fileno()).st_size
            number, offset = self._read if self._read[0] <= log_number_from else (0, 0)
            file.seek(offset)
            while offset < end:
                line = file.readline(MAX_LINE + 1)
                if len(line) > MAX_LINE:
                    raise DamagedStudy(f"line {number + 1} is longer than any line of a worker")
                offset += len(line)
                whole = line.endswith(b"\n") and offset <= end
                log = _parsed(line) if whole else None
                if log is None:
                    if number == 0 or offset < end:
                        raise DamagedStudy(f"line {number + 1} is not a change of a study")
                    return
                number += 1
                if number > log_number_from:
                    self._read = (number, offset)
                    yield log

    def append_logs(self, logs: list[dict[str, Any]]) -> None:
        """Append changes, and wait until they are on the disk.

        Raises:
            OSError: they cannot be written.
        """
        text = "".join(json.dumps(log, separators=(",", ":")) + "\n" for log in logs)
        with _locked(self._path), open_append(self._path) as file:
            self._end_line(file)
            file.write(text.encode("utf-8"))
            file.flush()
            os.fsync(file.fileno())

    def _end_line(self, file: BinaryIO) -> None:
        """Truncate the partial line of a process that was killed or found the disk full.

        Args:
            file: the journal, open to append to; nobody else writes while it is locked.
        """
        end = file.seek(0, os.SEEK_END)
        with open_file(self._path, MAX_JOURNAL, links=False) as reader:
            reader.seek(max(0, end - 1))
            if reader.read(1) in (b"", b"\n"):
                return
            start = max(0, end - MAX_LINE)
            reader.seek(start)
            tail = reader.read(end - start)
        file.truncate(start + tail.rfind(b"\n") + 1)


def _parsed(line: bytes) -> dict[str, Any] | None:
    """The change that a line describes; None if it describes none."""
    try:
        log = read_json(line)
    except ValueError:
        return None
    return log if isinstance(log, dict) and type(log.get("op_code")) is int else None


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Lock a journal with a link next to it, which network file systems create for one process only.

    Raises:
        OSError: no link can be made there.
    """
    lock = path.with_name(path.name + ".lock")
    _acquire(path, lock)
    try:
        yield
    finally:
        _remove(lock)


def _acquire(path: Path, lock: Path) -> None:
    """Create the lock; one that is unchanged for too long belongs to a dead process."""
    seen: tuple[int, int] | None = None
    since, pause = time.monotonic(), 0.001
    while True:
        try:
            if sys.platform == "win32":
                lock.open("x").close()
            else:
                lock.symlink_to(path)
            return
        except FileExistsError:
            pass
        with contextlib.suppress(FileNotFoundError):  # released in the meantime
            status = lock.lstat()  # of the link itself: where it leads, on another machine, says nothing
            sign = (status.st_ino, status.st_mtime_ns)
            if sign != seen:
                seen, since = sign, time.monotonic()
            elif time.monotonic() - since > GRACE:
                _remove(lock)
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE)


def _remove(lock: Path) -> None:
    """Remove exactly one lock, however many processes consider it dead."""
    aside = lock.with_name(f"{lock.name}{uuid.uuid4()}.rename")
    with contextlib.suppress(OSError):
        lock.rename(aside)
        aside.unlink()
