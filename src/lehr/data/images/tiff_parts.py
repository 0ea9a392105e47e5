"""Parts of a TIFF: its tiles or strips that cover a region, as a small TIFF that whole-file decoders accept.

Each tile and each strip is compressed separately, so that whatever is decoded as a whole (LZW, deflate, JPEG, ...) is
decoded in parts, to the same pixels, by the same code.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from lehr.data.images.byte_source import ByteSource
from lehr.data.images.problem import BadImage, truncated
from lehr.data.images.tiff_header import (
    HEIGHT,
    SAMPLES,
    STRIP_BYTES,
    STRIP_OFFSETS,
    TILE_BYTES,
    TILE_HEIGHT,
    TILE_OFFSETS,
    TILE_WIDTH,
    WIDTH,
)
from lehr.data.images.tiff_tags import TiffTags
from lehr.data.limits import BYTES_A_PIXEL, OTHER_BYTES

COMPRESSION, ROWS_A_STRIP, PLANAR = 259, 278, 284
OLD_JPEG = 6
"""Compression whose tables are outside of the tiles, wherever its writer put them."""
SEPARATE = 2
"""Planar configuration of files that hold one band after another."""
KEPT = (258, COMPRESSION, 262, 266, SAMPLES, PLANAR, 292, 293, 317, 320, 332, 338, 339, 347, 529, 530, 531, 532)
"""Tags that say how tiles and strips are coded and what their numbers mean."""
SHORT, LONG = 3, 4
"""Types of numbers, of 2 and 4 bytes."""
UNBOUNDED = 2**31
"""Rows of a strip where the file does not say how many, so that there is one."""
LARGEST = 2**31
"""Bytes of parts that are put into one file; its offsets have 4 bytes."""

Region = tuple[int, int, int, int]
"""xyxy, whole pixels of an image as stored."""


@dataclass(frozen=True, slots=True)
class TiffParts:
    """Tiles or strips of a TIFF.

    Attributes:
        width: of the image, pixels.
        height: of the image, pixels.
        part_width: of a tile, pixels; of a strip, the image's.
        part_height: rows of a tile or strip.
        tiled: whether they are tiles.
        planes: bands that are stored one after another; 1 if they are not.
        offsets: of each part, plane by plane and row by row.
        counts: bytes of each.
        order: byte order, as `struct` writes it.
        tags: number, type, count and bytes of the tags in `KEPT`.
    """

    width: int
    height: int
    part_width: int
    part_height: int
    tiled: bool
    planes: int
    offsets: tuple[int, ...]
    counts: tuple[int, ...]
    order: str
    tags: tuple[tuple[int, int, int, bytes], ...]

    @property
    def columns(self) -> int:
        """Parts in a row."""
        return -(-self.width // self.part_width)

    @property
    def rows(self) -> int:
        """Rows of parts."""
        return -(-self.height // self.part_height)

    def around(self, region: Region) -> Region:
        """The rectangle of the parts that a region touches, pixels."""
        x1, y1, x2, y2 = region
        w, h = self.part_width, self.part_height
        return x1 // w * w, y1 // h * h, min(-(-x2 // w) * w, self.width), min(-(-y2 // h) * h, self.height)

    def cut(self, source: ByteSource, piece: Region) -> bytes:
        """A TIFF of some parts alone.

        Args:
            source: the whole file.
            piece: their rectangle, as `around` gives it.

        Raises:
            BadImage: parts are cut off, or have more bytes than their pixels can take.
        """
        left, top = piece[0] // self.part_width, piece[1] // self.part_height
        right, bottom = -(-piece[2] // self.part_width), -(-piece[3] // self.part_height)
        indices = [
            plane * self.columns * self.rows + row * self.columns + column
            for plane in range(self.planes)
            for row in range(top, bottom)
            for column in range(left, right)
        ]
        width, height = piece[2] - piece[0], piece[3] - piece[1]
        if sum(self.counts[i] for i in indices) > min(BYTES_A_PIXEL * width * height + OTHER_BYTES, LARGEST):
            raise BadImage("has tiles of more bytes than their pixels take. Write it again or remove it.")
        blocks = [source.read(self.offsets[i], self.counts[i]) for i in indices]
        if any(len(block) < self.counts[i] for block, i in zip(blocks, indices, strict=True)):
            raise truncated()
        return self._file(width, height, blocks)

    def _file(self, width: int, height: int, blocks: list[bytes]) -> bytes:
        """A TIFF of some blocks of pixels."""
        starts, at = [], 8
        for block in blocks:
            starts.append(at)
            at += len(block) + len(block) % 2
        longs = [
            (WIDTH, [width]),
            (HEIGHT, [height]),
            (TILE_OFFSETS if self.tiled else STRIP_OFFSETS, starts),
            (TILE_BYTES if self.tiled else STRIP_BYTES, [len(block) for block in blocks]),
            *([(TILE_WIDTH, [self.part_width]), (TILE_HEIGHT, [self.part_height])] if self.tiled else []),
            *([] if self.tiled else [(ROWS_A_STRIP, [self.part_height])]),
        ]
        entries = [(tag, LONG, len(n), struct.pack(f"{self.order}{len(n)}I", *n)) for tag, n in longs]
        entries = sorted([*entries, *self.tags])
        values_at, values, table = at + 2 + 12 * len(entries) + 4, b"", b""
        for tag, kind, count, value in entries:
            inline = value.ljust(4, b"\0")
            if len(value) > 4:
                inline = struct.pack(f"{self.order}I", values_at + len(values))
                values += value + b"\0" * (len(value) % 2)
            table += struct.pack(f"{self.order}HHI", tag, kind, count) + inline
        head = (b"II" if self.order == "<" else b"MM") + struct.pack(f"{self.order}HI", 42, at)
        padded = [block + b"\0" * (len(block) % 2) for block in blocks]
        return b"".join((head, *padded, struct.pack(f"{self.order}H", len(entries)), table, bytes(4), values))


def tiff_parts(source: ByteSource) -> TiffParts | None:
    """The tiles or strips of a TIFF; None if it has only one, or its parts cannot be decoded separately.

    Args:
        source: the file, whose header has been read by `read_tiff`.
    """
    try:
        return _parts(TiffTags(source))
    except ValueError:  # the decoder of whole files says what is wrong
        return None


def _parts(tags: TiffTags) -> TiffParts | None:
    width, height, tiled = tags.number(WIDTH, 0), tags.number(HEIGHT, 0), TILE_OFFSETS in tags
    planes = tags.number(SAMPLES, 1) if tags.number(PLANAR, 1) == SEPARATE else 1
    part_width = tags.number(TILE_WIDTH, 0) if tiled else width
    part_height = tags.number(TILE_HEIGHT, 0) if tiled else min(height, tags.number(ROWS_A_STRIP, UNBOUNDED))
    offsets = tags.numbers(TILE_OFFSETS if tiled else STRIP_OFFSETS)
    counts = tags.numbers(TILE_BYTES if tiled else STRIP_BYTES)
    if min(width, height, part_width, part_height) <= 0 or tags.number(COMPRESSION, 1) == OLD_JPEG:
        return None
    kept = tuple((tag, *value) for tag in KEPT if (value := tags.value(tag)) is not None)
    parts = TiffParts(width, height, part_width, part_height, tiled, planes, offsets, counts, tags.order, kept)
    count = parts.columns * parts.rows
    return parts if count > 1 and len(offsets) == len(counts) == count * planes else None
