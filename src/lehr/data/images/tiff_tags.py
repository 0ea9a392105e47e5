"""Tags of TIFF files and of EXIF, which is written as one."""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lehr.data.images.byte_source import ByteSource

ORIENTATION = 0x0112
MAX_ENTRIES = 4096
MANY_NUMBERS = 2**20
"""Numbers of a tag from which it is taken for damaged: one for each row of the tallest image."""
TYPE_BYTES = (0, 1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4, 0, 0, 8, 8, 8)
"""Bytes of a number of each type."""
TYPE_FORMATS = {1: "B", 3: "H", 4: "I", 13: "I", 16: "Q", 18: "Q"}
"""`struct` formats of the whole-number types of TIFF."""


@dataclass(frozen=True, slots=True)
class _Entry:
    """A tag's value: its type, how many numbers, and the offset of the first."""

    kind: int
    count: int
    offset: int


class TiffTags:
    """The tags of the first image of a TIFF file, or of an EXIF block.

    Args:
        source: where it is.
        base: offset of its first byte.

    Raises:
        ValueError: it is not TIFF.
    """

    def __init__(self, source: ByteSource, base: int = 0) -> None:
        head = source.read(base, 16)
        self._order = {b"II": "<", b"MM": ">"}.get(head[:2], "")
        if not self._order or len(head) < 8:
            raise ValueError("no TIFF header")
        version = self._unpack("H", head[2:4])
        if version not in (42, 43):
            raise ValueError("no TIFF header")
        self._source, self._base = source, base
        big = version == 43
        self._offset_format, self._inline = ("Q", 8) if big else ("I", 4)
        start = base + self._unpack(self._offset_format, head[8:16] if big else head[4:8])
        count_format, count_bytes, entry_bytes = ("Q", 8, 20) if big else ("H", 2, 12)
        count = self._unpack(count_format, source.read(start, count_bytes))
        if count > MAX_ENTRIES:
            raise ValueError("too many tags")
        self._first = start + count_bytes
        self._entry_bytes = entry_bytes
        self._raw = source.read(self._first, entry_bytes * count)

    def _unpack(self, form: str, data: bytes) -> int:
        try:
            return int(struct.unpack(self._order + form, data)[0])
        except struct.error:
            raise ValueError("cut off") from None

    def _entry(self, tag: int) -> _Entry | None:
        wanted = struct.pack(self._order + "H", tag)
        for at in range(0, len(self._raw) - self._entry_bytes + 1, self._entry_bytes):
            if self._raw[at : at + 2] == wanted:
                break
        else:
            return None
        kind = self._unpack("H", self._raw[at + 2 : at + 4])
        form = TYPE_FORMATS.get(kind)
        if form is None:
            return None
        value_at = at + 4 + self._inline
        count = self._unpack(self._offset_format, self._raw[at + 4 : value_at])
        offset = self._first + value_at
        if count * struct.calcsize(form) > self._inline:
            offset = self._base + self._unpack(self._offset_format, self._raw[value_at : value_at + self._inline])
        return _Entry(kind, count, offset)

    def __contains__(self, tag: int) -> bool:
        wanted, step = struct.pack(self._order + "H", tag), self._entry_bytes
        return any(self._raw[at : at + 2] == wanted for at in range(0, len(self._raw), step))

    def numbers(self, tag: int) -> tuple[int, ...]:
        """Whole numbers of a tag; none if it is missing, of another type or cut off."""
        entry = self._entry(tag)
        if entry is None:
            return ()
        if entry.count > MANY_NUMBERS:
            raise ValueError("too many numbers")
        form = TYPE_FORMATS[entry.kind]
        width = struct.calcsize(form)
        data = self._source.read(entry.offset, width * min(entry.count, self._source.size // width))
        return struct.unpack(f"{self._order}{len(data) // width}{form}", data[: len(data) // width * width])

    @property
    def order(self) -> str:
        """Byte order, as `struct` writes it."""
        return self._order

    def value(self, tag: int) -> tuple[int, int, bytes] | None:
        """Type, count and bytes of a tag of any type that is known; None if it is missing.

        Raises:
            ValueError: it has more numbers than a tag has, or is cut off.
        """
        wanted, step = struct.pack(self._order + "H", tag), self._entry_bytes
        starts = range(0, len(self._raw) - step + 1, step)
        at = next((at for at in starts if self._raw[at : at + 2] == wanted), None)
        if at is None:
            return None
        kind = self._unpack("H", self._raw[at + 2 : at + 4])
        value_at = at + 4 + self._inline
        count = self._unpack(self._offset_format, self._raw[at + 4 : value_at])
        length = count * (TYPE_BYTES[kind] if kind < len(TYPE_BYTES) else 0)
        if count > MANY_NUMBERS or not length:
            raise ValueError("too many numbers, or of a type that is not known")
        offset = self._first + value_at
        if length > self._inline:
            offset = self._base + self._unpack(self._offset_format, self._raw[value_at : value_at + self._inline])
        data = self._source.read(offset, length)
        if len(data) < length:
            raise ValueError("cut off")
        return kind, count, data

    @property
    def nbytes(self) -> int:
        """Bytes that the values of all tags take, those within their entries aside; decoders read each of them."""
        total, step = 0, self._entry_bytes
        for at in range(0, len(self._raw) - step + 1, step):
            kind = self._unpack("H", self._raw[at + 2 : at + 4])
            count = self._unpack(self._offset_format, self._raw[at + 4 : at + 4 + self._inline])
            size = count * (TYPE_BYTES[kind] if kind < len(TYPE_BYTES) else 0)
            total += size if size > self._inline else 0
        return total

    def is_twice(self, tag: int) -> bool:
        """Return whether a tag has several entries, of which decoders take different ones."""
        wanted, step = struct.pack(self._order + "H", tag), self._entry_bytes
        return sum(self._raw[at : at + 2] == wanted for at in range(0, len(self._raw), step)) > 1

    def number(self, tag: int, default: int) -> int:
        """First whole number of a tag, or the default."""
        return next(iter(self.numbers(tag)), default)

    @property
    def orientation(self) -> int:
        """EXIF's orientation, 1 to 8; 1 if there is none."""
        value = self.number(ORIENTATION, 1)
        return value if 1 <= value <= 8 else 1

    @property
    def orientation_place(self) -> tuple[int, bytes] | None:
        """Offset of the orientation's number, and the bytes that would make it 1; None if there is none."""
        entry = self._entry(ORIENTATION)
        if entry is None:
            return None
        return entry.offset, struct.pack(self._order + TYPE_FORMATS[entry.kind], 1)


def exif_orientation(source: ByteSource, base: int) -> int:
    """Orientation that an EXIF block states, 1 to 8; 1 if it states none or is damaged.

    Args:
        source: where it is.
        base: offset of the block, or of the `Exif` marker before it.
    """
    if source.read(base, 6) == b"Exif\0\0":
        base += 6
    try:
        return TiffTags(source, base).orientation
    except ValueError:
        return 1
