"""Keys and values that the processes of one machine share, in a folder that only their user can open.

It replaces torch's TCPStore there, whose port any user of the machine, and often any machine, can write to.
"""

from __future__ import annotations

import os
import stat
import threading
import time
from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from lehr.errors import LehrError

POLL_SECONDS = 0.02
"""Seconds between checks for a key."""
OTHERS = stat.S_IRWXG | stat.S_IRWXO


class FolderStore:
    """A store with the methods of torch's that a run needs; each value is a file.

    Args:
        folder: of this user alone.
        prefix: of the names of its files.
    """

    def __init__(self, folder: Path, prefix: str = "") -> None:
        self._folder = folder
        self._prefix = prefix

    def within(self, name: str) -> FolderStore:
        """Return a store in the same folder whose keys are its own."""
        return FolderStore(self._folder, f"{self._prefix}{name}.")

    def clone(self) -> FolderStore:
        """Return a store for another thread."""
        return self

    def set(self, key: str, value: str) -> None:
        """Set a key atomically.

        Raises:
            RuntimeError: it cannot be written.
        """
        path = self._path(key)
        new = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
        try:
            new.write_bytes(value.encode("utf-8", "surrogateescape"))
            new.replace(path)
        except OSError as error:
            raise RuntimeError(f"{path}: {error.strerror}") from None

    def get(self, key: str) -> bytes:
        """Return the value of a key.

        Raises:
            RuntimeError: it has none.
        """
        path = self._path(key)
        try:
            return path.read_bytes()
        except OSError as error:
            raise RuntimeError(f"{path}: {error.strerror}") from None

    def check(self, keys: Sequence[str]) -> bool:
        """Return whether all of the keys have values."""
        return all(self._path(key).exists() for key in keys)

    def wait(self, keys: Sequence[str], timeout: timedelta) -> None:
        """Wait until all of the keys have values.

        Raises:
            RuntimeError: they do not within the time.
        """
        deadline = time.monotonic() + timeout.total_seconds()
        while not self.check(keys):
            if time.monotonic() > deadline:
                raise RuntimeError(f"timed out waiting for {', '.join(keys)}")
            time.sleep(POLL_SECONDS)

    def add(self, key: str, amount: int) -> int:
        """Count, and return the count: each process that adds 1 finds another.

        Args:
            key: of the count, which begins at 0.
            amount: 1; or 0 to look only.

        Raises:
            RuntimeError: it cannot be written.
        """
        path, count = self._path(key), 0
        while True:
            one = path.with_name(f"{path.name}+{count}")
            try:
                if amount == 0 and not one.exists():
                    return count
                if amount == 1:
                    one.touch(exist_ok=False)
                    return count + 1
            except FileExistsError:
                pass
            except OSError as error:
                raise RuntimeError(f"{one}: {error.strerror}") from None
            count += 1

    def compare_set(self, key: str, expected: str, desired: str) -> None:
        """Set a key unless another process has done so.

        Args:
            key: that is set.
            expected: empty, for a key without a value.
            desired: the value.

        Raises:
            RuntimeError: it cannot be written.
        """
        if self.add(f"{key}/set", 1) == 1:
            self.set(key, desired)

    def _path(self, key: str) -> Path:
        return self._folder / f"{self._prefix}{key.replace('/', '.')}"


def check_private(folder: Path) -> None:
    """Check that only this user can access a folder.

    Raises:
        LehrError: it is another user's, is open to others, or is not a folder.
    """
    found = folder.lstat()
    owner = os.geteuid() if hasattr(os, "geteuid") else found.st_uid
    if stat.S_ISDIR(found.st_mode) and found.st_uid == owner and not (found.st_mode & OTHERS and os.name == "posix"):
        return
    raise LehrError(
        f"{folder}: is not a folder that only this user can open, so others could change the messages between the "
        "processes of the run. Set TMPDIR to a folder on a file system that keeps permissions."
    )
