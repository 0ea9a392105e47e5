"""Headers of BMP and PNM, and the boxes of AVIF and HEIF."""

from __future__ import annotations

import re

from lehr.data.images.byte_source import ByteSource
from lehr.data.images.problem import BadImage, truncated

UNCOMPRESSED = (0, 3)
"""Compressions of BMP that leave the pixels uncompressed."""

MANY_BOXES = 100_000
"""Boxes of a file from which it is taken for damaged."""

_BLANKS, _NUMBER = rb"(?:\s|#[^\n]*\n)+", rb"(\d{1,9})"
PNM_HEADER = re.compile(rb"P([1-6])%b%b%b%b(?:%b%b)?\s" % (3 * (_BLANKS, _NUMBER)))


def bmp_size(source: ByteSource) -> tuple[int, int, bool | None]:
    """Width and height of a BMP, pixels, and whether it is whole; None if only decoding shows it.

    Raises:
        BadImage: the header is damaged.
    """
    head = source.read(0, 34)
    if len(head) < 26:
        raise truncated()
    if head[14] == 12:  # OS/2
        width, height = (int.from_bytes(head[at : at + 2], "little") for at in (18, 20))
        return width, height, None
    if len(head) < 34:
        raise truncated()
    width, height = (int.from_bytes(head[at : at + 4], "little", signed=True) for at in (18, 22))
    if width <= 0 or height == 0:
        raise BadImage("has a damaged BMP header. Copy it again or remove it.")
    bits, compression = int.from_bytes(head[28:30], "little"), int.from_bytes(head[30:34], "little")
    if compression not in UNCOMPRESSED:
        return width, abs(height), None
    row = (width * bits + 31) // 32 * 4
    return width, abs(height), int.from_bytes(head[10:14], "little") + row * abs(height) <= source.size


def pnm_size(source: ByteSource) -> tuple[int, int, int, bool | None]:
    """Width and height of a PNM, pixels, the number that means white, and whether it is whole.

    Raises:
        BadImage: the header is damaged.
    """
    found = PNM_HEADER.match(source.read(0, 1024))
    if found is None:
        raise BadImage("has a damaged PNM header. Copy it again or remove it.")
    kind, width, height = int(found[1]), int(found[2]), int(found[3])
    if kind in (1, 4):  # one bit, so what looks like a fourth number is pixels
        raster = found.end(3) + 1
        return width, height, 255, None if kind == 1 else raster + (width + 7) // 8 * height <= source.size
    if found[4] is None:
        raise BadImage("has a damaged PNM header. Copy it again or remove it.")
    max_value = int(found[4])
    if kind in (2, 3):
        return width, height, max_value, None
    sample = (2 if max_value > 255 else 1) * (3 if kind == 6 else 1)
    return width, height, max_value, found.end() + width * height * sample <= source.size


def boxes_are_whole(source: ByteSource) -> bool:
    """Return whether the boxes of an ISO media file end within it."""
    at = 0
    for _ in range(MANY_BOXES):
        if at >= source.size:
            break
        head = source.read(at, 16)
        length = int.from_bytes(head[:4], "big")
        if length == 1:
            length = int.from_bytes(head[8:16], "big")
        if length == 0:  # up to the end of the file
            return True
        if length < 8:
            return False
        at += length
    return at == source.size
