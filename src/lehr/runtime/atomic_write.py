"""Writing files and folders so that they appear whole or not at all, through a power cut too."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lehr.errors import InputError


@contextmanager
def atomic_file(path: Path, remedy: str) -> Iterator[Path]:
    """A file to write beside another; it takes the other's name when the block ends, and goes when the block fails.

    What was written is on the disk before the name changes, so a power cut leaves either the old file or the new one.

    Args:
        path: the file to be.
        remedy: what to do when it cannot be written, for the message.

    Raises:
        InputError: it cannot be written.
    """
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). {remedy}") from None
    finally:
        with contextlib.suppress(OSError):  # a file system that has become read-only
            temporary.unlink(missing_ok=True)


def flush_to_disk(path: Path) -> None:
    """Wait until a file, or a folder's list of names, is on the disk; do nothing where a system cannot say so.

    Raises:
        OSError: the file could not be written after all.
    """
    if path.is_dir():
        with contextlib.suppress(OSError):  # not every file system flushes folders
            _flush(path)
    else:
        _flush(path)


def _flush(path: Path) -> None:
    # Windows flushes only what is open for writing, and opens no folders.
    handle = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def atomic_dir(folder: Path, write: Callable[[Path], None], remedy: str) -> None:
    """Write a folder under another name beside it, and give it its name when it is done.

    Args:
        folder: the folder; must not exist or be empty.
        write: writes everything into the folder it is given.
        remedy: what to do when the folder cannot be written, for the message.

    Raises:
        InputError: it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}). {remedy}") from None
    try:
        write(temporary)
        temporary.chmod(0o755)
        if folder.is_dir():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}). {remedy}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
