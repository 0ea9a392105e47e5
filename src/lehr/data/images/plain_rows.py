"""Rows of BMP and PNM that are not compressed, as small files that whole-file decoders accept."""

from __future__ import annotations

from dataclasses import dataclass

from lehr.data.images.byte_source import ByteSource
from lehr.data.images.plain_headers import PNM_HEADER
from lehr.data.images.problem import truncated

BMP_HEAD = 4096
"""Bytes of the longest header of a BMP: with a palette of 256 colours it has some 1,200."""
BMP_BITS = (8, 24, 32)
"""Bits of a pixel, in which rows begin at whole bytes."""

Region = tuple[int, int, int, int]
"""xyxy, whole pixels of an image as stored."""


@dataclass(frozen=True, slots=True)
class PlainRows:
    """Rows of a file that lie behind one another.

    Attributes:
        width: of the image, pixels.
        height: of the image, pixels.
        start: offset of the row that is stored first.
        row_bytes: bytes of a row.
        upward: whether the lowest row is stored first.
        head: the file's header.
        bmp: whether it is a BMP; else a PNM.
    """

    width: int
    height: int
    start: int
    row_bytes: int
    upward: bool
    head: bytes
    bmp: bool

    def around(self, region: Region) -> Region:
        """The rows that a region touches, over the whole width, pixels."""
        return 0, region[1], self.width, region[3]

    def cut(self, source: ByteSource, piece: Region) -> bytes:
        """A file of some rows alone.

        Args:
            source: the whole file.
            piece: the rows, as `around` gives them.

        Raises:
            BadImage: rows are cut off.
        """
        top, bottom = piece[1], piece[3]
        first = self.height - bottom if self.upward else top
        count = (bottom - top) * self.row_bytes
        rows = source.read(self.start + first * self.row_bytes, count)
        if len(rows) < count:
            raise truncated()
        if not self.bmp:
            kind, maximum = self.head[:2], self.head.split()[-1]
            return b"%b %d %d %b\n%b" % (kind, self.width, bottom - top, maximum, rows)
        height = (bottom - top) * (1 if self.upward else -1)
        sizes = (len(self.head) + count).to_bytes(4, "little"), height.to_bytes(4, "little", signed=True)
        return b"".join(
            (self.head[:2], sizes[0], self.head[6:22], sizes[1], self.head[26:34], bytes(4), self.head[38:], rows)
        )


def bmp_rows(source: ByteSource) -> PlainRows | None:
    """The rows of a BMP; None if they are compressed, or do not begin at bytes.

    Args:
        source: the file, whose header has been read by `bmp_size`.
    """
    head = source.read(0, 54)
    start, bits = int.from_bytes(head[10:14], "little"), int.from_bytes(head[28:30], "little")
    compression = int.from_bytes(head[30:34], "little")
    if len(head) < 54 or head[14] < 40 or compression != 0 or bits not in BMP_BITS or not 54 <= start <= BMP_HEAD:
        return None
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
    row_bytes = (width * bits + 31) // 32 * 4
    return PlainRows(width, abs(height), start, row_bytes, height > 0, source.read(0, start), bmp=True)


def pnm_rows(source: ByteSource) -> PlainRows | None:
    """The rows of a PNM; None if its numbers are text, of one bit or of two bytes.

    Args:
        source: the file, whose header has been read by `pnm_size`.
    """
    found = PNM_HEADER.match(source.read(0, 1024))
    if found is None or found[4] is None or int(found[4]) > 255 or int(found[1]) not in (5, 6):
        return None
    width, height = int(found[2]), int(found[3])
    row_bytes = width * (3 if int(found[1]) == 6 else 1)
    head = b"P%b %b" % (found[1], found[4])
    return PlainRows(width, height, found.end(), row_bytes, upward=False, head=head, bmp=False)
