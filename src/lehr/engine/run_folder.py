"""The folder of a run: made first, never overwritten."""

from __future__ import annotations

import os
from pathlib import Path

from lehr.errors import InputError


def make_run_folder(project: Path, name: str | None, default: str = "train") -> Path:
    """Makes and returns `project/name`; without a name, the first free of `train`, `train-2`, ...

    Args:
        project: the folder that holds the runs; made when missing.
        name: the run's name, or None.
        default: the first part of the name when none is given.

    Raises:
        InputError: the folder exists already, or cannot be made or written.
    """
    try:
        project.mkdir(parents=True, exist_ok=True)
        if name is not None:
            (project / name).mkdir(parents=True)
            folder = project / name
        else:
            folder = _make_first_free(project, default)
    except FileExistsError as error:
        raise InputError(
            f"{error.filename}: exists already, and a run is never overwritten. Choose another --name or --project."
        ) from None
    except OSError as error:
        raise InputError(
            f"{error.filename or project}: cannot be made ({error.strerror}). Choose another --project."
        ) from None
    if not os.access(folder, os.W_OK):
        raise InputError(f"{folder}: cannot be written. Choose another --project.")
    return folder


def _make_first_free(project: Path, default: str) -> Path:
    number = 1
    while True:
        folder = project / (default if number == 1 else f"{default}-{number}")
        try:
            folder.mkdir()
        except FileExistsError:
            number += 1
        else:
            return folder
