"""The folder of a run: made first, never overwritten, written by one process at a time."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml
from filelock import FileLock, Timeout

from lehr.config import TrainConfig
from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file, is_temporary
from lehr.runtime.folder_name import check_folder_name
from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import NotRegular, open_overwrite, read_start

CONFIG, LOCK, LOG = "config.yaml", ".lock", "train.log"
LAST, PREVIOUS = "last.ckpt", "previous.ckpt"
START = "start.safetensors"
"""File that keeps the start of a run which came from weights."""
DETECTIONS = "detections.safetensors"
"""File with what the best weights found on the validation split, and the objects there."""
PAGE, PLOTS = "report.html", "plots"
FIRST_BATCH, MIDDLE_BATCH = "train-batch-first.jpg", "train-batch-middle.jpg"
BATCH_WITHOUT_MOSAIC = "train-batch-without-mosaic.jpg"
"""Contact sheets in `plots`."""
MAX_SHEET = 220_000
"""Bytes of a contact sheet at most."""
"""The page of a run, or of an evaluation, and the folder of its figures."""
HOLDER = ".lock.holder"
"""File that names the lock's holder; apart from the lock, whose content some file systems use."""
HOLDER_BYTES = 1000
"""Maximum length of the holder's name in messages."""
REMOVE_IT = "Remove it, or replace it by a copy: the files of a run are regular files, not links."


def check_free(project: Path, name: str | None) -> None:
    """Check, before any work is done, that a run's folder is free, where it has a name.

    Args:
        project: the folder that holds the runs.
        name: the run's name, or None.

    Raises:
        InputError: the folder exists already, or the name is none of a folder.
    """
    folder = _named(project, name)
    if folder is not None and os.path.lexists(folder) and not _left_unbegun(folder):
        raise _taken(folder)


def _named(project: Path, name: str | None) -> Path | None:
    try:
        return None if name is None else project / check_folder_name(name)
    except ValueError as error:
        raise InputError(f"--name is {name!r}; it must be {error}.") from None


def _taken(folder: str | Path) -> InputError:
    remedy = "Choose another --name or --project"
    resume = f", or resume it: lehr train --resume {folder}" if _is_run(str(folder)) else "."
    return InputError(f"{folder}: exists already, and a run is never overwritten. {remedy}{resume}")


def make_run_folder(project: Path, name: str | None, default: str = "train") -> Path:
    """Create `project/name` and return it; without a name, the first free of `train`, `train-2`, ...

    A named folder may be there already if a kill left it before the run began.

    Args:
        project: the folder that holds the runs; created if missing.
        name: the run's name, or None.
        default: the first part of the name when none is given.

    Raises:
        InputError: the folder exists already, cannot be made or written, or the name is not a folder name.
    """
    folder = _named(project, name)
    try:
        project.mkdir(parents=True, exist_ok=True)
        if folder is not None:
            if not _left_unbegun(folder):
                folder.mkdir()
        else:
            folder = _make_first_free(project, default)
    except FileExistsError as error:
        raise _taken(error.filename) from None
    except OSError as error:
        raise InputError(
            f"{error.filename or project}: cannot be created ({error.strerror}). Choose another --project."
        ) from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: cannot be written. Choose another --project.")
    return folder


def write_config(config: TrainConfig, folder: Path) -> None:
    """Write every option of a run into its folder; the file appears whole or not at all.

    Raises:
        InputError: the file cannot be written.
    """
    text = yaml.safe_dump(config.for_file(), sort_keys=False, allow_unicode=True)
    with atomic_file(folder / CONFIG, "Free disk space, or choose another --project.") as temporary:
        temporary.write_text(text, encoding="utf-8")


def discard(folder: Path) -> None:
    """Remove a run that has not started: only files of Lehr, and the folder if it is then empty."""
    with contextlib.suppress(OSError):
        for path in folder.iterdir():
            if path.name in (CONFIG, LOG, START) or _is_left(path.name):
                path.unlink()
        folder.rmdir()


def refuse_link(path: Path) -> None:
    """Refuse a file of a run's folder that is a link, or no regular file, before it is used.

    Raises:
        InputError: it is.
    """
    with contextlib.suppress(OSError, ValueError):
        if path.is_symlink() or (path.exists() and not path.is_file()):
            raise InputError(f"{path}: is {'a link' if path.is_symlink() else 'no regular file'}. {REMOVE_IT}")


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Lock a run's folder for this process; the system releases it when the process ends in any way.

    Raises:
        InputError: another process holds it.
    """
    path = folder / LOCK
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise InputError(
            f"{folder}: is being trained by {_holder(folder)}. A run has one writer: wait for it, or stop it first."
        ) from None
    except OSError as error:
        refuse_link(path)
        raise InputError(f"{path}: cannot be written ({error.strerror}).") from None
    try:
        _write_holder(folder / HOLDER)
        yield
    finally:
        lock.release()


def is_held(folder: Path) -> bool:
    """Return whether a process has locked a run's folder."""
    if not (folder / LOCK).exists():
        return False
    try:
        with FileLock(folder / LOCK, timeout=0):
            return False
    except Timeout:
        return True
    except OSError:  # not ours to lock
        return False


def _write_holder(path: Path) -> None:
    """Write which process this is.

    Raises:
        InputError: the file is a link, or no regular file.
    """
    try:
        with open_overwrite(path) as file:
            file.write(f"process {os.getpid()} on {platform.node()}".encode())
    except NotRegular as error:
        raise InputError(f"{path}: {error.strerror}. {REMOVE_IT}") from None
    except OSError:  # a full disk: the lock is still held
        pass


def _holder(folder: Path) -> str:
    try:
        text = read_start(folder / HOLDER, HOLDER_BYTES, links=False)
    except OSError:
        return "another process"
    return one_line(text.decode(errors="replace")) or "another process"


def _left_unbegun(folder: Path) -> bool:
    """Return whether a folder holds nothing but the leftovers of a run that was killed at its very beginning."""
    if folder.is_symlink() or not folder.is_dir():
        return False
    names = [path.name for path in folder.iterdir()]
    return bool(names) and all(map(_is_left, names))


def _is_left(name: str) -> bool:
    """Return whether a file may have been left by a run that was killed at its very beginning."""
    return name in (LOCK, HOLDER) or is_temporary(name, (CONFIG, HOLDER, START))


def _is_run(name: str) -> bool:
    return (Path(name) / CONFIG).is_file()


def first_free(project: Path, default: str) -> Path:
    """Return the first of `project/default`, `project/default-2`, ... that does not exist."""
    number = 1
    while (folder := _numbered(project, default, number)).exists():
        number += 1
    return folder


def _make_first_free(project: Path, default: str) -> Path:
    number = 1
    while True:
        folder = _numbered(project, default, number)
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder


def _numbered(project: Path, default: str, number: int) -> Path:
    return project / (default if number == 1 else f"{default}-{number}")
