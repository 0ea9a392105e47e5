"""Files and folders that nobody else can change: what a cache holds is used unchecked, code too.

Whoever can write where decoded images, an index or compiled code are kept decides what is trained on, or runs code. So
each must belong to the user, or to root, who can do everything anyhow, and be writable by nobody else. What is in a
folder that nobody else can enter may have any rights.
"""

from __future__ import annotations

import contextlib
import os
import stat
from pathlib import Path

from lehr.errors import InputError

WRITABLE = stat.S_IWGRP | stat.S_IWOTH
ENTERED = stat.S_IXGRP | stat.S_IXOTH


def private_folder(folder: Path) -> None:
    """Make a folder, for its user alone, if it is missing; check it where it is there.

    Raises:
        InputError: others own it or can write in it.
        OSError: it cannot be made.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    folder.mkdir(mode=0o700, exist_ok=True)
    require_own(folder)


def require_own(folder: Path) -> None:
    """Check that a folder is one that only its user can change; one that is missing is fine.

    Raises:
        InputError: others own it or can write in it.
    """
    with contextlib.suppress(FileNotFoundError):
        problem = trouble(folder)
        if problem is not None:
            raise _refusal(folder, problem)


def require_own_tree(folder: Path) -> None:
    """Check a folder with all that is in it; one that is missing is fine.

    Raises:
        InputError: others own something in it, or can change it.
    """
    try:
        require_own(folder)
        closed = _is_closed(folder) or _is_closed(folder.parent)
        waiting = [os.fspath(folder)]
        while waiting:
            with os.scandir(waiting.pop()) as entries:
                for entry in entries:
                    problem = _trouble_of(entry.stat(follow_symlinks=False), closed)
                    if problem is None and entry.is_symlink():
                        problem = "is a link"
                    if problem is not None:
                        raise _refusal(Path(entry.path), problem)
                    if entry.is_dir(follow_symlinks=False):
                        waiting.append(entry.path)
    except FileNotFoundError:
        return
    except OSError as error:
        raise InputError(f"{error.filename or folder}: cannot be read ({error.strerror}). {_remedy('')}") from None


def _is_closed(folder: Path) -> bool:
    """Return whether others cannot come near what is in a folder."""
    return not folder.stat().st_mode & ENTERED and trouble(folder) is None


def is_own_file(path: Path) -> bool:
    """Return whether a path is a regular file, no link, that only its user can change."""
    try:
        status = path.lstat()
    except OSError:
        return False
    return stat.S_ISREG(status.st_mode) and _trouble_of(status) is None


def trouble(path: Path) -> str | None:
    """Return why others could change a file or folder, links followed; None if they cannot.

    Raises:
        OSError: it is not there.
    """
    return _trouble_of(path.stat())


def _trouble_of(status: os.stat_result, closed: bool = False) -> str | None:
    """Return why others could change something.

    Args:
        status: what the system says of it.
        closed: whether others cannot come near it.
    """
    if not hasattr(os, "geteuid"):
        return None
    if status.st_uid not in (os.geteuid(), 0):
        return f"belongs to {_name(status.st_uid)}, not to {_name(os.geteuid())}"
    if not closed and status.st_mode & WRITABLE and not stat.S_ISLNK(status.st_mode):
        return "can be written by others"
    return None


def _refusal(path: Path, problem: str) -> InputError:
    remedy = _remedy(f"Run chmod go-w {path}, or s" if problem.endswith("others") else "S")
    return InputError(f"{path}: {problem}, and what a cache holds is used unchecked, code too. {remedy}")


def _remedy(start: str) -> str:
    return (
        f"{start or 'S'}et LEHR_CACHE (for compiled code TORCHINDUCTOR_CACHE_DIR and TRITON_CACHE_DIR, where they are "
        "set) to a folder of your own, which need not exist yet. In a container run as the owner of a mounted folder, "
        "e.g. docker run --user, or name a new folder in it."
    )


def _name(number: int) -> str:
    """Return the name of a user, with the number that the system knows the user by."""
    import pwd

    with contextlib.suppress(KeyError):
        return f"{pwd.getpwuid(number).pw_name} ({number})"
    return f"user {number}"
