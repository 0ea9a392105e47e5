"""Guard that watches the side effects of reading a file: code that is run, and everything written elsewhere.

Python reports to an audit hook whatever it opens, imports, compiles and starts. Compiled libraries report nothing, so
hostile pickles in the mutants also leave a file where they run.
"""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

STARTS = ("os.system", "os.exec", "os.fork", "os.forkpty", "os.posix_spawn", "os.spawn", "os.startfile", "pty.spawn")
CODE = (
    *STARTS,
    "subprocess.Popen",
    "pickle.find_class",
    "ctypes.dlopen",
)
SOCKETS = ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.sendto")
CHANGES = (
    "os.remove",
    "os.rename",
    "os.mkdir",
    "os.rmdir",
    "os.link",
    "os.symlink",
    "os.truncate",
    "os.chmod",
)
WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Guard:
    """Watches through an audit hook; create it once, since a hook cannot be removed."""

    def __init__(self) -> None:
        self._root: str | None = None
        self._seen: list[str] = []
        sys.addaudithook(self._hook)

    @contextlib.contextmanager
    def watching(self, root: Path) -> Iterator[list[str]]:
        """Watch a block; the list receives everything that it did and reading must not do.

        Args:
            root: the folder that it may write to.
        """
        self._seen = []
        self._root = os.path.realpath(root)
        try:
            yield self._seen
        finally:
            self._root = None

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self._root is None:
            return
        if event in CODE or event in SOCKETS:
            self._seen.append(f"{event} {arguments!r}"[:300])
        elif event == "import":
            if self._inside(str(arguments[1] or "")):
                self._seen.append(f"import {arguments[0]} from the file's folder")
        elif event == "exec":
            if self._inside(getattr(arguments[0], "co_filename", "")):
                self._seen.append(f"code of {arguments[0].co_filename}")
        elif event == "open":
            path, flags = arguments[0], arguments[2]
            if isinstance(path, str | bytes | os.PathLike) and isinstance(flags, int) and flags & WRITES:
                self._written(event, _folder(path) if flags & os.O_NOFOLLOW else path)
        elif event in CHANGES:
            for path in arguments[: 2 if event in ("os.rename", "os.link") else 1]:
                if isinstance(path, str | bytes | os.PathLike):  # the folder of a link itself
                    self._written(event, path if event in ("os.truncate", "os.chmod") else _folder(path))

    def _written(self, event: str, path: Any) -> None:
        place = os.fsdecode(path)
        if place == os.devnull:
            return
        if not self._inside(place):
            self._seen.append(f"{event} {place!r} outside")

    def _inside(self, place: str) -> bool:
        assert self._root is not None
        if not place:
            return False
        real = os.path.realpath(place)
        return real == self._root or real.startswith(self._root + os.sep)


def _folder(path: Any) -> str:
    return str(Path(os.fsdecode(path)).parent)
