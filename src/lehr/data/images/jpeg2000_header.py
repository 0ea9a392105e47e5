"""Header of JPEG 2000: of its codestream, which is what decoders make room for, whatever the boxes around it say."""

from __future__ import annotations

from dataclasses import dataclass

from lehr.data.images.byte_source import ByteSource
from lehr.data.images.problem import BadImage

CODESTREAM = b"\xff\x4f\xff\x51"
"""Markers SOC and SIZ, with which a codestream begins."""
MANY_BOXES, MANY_BYTES = 1000, 65536


@dataclass(frozen=True, slots=True)
class Jpeg2000Facts:
    """Header of a codestream.

    Attributes:
        width: pixels.
        height: pixels.
        bands: numbers of a pixel, with those that a palette makes of them.
        bits: of a sample.
    """

    width: int
    height: int
    bands: int
    bits: int


def read_jpeg2000(source: ByteSource) -> Jpeg2000Facts:
    """Read the header of a JPEG 2000.

    Raises:
        BadImage: it is damaged.
    """
    at, palette = (0, 0) if source.read(0, 4) == CODESTREAM else _find_codestream(source)
    head = source.read(at, 45)
    if head[:4] != CODESTREAM or len(head) < 45:
        raise BadImage("has a damaged JPEG 2000 header. Copy it again or remove it.")
    right, bottom, left, top = (int.from_bytes(head[8 + 4 * i : 12 + 4 * i], "big") for i in range(4))
    bands = int.from_bytes(head[40:42], "big")
    return Jpeg2000Facts(right - left, bottom - top, max(bands, palette), (head[42] & 0x7F) + 1)


def _find_codestream(source: ByteSource) -> tuple[int, int]:
    """Offset of the codestream among the boxes of a file, and the columns of its palette, 0 if it has none."""
    at = palette = 0
    for _ in range(MANY_BOXES):
        head = source.read(at, 16)
        if len(head) < 8:
            break
        length, start = int.from_bytes(head[:4], "big"), 8
        if length == 1:
            length, start = int.from_bytes(head[8:16], "big"), 16
        kind = head[4:8]
        if kind == b"jp2c":
            return at + start, palette
        if kind == b"jp2h":
            inner = source.read(at + start, min(length or MANY_BYTES, MANY_BYTES))
            found = inner.find(b"pclr")
            while found >= 0:
                palette = max(palette, *inner[found + 6 : found + 7], 0)
                found = inner.find(b"pclr", found + 1)
        if length < start:
            break
        at += length
    raise BadImage("has a damaged JPEG 2000 header. Copy it again or remove it.")
