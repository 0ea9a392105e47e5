"""Read every checkpoint of a folder under an audit hook, and write what came of each as a line of JSON."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from tests.processes import Forked

from lehr.errors import InputError
from lehr.weights.published.reading import read_torch_file

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Watch:
    """Notes each event that Python announces, but that the file itself is opened for reading."""

    def __init__(self) -> None:
        self.path: str | None = None
        self.seen: list[str] = []
        sys.addaudithook(self._hook)

    def _hook(self, event: str, arguments: tuple[Any, ...]) -> None:
        if self.path is None:
            return
        if event == "open" and str(arguments[0]) == self.path and not int(arguments[2] or 0) & WRITES:
            return
        if event == "builtins.id" or (event == "open" and isinstance(arguments[0], int)):  # a descriptor of it
            return
        self.seen.append(f"{event} {arguments!r}"[:200])


def peak() -> int:
    """The most memory that this process has held since it was last asked to count anew, bytes; 0 where unknown."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024
    return 0


def count_anew() -> None:
    """Have the most memory counted from now on."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")


def read(path: Path, watch: Watch) -> dict[str, Any]:
    """Read a file; its message, events, seconds, and bytes of memory."""
    count_anew()
    before, started = peak(), time.process_time()
    watch.seen, watch.path = [], str(path)
    try:
        read_torch_file(path)
        message = None
    except InputError as error:
        message = str(error)
    except Exception as error:
        message = f"{type(error).__name__}: {error}"
    finally:
        watch.path = None
    seconds = time.process_time() - started
    return {"file": path.name, "message": message, "seen": watch.seen, "seconds": seconds, "bytes": peak() - before}


def watched(folder: Path) -> list[dict[str, Any]]:
    """Read the files of a folder in a process of its own, and return its lines."""
    files = {kind: folder.with_name(f"{folder.name}.{kind}") for kind in ("out", "err")}
    process = Forked(read_all, folder, cwd=folder, **files)
    assert process.wait() == 0, process.err
    return [json.loads(line) for line in process.out.splitlines()]


def read_all(folder: Path) -> None:
    """Read the files of a folder, those that begin with `good` first, as a process's work."""
    watch = Watch()
    for path in sorted(folder.iterdir(), key=lambda path: (not path.name.startswith("good"), path.name)):
        sys.stdout.write(json.dumps(read(path, watch)) + "\n")
