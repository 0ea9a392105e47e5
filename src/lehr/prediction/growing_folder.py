"""A folder that grows: its images and videos are taken as they come, when they have been written to their end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import TypeAlias

from lehr.data.find_images import scan_images
from lehr.data.images import ImageFault, read_image
from lehr.data.images.kinds import VIDEO_SUFFIXES, suffix_of
from lehr.errors import InputError
from lehr.prediction.frames import Frame
from lehr.prediction.video import has_av, read_video

POLL_SECONDS = 0.5
"""Between two looks at the folder; longer where a look takes long. Looking works on shares of other machines, too."""
LOOKS_SHARE = 0.1
"""Share of the time that looking may take."""
SETTLED_SECONDS = 2.0
"""Age of a file's last change from which on it is not waited for."""
PATIENCE_SECONDS = 5.0
"""Age of a file's last change from which on it is broken, and not unfinished."""
Signature: TypeAlias = tuple[int, int]
"""Size in bytes and time of the last change, nanoseconds."""


def watch_folder(
    folder: Path, exclude: Collection[Path] = (), poll_seconds: float = POLL_SECONDS, patience: float = PATIENCE_SECONDS
) -> Callable[[threading.Event], Iterator[Frame]]:
    """Return what reads a folder's images and videos as they come, until it is to end.

    A file is taken when it has not changed between two looks, and again when it has been overwritten.

    Args:
        folder: with the folders in it.
        exclude: folders in it that are not looked into, as that of the results.
        poll_seconds: between two looks.
        patience: seconds without a change after which a file that cannot be read is broken.

    Returns:
        A function that gives frames until its argument is set; it raises InputError when the folder is gone.
    """

    def read(stop: threading.Event) -> Iterator[Frame]:
        done: dict[Path, Signature] = {}
        before: dict[Path, Signature] = {}
        while not stop.is_set():
            began = time.monotonic()
            now = _look(folder, exclude)
            done = {path: signature for path, signature in done.items() if path in now}
            coming = [path for path, signature in now.items() if done.get(path) != signature]
            for path in sorted(coming, key=lambda path: (now[path][1], path)):
                if before.get(path) != now[path] and _age(now[path]) < SETTLED_SECONDS:
                    continue
                for frame in _read(path):
                    if frame.clip is None and frame.pixels is None and _age(now[path]) < patience:
                        break  # perhaps it is still being written, with a pause
                    yield frame
                    done[path] = now[path]
                    if stop.is_set():
                        return
            before = now
            took = time.monotonic() - began
            stop.wait(max(poll_seconds, took / LOOKS_SHARE if not coming else 0.0))

    return read


def _look(folder: Path, exclude: Collection[Path]) -> dict[Path, Signature]:
    """The images and videos of a folder."""
    if not folder.is_dir():
        raise InputError(f"{folder}: the folder is gone.")
    scan = scan_images(folder)
    videos = [fault.path for fault in scan.faults if suffix_of(fault.path.name) in VIDEO_SUFFIXES and has_av()]
    found: dict[Path, Signature] = {}
    resolved = [each.resolve() for each in exclude]
    for path in [*scan.images, *videos]:
        if resolved and any(path.resolve().is_relative_to(each) for each in resolved):
            continue
        try:
            status = path.stat()
        except OSError:  # gone since
            continue
        found[path] = (status.st_size, status.st_mtime_ns)
    return found


def _read(path: Path) -> Iterator[Frame]:
    """The frames of a file; one with a fault if it cannot be read."""
    try:
        if suffix_of(path.name) in VIDEO_SUFFIXES:
            yield from read_video(path)
        else:
            yield Frame(str(path), read_image(path))
    except (ImageFault, InputError) as error:
        yield Frame(str(path), None, str(error))


def _age(signature: Signature) -> float:
    """Seconds since a file's last change."""
    return time.time() - signature[1] / 1e9
