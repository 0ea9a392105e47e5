"""ZIP archives as `torch.save` writes them: entries by name, as they are in the file, none compressed and none twice.

The directory at the end of the file must describe it: an entry that is compressed, or shares bytes with another, would
make much of little; a name with `..` leads out of the archive.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable
from dataclasses import dataclass

from lehr.runtime.plain_text import one_line
from lehr.runtime.reading import MIB

END, END64, LOCATOR, ENTRY, LOCAL = b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07", b"PK\x01\x02", b"PK\x03\x04"
END_LENGTH, END64_LENGTH, LOCATOR_LENGTH, ENTRY_LENGTH, LOCAL_LENGTH = 22, 56, 20, 46, 30
LONGEST_COMMENT = 2**16 - 1
STORED, ENCRYPTED = 0, 1
MAX_ENTRIES, MAX_DIRECTORY = 50_000, 16 * MIB
DAMAGED = "is damaged: its archive's directory does not describe it. Copy it again."


class DamagedArchive(ValueError):
    """An archive that cannot be read; the text says why, to be put behind the file's name."""


ReadAt = Callable[[int, int], bytes]
"""Reads from an offset on a number of bytes; fewer where the file ends."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of an archive.

    Attributes:
        start: its first byte in the file.
        length: its bytes.
        checksum: their CRC-32; 0 where the writer gave none.
    """

    start: int
    length: int
    checksum: int

    def fits(self, data: bytes | memoryview) -> bool:
        """Return whether bytes are those of the entry, by their checksum."""
        return self.checksum in (0, zlib.crc32(data))


def list_entries(read_at: ReadAt, size: int, last: int | None = None) -> dict[str, Entry]:
    """Return an archive's entries by name, folder included.

    Args:
        read_at: reads the file.
        size: bytes of the file.
        last: where the last record of the archive begins; None where it is to be found.

    Raises:
        DamagedArchive: the archive is cut off, damaged, compressed, or was not written by torch.
    """
    try:
        directory, count, start = _directory(read_at, size, last)
        headers = _headers(directory, count)
        return _located(read_at, headers, start)
    except (struct.error, UnicodeDecodeError):
        raise DamagedArchive(DAMAGED) from None


@dataclass(frozen=True, slots=True)
class _Header:
    """An entry as the directory describes it."""

    name: str
    header: int
    length: int
    checksum: int


def _directory(read_at: ReadAt, size: int, last: int | None) -> tuple[bytes, int, int]:
    """The directory of an archive, its number of entries, and its first byte in the file."""
    tail_start = max(0, size - END_LENGTH - LONGEST_COMMENT)
    tail = read_at(tail_start, size - tail_start)
    place = tail.rfind(END) if last is None else last - tail_start
    if place < 0 or tail[place : place + 4] != END or len(tail) - place < END_LENGTH:
        raise DamagedArchive("is cut off: the end of its archive is missing. Copy it again.")
    (comment,) = struct.unpack_from("<H", tail, place + 20)
    if place + END_LENGTH + comment != len(tail):
        raise DamagedArchive("is damaged: something follows the end of its archive. Copy it again.")
    count, length, start = struct.unpack_from("<HII", tail, place + 10)
    end = tail_start + place
    if place >= LOCATOR_LENGTH and tail[place - LOCATOR_LENGTH :][:4] == LOCATOR:
        (end,) = struct.unpack_from("<Q", tail, place - LOCATOR_LENGTH + 8)
        record = read_at(end, END64_LENGTH) if end < size else b""
        if record[:4] != END64:
            raise DamagedArchive(DAMAGED)
        count, length, start = struct.unpack_from("<QQQ", record, 32)
    if count > MAX_ENTRIES or length > MAX_DIRECTORY or start + length != end or length < count * ENTRY_LENGTH:
        raise DamagedArchive(DAMAGED)
    return read_at(start, length), count, start


def _headers(directory: bytes, count: int) -> list[_Header]:
    """Entries as the directory describes them."""
    headers, place = [], 0
    for _ in range(count):
        if directory[place : place + 4] != ENTRY:
            raise DamagedArchive(DAMAGED)
        flags, method, _, checksum, packed, length = struct.unpack_from("<HHIIII", directory, place + 8)
        sizes = struct.unpack_from("<HHH", directory, place + 28)
        (header,) = struct.unpack_from("<I", directory, place + 42)
        place += ENTRY_LENGTH
        name = directory[place : place + sizes[0]].decode("utf-8")
        extra = directory[place + sizes[0] : place + sizes[0] + sizes[1]]
        place += sum(sizes)
        length, packed, header = _long_form(extra, length, packed, header)
        if method != STORED or flags & ENCRYPTED or length != packed:
            raise DamagedArchive(
                f"is compressed or encrypted ('{_readable(name)}'), as torch writes none. Unpack it first."
            )
        headers.append(_Header(name, header, length, checksum))
    if place != len(directory):
        raise DamagedArchive(DAMAGED)
    return headers


def _located(read_at: ReadAt, headers: list[_Header], end: int) -> dict[str, Entry]:
    """The entries by name, each where its own header says, before the directory and apart from the others."""
    entries: dict[str, Entry] = {}
    free = 0
    for entry in sorted(headers, key=lambda each: each.header):
        _check_name(entry.name)
        header = read_at(entry.header, LOCAL_LENGTH) if entry.header < end else b""
        if header[:4] != LOCAL or entry.name in entries:
            raise DamagedArchive(
                f"is damaged: '{_readable(entry.name)}' is twice in its archive, or not where it should be."
            )
        if entry.header < free:
            raise _overlaps(entry.name)
        name_length, extra_length = struct.unpack_from("<HH", header, 26)
        name = read_at(entry.header + LOCAL_LENGTH, name_length)
        if name != entry.name.encode("utf-8"):
            raise DamagedArchive(f"is damaged: '{_readable(entry.name)}' has another name where it is in its archive.")
        start = entry.header + LOCAL_LENGTH + name_length + extra_length
        if start + entry.length > end:
            raise _overlaps(entry.name)
        free = start + entry.length
        entries[entry.name] = Entry(start, entry.length, entry.checksum)
    return entries


def _overlaps(name: str) -> DamagedArchive:
    return DamagedArchive(f"is damaged: '{_readable(name)}' overlaps another part of its archive. Copy it again.")


def _check_name(name: str) -> None:
    parts = name.split("/")
    if ".." in parts or "" in parts[:-1] or "\\" in name or "\0" in name:
        raise DamagedArchive(
            f"has an archive with a name that leads out of it ('{_readable(name)}'), as torch writes none."
        )


def _long_form(extra: bytes, *values: int) -> tuple[int, ...]:
    """Numbers of an entry, of which those that 32 bits cannot hold are in a field behind it.

    Args:
        extra: the fields behind the entry.
        values: as they are in it, in the order of that field.
    """
    if 2**32 - 1 not in values:
        return values
    place = 0
    while place + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, place)
        if kind == 1:
            longer = iter(struct.unpack_from(f"<{length // 8}Q", extra, place + 4))
            return tuple(next(longer, value) if value == 2**32 - 1 else value for value in values)
        place += 4 + length
    return values


def _readable(name: str) -> str:
    """A name for a message: one line, cut short."""
    return one_line(name if len(name) <= 100 else f"{name[:100]}...")
