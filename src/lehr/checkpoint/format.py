"""The checkpoint file: a training state that cannot run code, and that detects a single wrong bit.

A file is what `torch.save` writes, a ZIP archive, and loads with `torch.load(file, weights_only=True)`: blocks of
numbers, and text that describes their layout (see `lehr.checkpoint.packing`). After it, as the comment of the archive,
come a line of JSON with the run's position, readable without loading anything, and a CRC-32 of every byte before it. So
truncation and changes are detected before a byte is interpreted. Lehr itself reads it without unpickling (see
`lehr.checkpoint.archive`), in at most about three times the memory that the file takes.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar

import torch
from pydantic import ConfigDict, Field, TypeAdapter

from lehr.checkpoint.archive import NotPlain, read_archive
from lehr.checkpoint.packing import pack, unpack
from lehr.checkpoint.run_folder import LAST, PREVIOUS
from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_file, flush_to_disk
from lehr.runtime.counted import counted
from lehr.runtime.reading import GIB, open_file, read_writable

FORMAT = "lehr-state-1"
ABANDONED = "abandoned.ckpt"
"""The last checkpoint of a run that was rolled back to an earlier one."""
END_OF_ARCHIVE = b"PK\x05\x06"
END_LENGTH = 22
"""Bytes of a ZIP archive's end record before its comment."""
CRC_LENGTH = 8
"""Hexadecimal digits of the checksum, the last bytes of the file."""
LONGEST_COMMENT = 2**16 - 1
CHECKPOINT_BYTES = 512 * GIB
"""No checkpoint of a detector is nearly as large."""
MAX_EPOCHS, MAX_STEPS = 10**9, 10**15


class DamagedCheckpoint(InputError):
    """A checkpoint that cannot be used: truncated, changed, or not written by Lehr."""


@dataclass(frozen=True, slots=True)
class Position:
    """Position of a run in its training.

    Attributes:
        epoch: the epoch that ran or came next, from 0.
        epochs: epochs of the run.
        step: batches seen since the start of the run.
        finished: whether the run had reached its end.
        skipping: whether its last optimizer step was skipped, so that it is not a rollback target.
    """

    epoch: Annotated[int, Field(ge=0, le=MAX_EPOCHS)]
    epochs: Annotated[int, Field(ge=0, le=MAX_EPOCHS)]
    step: Annotated[int, Field(ge=0, le=MAX_STEPS)]
    finished: bool = False
    skipping: bool = False

    __pydantic_config__: ClassVar[ConfigDict] = ConfigDict(extra="forbid")

    def __str__(self) -> str:
        return f"epoch {min(self.epoch + 1, self.epochs)} of {self.epochs}, {counted(self.step, 'batch')} done"


POSITION = TypeAdapter(Position)


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A checkpoint as read.

    Attributes:
        path: the file.
        position: where the run stood.
        content: tensors, numbers and text by name.
    """

    path: Path
    position: Position
    content: dict[str, Any]


def write_checkpoint(folder: Path, content: dict[str, Any], position: Position) -> None:
    """Rotate a run's last checkpoint to previous and write a new last; an intact one exists at any moment.

    Args:
        folder: the run's folder.
        content: tensors on the CPU, numbers, text, and lists and dictionaries of these.
        position: where the run stands.

    Raises:
        InputError: it cannot be written; the checkpoints are as before then.
    """
    last = folder / LAST
    with atomic_file(last, "Make room.") as temporary:
        with temporary.open("wb") as file:
            archive = _Archive(file)
            blocks, text = pack(content)
            try:
                torch.save({"format": FORMAT, "blocks": blocks, "content": text}, archive)  # type: ignore[arg-type]
            except RuntimeError:
                if archive.error is None:
                    raise
                raise archive.error from None  # a full disk, say, of which torch makes an error of its own
            archive.finish(json.dumps({"format": FORMAT, **asdict(position)}).encode() + b"\n")
        flush_to_disk(temporary)
        if _worth_keeping(last):
            last.replace(folder / PREVIOUS)


def abandon_last(folder: Path, taken: Path) -> None:
    """Set a run's last checkpoint aside, since the run rolls back to another one.

    Args:
        folder: the run's folder.
        taken: the checkpoint that it rolls back to.
    """
    if (folder / LAST).exists():
        (folder / LAST).replace(folder / (ABANDONED if taken.name != ABANDONED else f"2-{ABANDONED}"))


def _worth_keeping(path: Path) -> bool:
    """Return whether a checkpoint is a valid rollback target, so that it may replace the previous one."""
    try:
        return not read_position(path).skipping
    except (DamagedCheckpoint, OSError):  # missing, or damaged, while the previous one is not
        return False


class _Archive:
    """File that torch writes to: computes the checksum, and appends the comment and the checksum."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._crc = 0
        self.error: OSError | None = None
        self._end = b""
        """The last bytes so far, held back: torch leaves the length of the comment in them empty."""

    def write(self, data: bytes | memoryview) -> int:
        view = memoryview(data).cast("B")
        if len(view) < END_LENGTH:
            view = memoryview(self._end + bytes(view))
        else:
            self._put(self._end)
        cut = max(0, len(view) - END_LENGTH)
        self._put(view[:cut])
        self._end = bytes(view[cut:])
        return len(data)

    def flush(self) -> None:
        self._file.flush()

    def finish(self, comment: bytes) -> None:
        """Write the end."""
        self._put(self._end[:-2] + struct.pack("<H", len(comment) + CRC_LENGTH) + comment)
        self._file.write(f"{self._crc:08x}".encode())

    def _put(self, data: bytes | memoryview) -> None:
        self._crc = zlib.crc32(data, self._crc)
        try:
            self._file.write(data)
        except OSError as error:
            self.error = error
            raise


def read_position(path: Path) -> Position:
    """Read a checkpoint's position, from the end of the file alone; the rest is not checked.

    Raises:
        DamagedCheckpoint: the end is missing or damaged.
        OSError: the file cannot be read.
    """
    return _position(path, _end_of(path, links=False))[0]


def read_checkpoint(path: Path, *, links: bool = True) -> Checkpoint:
    """A checkpoint, checked as a whole before anything in it is interpreted.

    Args:
        path: the file.
        links: whether it may be a link: where the user named it.

    Raises:
        DamagedCheckpoint: it is cut off, changed, not a checkpoint of Lehr's, or holds what is not data.
        InputError: there is no such file, or it cannot be read.
    """
    try:
        _position(path, _end_of(path, links))  # before an invalid file takes up memory
        data = read_writable(path, CHECKPOINT_BYTES, links=links)
    except FileNotFoundError:
        raise InputError(f"{path}: there is no such checkpoint.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    except MemoryError:
        raise InputError(f"{path}: is larger than the free memory.") from None
    position, end = _position(path, data)
    if _checksum(memoryview(data)[:-CRC_LENGTH]) != data[-CRC_LENGTH:]:
        raise _damaged(path)
    try:
        loaded = read_archive(data, end)
        if loaded.get("format") != FORMAT:
            raise _foreign(path)
        content = unpack(loaded["blocks"], loaded["content"])
    except NotPlain:
        raise DamagedCheckpoint(
            f"{path}: holds something other than tensors, numbers and text. Lehr does not write such files and does "
            "not load data that could run code: do not trust this file."
        ) from None
    except (ArithmeticError, AttributeError, LookupError, MemoryError, RuntimeError, TypeError, ValueError):
        raise _damaged(path) from None  # RecursionError is a RuntimeError
    if not isinstance(content, dict):
        raise _damaged(path)
    return Checkpoint(path, position, content)


def newest_checkpoint(
    folder: Path, say: Callable[[str], None], wanted: Callable[[Position], bool] = lambda _: True
) -> Checkpoint | None:
    """The last checkpoint of a run, or the previous one where the last is damaged or missing.

    Args:
        folder: the run's folder.
        say: reports which file was skipped, and why.
        wanted: which positions will do.

    Returns:
        None if the run has no checkpoint yet.

    Raises:
        DamagedCheckpoint: there are checkpoints, and none can be used.
    """
    damage: list[str] = []
    for path in (folder / LAST, folder / PREVIOUS):
        if not (path.exists() or path.is_symlink()):
            continue
        try:
            checkpoint = read_checkpoint(path, links=False)
        except InputError as error:
            damage.append(str(error))
            continue
        if not wanted(checkpoint.position):
            continue
        for line in damage:
            say(f"{line}\nUsing the previous checkpoint: {path}.")
        return checkpoint
    if damage:
        raise DamagedCheckpoint("\n".join([*damage, f"No intact checkpoint is left in {folder}: start a new run."]))
    return None


def _end_of(path: Path, links: bool) -> bytes:
    """The bytes at the end of a file among which a checkpoint's comment is."""
    with open_file(path, CHECKPOINT_BYTES, links=links) as file:
        file.seek(max(0, file.seek(0, os.SEEK_END) - LONGEST_COMMENT - END_LENGTH))
        return file.read(LONGEST_COMMENT + END_LENGTH)


def _position(path: Path, data: bytes | bytearray) -> tuple[Position, int]:
    """The position of a checkpoint, and where the last record of its archive begins.

    Args:
        path: the file, for messages.
        data: the file, or its end.
    """
    start = data.rfind(END_OF_ARCHIVE, max(0, len(data) - LONGEST_COMMENT - END_LENGTH))
    comment = bytes(data[start + END_LENGTH :]) if start >= 0 else b""
    if not comment.startswith(b'{"format": "lehr-'):
        raise _foreign(path) if len(data) and b"lehr-state" not in data[-LONGEST_COMMENT:] else _damaged(path)
    text, _, checksum = comment.rpartition(b"\n")
    try:
        fields = json.loads(text)
        written = fields.pop("format")
        if written == FORMAT and len(checksum) == CRC_LENGTH:
            return POSITION.validate_json(json.dumps(fields), strict=True), start
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise _damaged(path) from None
    if written == FORMAT:
        raise _damaged(path)
    raise DamagedCheckpoint(f"{path}: has the format {str(written)[:40]}; this version of Lehr reads {FORMAT}.")


def _checksum(data: memoryview) -> bytes:
    return f"{zlib.crc32(data):08x}".encode()


def _damaged(path: Path) -> DamagedCheckpoint:
    return DamagedCheckpoint(f"{path}: is damaged (truncated, or changed since it was written).")


def _foreign(path: Path) -> DamagedCheckpoint:
    return DamagedCheckpoint(
        f"{path}: is truncated, or not a checkpoint of Lehr. Give the last.ckpt or previous.ckpt of a run; weights are "
        "not a training state: start from them with --weights."
    )
