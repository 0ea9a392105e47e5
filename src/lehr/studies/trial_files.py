"""Files between a worker and the process of its trial: written through no link, read within bounds, each typed."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, BinaryIO, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lehr.errors import InputError, LehrError
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.reading import MIB, open_append, open_overwrite, read_file

Kind = Literal["finished", "diverged", "input", "failed"]
"""End of a trial's process."""
MAX_JOB, MAX_OUTCOME = 16 * MIB, MIB
"""Bytes of a job and of an outcome."""
MAX_MESSAGE = 10_000
"""Characters of an outcome's message; longer ones are cut off where they are written."""


class TrialJob(BaseModel):
    """Job of a trial's process.

    Attributes:
        options: of the run, by flat name.
        folder: of the run.
        outcome: file to leave the end in.
        worker: process that looks after this one.
        cores: to run on; none for all.
    """

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True)

    options: dict[str, Any]
    folder: str
    outcome: str
    worker: Annotated[int, Field(ge=0, le=2**32)]
    cores: list[Annotated[int, Field(ge=0, le=2**20)]]


class Outcome(BaseModel):
    """End of a trial's process.

    Attributes:
        code: exit code.
        kind: how it ended.
        message: why.
        memory: most that it held, MiB; None if not known.
    """

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)

    code: Annotated[int, Field(ge=-255, le=255)]
    kind: Kind
    message: Annotated[str, Field(max_length=2 * MAX_MESSAGE)] = ""
    memory: Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)] | None = None


def own_folder(folder: Path) -> Path:
    """A folder of a study's own, created if missing.

    Raises:
        LehrError: it is a link, no folder, or cannot be created.
    """
    if is_link(folder):
        raise LehrError(f"{folder}: is a link, and a study keeps to its own folder. Remove it.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise LehrError(f"{folder}: cannot be created ({error.strerror}).") from None
    return folder


def is_link(path: Path) -> bool:
    """Return whether a path is a symbolic link, wherever it leads."""
    return path.is_symlink()


def write_job(path: Path, job: Mapping[str, Any]) -> str:
    """Write the job of a trial's process, and return its digest.

    A job names code to run, and others may be able to write in a study's folder: the process gets the digest on its
    command line, and accepts no other job.

    Raises:
        LehrError: the file cannot be written, or is a link.
    """
    text = json.dumps(dict(job)).encode("utf-8")
    try:
        with open_overwrite(path) as file:
            file.write(text)
    except OSError as error:
        raise LehrError(f"{path}: cannot be written ({error.strerror}). Remove it.") from None
    return _digest(text)


def read_job(path: Path, digest: str | None = None) -> TrialJob:
    """Read the job of a trial's process.

    Args:
        path: the file.
        digest: as `write_job` returned it; None to take any job.

    Raises:
        InputError: there is none in that file, or another.
    """
    try:
        text = read_file(path, MAX_JOB, links=False)
        if digest is not None and _digest(text) != digest:
            raise InputError(f"{path}: is not the job that the worker wrote. Somebody else writes in that folder.")
        return TrialJob.model_validate_json(text)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except ValidationError:
        raise InputError(f"{path}: is not a job of a trial.") from None


def open_log(path: Path) -> BinaryIO:
    """Open the file that what a trial's process prints is appended to.

    Raises:
        LehrError: it cannot be written, or is a link.
    """
    try:
        return open_append(path)
    except OSError as error:
        raise LehrError(f"{path}: cannot be written ({error.strerror}). Remove it.") from None


def write_outcome(path: Path, outcome: Outcome) -> None:
    """Write how a trial's process ended, atomically.

    Raises:
        InputError: it cannot be written.
    """
    with atomic_file(path, "Make room.") as temporary:
        temporary.write_text(outcome.model_dump_json(), encoding="utf-8")


def read_outcome(path: Path) -> dict[str, Any]:
    """Read how a trial's process ended, where it could still say so; empty if it could not."""
    try:
        found = Outcome.model_validate_json(read_file(path, MAX_OUTCOME, links=False))
    except (OSError, ValidationError):
        return {}
    return found.model_dump(exclude_none=True)


def _digest(text: bytes) -> str:
    return hashlib.blake2b(text, digest_size=32).hexdigest()
