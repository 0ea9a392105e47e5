"""digests.bin: digests of the inputs and results of each step, so that two runs can be compared by step.

The file begins with a line of JSON with the layout of a record; fixed-size records follow, one per step, at the
position of the step. So a run that resumes or rolls back overwrites the steps that it repeats, and the file equals that
of an uninterrupted run. A record ends with a CRC-32; what was not recorded is zeros.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lehr.errors import InputError
from lehr.runtime.reading import GIB, KIB, MIB, open_file, open_overwrite, open_update

DIGESTS = "digests.bin"
MAX_BYTES, MAX_HEADER, MAX_RECORD = 256 * GIB, 8 * MIB, 64 * MIB
MAX_IMAGES, MAX_TENSORS, MAX_PARTS = 65_536, 100_000, 64
BLOCK = 4 * MIB
"""Bytes that are read at a time."""
STEP, END = 1, 2
"""Kinds of records: a step, and the weights after the last one."""

Text = Annotated[str, Field(max_length=1 * KIB)]
Record = NDArray[np.void]


class Header(BaseModel):
    """Layout of the records.

    Attributes:
        images: of a batch.
        batches: of an epoch.
        parts: names of the parts of the loss.
        tensors: names of the model's tensors.
    """

    model_config: ClassVar[ConfigDict] = ConfigDict(frozen=True, strict=True, extra="forbid")
    format: Literal["lehr-digests-1"] = "lehr-digests-1"
    images: Annotated[int, Field(ge=1, le=MAX_IMAGES)]
    batches: Annotated[int, Field(ge=1, le=10**12)]
    parts: Annotated[tuple[Text, ...], Field(max_length=MAX_PARTS)]
    tensors: Annotated[tuple[Text, ...], Field(max_length=MAX_TENSORS)]

    @property
    def dtype(self) -> np.dtype[np.void]:
        """Layout of a record.

        `step` counts from 0; `count` are the images whose digests there are (of several processes, those of the first),
        `total` all of the batch; `size` is that of multi-scale training, 0 for none; `index`, `pixels` and `objects`
        are of each image, `weights` of each tensor before the step; `norm` is that of the gradient, NaN if no optimizer
        step was due; losses are summed over the images.
        """
        fields: list[Any] = [
            ("kind", "u1"),
            ("finite", "u1"),
            ("updated", "u1"),
            ("precision", "u1"),
            ("count", "<u4"),
            ("step", "<u8"),
            ("total", "<u4"),
            ("size", "<u4"),
            ("accumulate", "<u4"),
            ("norm", "<f4"),
            ("scale", "<f4"),
            ("rates", "<f8", (4,)),
            ("losses", "<f4", (len(self.parts),)),
            ("index", "<i4", (self.images,)),
            ("pixels", "<u4", (self.images,)),
            ("objects", "<u4", (self.images,)),
            ("weights", "<u4", (len(self.tensors),)),
            ("check", "<u4"),
        ]
        return np.dtype(fields)

    @property
    def line(self) -> bytes:
        """The first line of the file."""
        return self.model_dump_json().encode() + b"\n"


def checksum(record: bytes) -> int:
    """Return the checksum of a record, of all but its last bytes."""
    return zlib.crc32(record[:-4])


class DigestWriter:
    """Writes records to the file of a run, from some step on.

    Args:
        path: the file.
        header: layout of the records.
        step: batches that the run has done; records from there on are overwritten.

    Raises:
        OSError: the file cannot be written.
    """

    def __init__(self, path: Path, header: Header, step: int) -> None:
        self._dtype = header.dtype
        self._begin = len(header.line)
        self._waiting: list[bytes] = []
        self._next = step
        same = False
        try:
            with open_file(path, MAX_BYTES, links=False) as known:
                same = known.read(self._begin) == header.line
        except OSError:
            pass
        self._file: BinaryIO = open_update(path) if same else open_overwrite(path)
        if not same:
            self._file.write(header.line)
        self._file.truncate(self._begin + step * self._dtype.itemsize)

    def write(self, record: Record) -> None:
        """Take a record, to be written with others; its checksum is added."""
        step = int(record["step"])
        if step != self._next + len(self._waiting):
            self.flush()
            self._next = step
        record["check"] = checksum(record.tobytes())
        self._waiting.append(record.tobytes())
        if len(self._waiting) * self._dtype.itemsize >= BLOCK // 16:
            self.flush()

    def flush(self) -> None:
        """Flush all records to the system.

        Raises:
            OSError: they cannot be written.
        """
        if self._waiting:
            self._file.seek(self._begin + self._next * self._dtype.itemsize)
            self._file.write(b"".join(self._waiting))
            self._next += len(self._waiting)
            self._waiting.clear()
        self._file.flush()

    def close(self) -> None:
        """Write pending records, and close the file."""
        try:
            self.flush()
        finally:
            self._file.close()


@dataclass(frozen=True, slots=True)
class DigestFile:
    """The digests of a run, read on demand.

    Attributes:
        path: the file.
        header: layout of its records.
        records: places for records that the file has.
    """

    path: Path
    header: Header
    records: int

    def blocks(self, first: int = 0) -> Iterator[Record]:
        """Yield the records in blocks, in order; what was not recorded, or is damaged, has kind 0.

        Args:
            first: the record to begin with.

        Raises:
            InputError: the file cannot be read.
        """
        dtype = self.header.dtype
        count = max(1, BLOCK // dtype.itemsize)
        try:
            with open_file(self.path, MAX_BYTES, links=False) as file:
                file.seek(len(self.header.line) + first * dtype.itemsize)
                while first < self.records:
                    wanted = min(count, self.records - first) * dtype.itemsize
                    data = b""
                    while len(data) < wanted and (part := file.read(wanted - len(data))):
                        data += part
                    block = np.frombuffer(data[: len(data) // dtype.itemsize * dtype.itemsize], dtype).copy()
                    if not len(block):
                        return
                    for place, record in enumerate(block, first):
                        if checksum(record.tobytes()) != record["check"] or record["step"] != place:
                            record["kind"] = 0
                    yield block
                    first += len(block)
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read ({error.strerror}).") from None

    def at(self, step: int) -> Record | None:
        """Return the record of a step; None if it was not recorded.

        Args:
            step: counted over the run from 0.
        """
        if step >= self.records:
            return None
        record = next(self.blocks(step), None)
        return None if record is None or record[0]["kind"] != STEP else record[0]


def open_digests(folder: Path) -> DigestFile | None:
    """Open the digests of a run; None if it has recorded none.

    Args:
        folder: the run's.

    Raises:
        InputError: the file is none that Lehr writes, or cannot be read.
    """
    path = folder / DIGESTS
    try:
        with open_file(path, MAX_BYTES, links=False) as file:
            size = os.fstat(file.fileno()).st_size
            line, newline, _ = file.read(MAX_HEADER).partition(b"\n")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None
    try:
        header = Header.model_validate_json(line)
        if not newline or header.line != line + b"\n" or header.dtype.itemsize > MAX_RECORD:
            raise ValueError
    except (ValidationError, ValueError):
        raise InputError(f"{path}: is damaged, or was not written by this version of Lehr. Remove it.") from None
    return DigestFile(path, header, (size - len(header.line)) // header.dtype.itemsize)
