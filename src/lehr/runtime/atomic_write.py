"""Writing files and folders so that they appear whole or not at all, through a power cut too.

What is being written has a name that nobody can foresee, so that nobody can lay a link there before; what a kill leaves
of it is known by its pattern. Files and folders have the rights that the user's umask leaves.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from lehr.errors import InputError
from lehr.runtime.reading import create_beside

TEMPORARY = re.compile(r"\.(?P<name>.+?)(\.[0-9a-f]{16})?\.tmp")
"""Names of files that are being written: `.NAME.<16 random digits>.tmp`; without the digits by earlier versions."""


@contextmanager
def atomic_file(path: Path, remedy: str) -> Iterator[Path]:
    """Yield a file next to another; it takes the other's name when the block ends, and goes when the block fails.

    What was written is on the disk before the name changes, so a power cut leaves either the old file or the new one. A
    link of that name is replaced, and not followed.

    Args:
        path: the file to be.
        remedy: what to do when it cannot be written, for the message.

    Raises:
        InputError: it cannot be written.
    """
    temporary: Path | None = None
    try:
        handle, temporary = create_beside(path)
        os.close(handle)
        yield temporary
        flush_to_disk(temporary)
        temporary.replace(path)
        flush_to_disk(path.parent)
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror}). {remedy}") from None
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):  # a file system that has become read-only
                temporary.unlink(missing_ok=True)


def is_device(path: Path) -> bool:
    """Return whether a path is something to write to that is not a file, such as /dev/stdout."""
    try:
        return path.parts[:2] == ("/", "dev") or (path.exists() and not path.is_file() and not path.is_dir())
    except (OSError, ValueError):
        return False


def make_inner_folder(folder: Path) -> None:
    """Make a folder within one that a stranger may have made, where it is missing; a link is not followed.

    Raises:
        InputError: it is a link.
        OSError: it cannot be made.
    """
    if folder.is_symlink():
        raise InputError(f"{folder}: is a link, which is not followed here. Remove it.")
    folder.mkdir(parents=True, exist_ok=True)


def clear_temporaries(folder: Path, names: Collection[str], *, age: float = 0.0) -> None:
    """Remove what processes that were killed have left half-written.

    Args:
        folder: where.
        names: the files that they wrote.
        age: seconds since they were last written; 0 where nobody else can be writing these files now.
    """
    limit = time.time() - age
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            with contextlib.suppress(OSError):
                if is_temporary(path.name, names):
                    status = path.lstat()
                    if stat.S_ISREG(status.st_mode) and (not age or status.st_mtime < limit):
                        path.unlink()


def is_temporary(name: str, of: Collection[str]) -> bool:
    """Return whether a file's name is that of a half-written file.

    Args:
        name: of the file.
        of: the files that are written.
    """
    match = TEMPORARY.fullmatch(name)
    return match is not None and match["name"] in of


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
    """Write a folder under another name next to it, and give it its name when it is done.

    Args:
        folder: the folder; must not exist or be empty.
        write: writes everything into the folder it is given.
        remedy: what to do when the folder cannot be written, for the message.

    Raises:
        InputError: it cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        temporary = _folder_beside(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be made ({error.strerror}). {remedy}") from None
    try:
        write(temporary)
        if folder.is_dir():
            folder.rmdir()
        temporary.rename(folder)
    except OSError as error:
        raise InputError(f"{folder}: cannot be written ({error.strerror}). {remedy}") from None
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


@contextmanager
def folder_beside(path: Path) -> Iterator[Path]:
    """Make a folder next to a future file, with a name that nobody can foresee; it goes with what is left in it.

    Raises:
        OSError: it cannot be made.
    """
    temporary = _folder_beside(path)
    try:
        yield temporary
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _folder_beside(folder: Path) -> Path:
    """Make a folder next to another, with a name that nobody can foresee."""
    while True:
        temporary = folder.with_name(f".{folder.name}-{secrets.token_hex(8)}")
        with contextlib.suppress(FileExistsError):
            temporary.mkdir()
            return temporary
