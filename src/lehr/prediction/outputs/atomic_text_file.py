"""Files that are written result by result, and that appear whole when the last is there."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TextIO

from lehr.runtime.atomic_write import atomic_file, is_device


class AtomicTextFile:
    """A text file that is written bit by bit under a temporary name, and takes its own when it is complete.

    A kill leaves the former file. What is not a file, such as /dev/stdout, is written to at once.

    Args:
        path: the file to be.
        option: the option that named it, for messages.
    """

    def __init__(self, path: Path, option: str) -> None:
        self._path, self._option = path, option
        self._stack = ExitStack()
        self._file: TextIO | None = None

    @property
    def is_begun(self) -> bool:
        """True if anything was written."""
        return self._file is not None

    def write(self, text: str) -> None:
        """Append a text.

        Raises:
            InputError: the file cannot be made.
            OSError: it cannot be written, e.g. since the disk is full; nothing is left of it then.
        """
        if self._file is None:
            place = self._path
            if not is_device(place):
                place = self._stack.enter_context(atomic_file(place, f"Choose another {self._option} file."))
            self._file = self._stack.enter_context(place.open("w", encoding="utf-8", newline=""))
        try:
            self._file.write(text)
        except BaseException as error:
            self._give_up(error)
            raise

    def complete(self) -> None:
        """Put the file in its place; nothing happens where nothing was written.

        Raises:
            InputError: it cannot be written; the former file stays.
        """
        if self._file is not None:
            self._file = None
            self._stack.close()

    def _give_up(self, error: BaseException) -> None:
        """Remove what was written."""
        self._file = None
        self._stack.__exit__(type(error), error, error.__traceback__)
