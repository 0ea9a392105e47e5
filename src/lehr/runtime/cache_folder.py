"""Folder for what Lehr can make again: generated data, decoded images, compiled code."""

from __future__ import annotations

import functools
import os
import stat
import tempfile
from pathlib import Path

from platformdirs import user_cache_path

from lehr.errors import InputError
from lehr.runtime.console import LOGGER


def cache_folder() -> Path:
    """Return the folder for caches: `LEHR_CACHE` where that is set, else the one that the system has for them.

    Where the system's cannot be written, or there is no home folder, it is one among the temporary files, with a note.

    Raises:
        InputError: no folder can be written.
    """
    given = os.environ.get("LEHR_CACHE")
    if given:
        try:
            return Path(given).expanduser()
        except RuntimeError:
            raise InputError(f"LEHR_CACHE={given}: there is no home folder here. Name the folder in full.") from None
    usual = _systems_folder()
    return usual if usual is not None and _writable(usual) else _temporary_folder(usual)


def cached(name: str) -> Path:
    """Return the place of something in the cache: where it is already, even if nothing can be written there.

    Args:
        name: of the file or folder.
    """
    usual = None if os.environ.get("LEHR_CACHE") else _systems_folder()
    return usual / name if usual is not None and (usual / name).exists() else cache_folder() / name


def _systems_folder() -> Path | None:
    """Return the system's folder; None where it cannot be told, since there is no home folder."""
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
def _temporary_folder(instead_of: Path | None) -> Path:
    """Return a folder of this user among the temporary files, made where it is missing.

    Args:
        instead_of: the system's, for the note.

    Raises:
        InputError: it cannot be made.
    """
    try:
        folder = Path(tempfile.gettempdir()) / f"lehr-cache-{os.getuid() if hasattr(os, 'getuid') else 'user'}"
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
        own = not hasattr(os, "getuid") or found.st_uid == os.getuid()
        if not (stat.S_ISDIR(found.st_mode) and own and _writable(folder)):  # another user's: code is kept there too
            folder = Path(tempfile.mkdtemp(prefix="lehr-cache-"))
    except OSError as error:
        raise InputError(
            f"No folder for caches can be written ({error.strerror or error}). Set LEHR_CACHE to one."
        ) from None
    why = "there is no home folder" if instead_of is None else f"{instead_of} cannot be written"
    LOGGER.warning("%s", f"Caches are kept in {folder}, since {why}. LEHR_CACHE names another folder.")
    return folder
