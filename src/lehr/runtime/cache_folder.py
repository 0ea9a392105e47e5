"""Folder for what Lehr can make again: generated data, decoded images, compiled code.

It is for its user alone: see `lehr.runtime.ownership`.
"""

from __future__ import annotations

import contextlib
import functools
import os
import stat
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from lehr.errors import InputError
from lehr.runtime.console import LOGGER
from lehr.runtime.ownership import WRITABLE, private_folder, require_own, require_own_tree, trouble


def cache_folder() -> Path:
    """Return the folder for caches: `LEHR_CACHE` where that is set, else the one that the system has for them.

    Where others could change the system's, it cannot be written, or there is no home folder, it is one among the
    temporary files, with a note.

    Raises:
        InputError: no folder can be written, or others could change the one that is given.
    """
    given = os.environ.get("LEHR_CACHE")
    if given:
        try:
            folder = Path(given).expanduser()
        except RuntimeError:
            raise InputError(f"LEHR_CACHE={given}: there is no home folder here. Name the folder in full.") from None
        require_own(folder)
        return folder
    usual = _systems_folder()
    if usual is None:
        return _temporary_folder("there is no home folder")
    problem = _closed_to_others(usual)
    if problem is not None:
        return _temporary_folder(f"{usual} {problem}")
    return usual if _writable(usual) else _temporary_folder(f"{usual} cannot be written")


def make_cache_folder(name: str) -> Path:
    """Return a folder of the cache, made for its user alone where it is missing.

    Args:
        name: of the folder.

    Raises:
        InputError: others could change it, or it cannot be made.
    """
    folder = cache_folder()
    try:
        for each in (folder, folder / name):
            private_folder(each)
    except OSError as error:
        raise InputError(f"{folder / name}: cannot be made ({error.strerror}). Set LEHR_CACHE to a folder.") from None
    return folder / name


def cached(name: str) -> Path:
    """Return the place of a folder in the cache: where it is already, even if nothing can be written there.

    Args:
        name: of the folder.

    Raises:
        InputError: others could change it, or something in it.
    """
    usual = None if os.environ.get("LEHR_CACHE") else _systems_folder()
    known = usual is not None and _closed_to_others(usual) is None and (usual / name).exists()
    folder = usual / name if usual is not None and known else cache_folder() / name
    require_own_tree(folder)
    return folder


def _closed_to_others(folder: Path) -> str | None:
    """Take the right to write in the system's folder from others; return why they could change it all the same."""
    with contextlib.suppress(OSError):
        if trouble(folder) is not None and folder.stat().st_mode & WRITABLE:
            folder.chmod(0o700)
    try:
        return trouble(folder)
    except OSError:  # not there yet
        return None


def _systems_folder() -> Path | None:
    """Return the system's folder; None where there is no home folder."""
    try:
        folder = user_cache_path("lehr", appauthor=False)
    except (RuntimeError, KeyError, OSError):
        return None
    return folder if folder.is_absolute() else None


def _writable(folder: Path) -> bool:
    """Return whether a folder can be written, or made."""
    nearest = next((path for path in (folder, *folder.parents) if path.exists()), folder)
    return nearest.is_dir() and os.access(nearest, os.W_OK | os.X_OK)


@functools.cache
def _temporary_folder(why: str) -> Path:
    """Return a folder of this user among the temporary files, made where it is missing.

    Args:
        why: not the system's, for the note.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"lehr-cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
        folder.mkdir(mode=0o700, exist_ok=True)
        if not (stat.S_ISDIR(folder.lstat().st_mode) and trouble(folder) is None and _writable(folder)):
            folder = Path(tempfile.mkdtemp(prefix="lehr-cache-"))
    except OSError as error:
        raise InputError(
            f"No folder for caches can be written ({error.strerror or error}). Set LEHR_CACHE to one."
        ) from None
    LOGGER.warning("%s", f"Caches are kept in {folder}, since {why}. LEHR_CACHE names another folder.")
    return folder
