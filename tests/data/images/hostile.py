"""Image files that ask for far more than they hold: memory, time, or another program."""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable
from functools import partial

import numpy as np
from PIL import Image

SIDE = 60_000
"""Width and height that no limit admits."""


def small(kind: str, **options: object) -> bytes:
    """An image of 8 x 8 pixels, in one of Pillow's formats."""
    file = io.BytesIO()
    Image.fromarray(np.arange(192, dtype=np.uint8).reshape(8, 8, 3)).save(file, kind, **options)
    return file.getvalue()


def chunk(kind: bytes, data: bytes) -> bytes:
    """A chunk of a PNG."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def ihdr(side: int) -> bytes:
    """The header of a PNG, grey."""
    return chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0))


def png(side: int, *more: bytes) -> bytes:
    """A PNG of zeros that are not all there, with further chunks behind its header."""
    pixels = zlib.compress(bytes(9 * min(side, 64)))
    return b"\x89PNG\r\n\x1a\n" + ihdr(side) + b"".join(more) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")


def jpeg(*parts: bytes) -> bytes:
    """A JPEG with further parts before its own."""
    return b"\xff\xd8" + b"".join(parts) + small("JPEG")[2:]


def frame(marker: int, side: int) -> bytes:
    """The header of a JPEG's frame of one component."""
    return struct.pack(">BBHBHHBBBB", 0xFF, marker, 11, 8, side, side, 1, 1, 0x11, 0)


def two_frames() -> bytes:
    """A JPEG with the header of a large frame behind that of its own."""
    data = small("JPEG")
    at = data.index(b"\xff\xda")
    return data[:at] + frame(0xC0, SIDE) + data[at:]


def many_scans(count: int = 5000, side: int = 8192) -> bytes:
    """A progressive JPEG that goes through its pixels again and again, each time for a few bytes."""
    data = bytearray(small("JPEG", progressive=True))
    at = data.index(b"\xff\xc2")
    data[at + 5 : at + 9] = struct.pack(">HH", side, side)
    scan = data.rindex(b"\xff\xda")
    return bytes(data[:-2]) + bytes(data[scan:-2]) * count + b"\xff\xd9"


def tiff(tags: list[tuple[int, int, int, int]], tail: bytes = b"") -> bytes:
    """A TIFF of one strip at its end; tags are number, type, count and value."""
    body = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    body += b"".join(struct.pack("<HHII", *tag) for tag in sorted(tags, key=lambda tag: tag[0]))
    return body + struct.pack("<I", 0) + tail


def tiff_tags(width: int = 8, height: int = 8, samples: int = 1) -> list[tuple[int, int, int, int]]:
    """Tags of a grey image without compression."""
    return [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 8),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (273, 4, 1, 8),
        (277, 3, 1, samples),
        (278, 4, 1, height),
        (279, 4, 1, 64),
    ]


def tiff_of_two_sizes() -> bytes:
    """A TIFF with two widths and heights, of which decoders take different ones."""
    return tiff([*tiff_tags(), (256, 4, 1, SIDE), (257, 4, 1, SIDE)], bytes(64))


def tiff_of_one_value_many_times() -> bytes:
    """A TIFF with thousands of tags whose values are the same megabyte."""
    return tiff([*tiff_tags(), *((40_000 + i, 1, 2**20, 8) for i in range(4000))], bytes(2**20))


def tiff_of_a_large_tile() -> bytes:
    """A small TIFF whose only tile is huge."""
    tags = [tag for tag in tiff_tags() if tag[0] not in (273, 278, 279)]
    return tiff([*tags, (322, 4, 1, 65520), (323, 4, 1, 65520), (324, 4, 1, 8), (325, 4, 1, 64)], bytes(64))


def tiff_of_many_bands() -> bytes:
    """A TIFF of as many bands as the format has room for."""
    tags = [tag if tag[0] != 262 else (262, 3, 1, 2) for tag in tiff_tags(8192, 8192, 65535)]
    return tiff(tags, bytes(64))


def tiff_of_many_strips() -> bytes:
    """A TIFF of more strips than it has rows."""
    count = 2**21
    tags = [tag for tag in tiff_tags() if tag[0] not in (273, 279)]
    data = tiff([*tags, (273, 4, count, 200), (279, 4, count, 200)])
    return data + bytes(4 * count)


def jp2_of_two_sizes() -> bytes:
    """A JPEG 2000 whose boxes say that it is small, and whose codestream that it is large."""
    data = bytearray(small("JPEG2000"))
    at = data.index(b"\xff\x4f\xff\x51")
    data[at + 8 : at + 16] = struct.pack(">II", SIDE, SIDE)
    data[at + 24 : at + 32] = struct.pack(">II", SIDE, SIDE)
    return bytes(data)


def jp2_of_a_wide_palette() -> bytes:
    """A JPEG 2000 whose palette makes 255 numbers of each pixel."""
    data = small("JPEG2000")
    at = data.index(b"jp2h") - 4
    (length,) = struct.unpack(">I", data[at : at + 4])
    palette = struct.pack(">HB", 1, 255) + bytes([7]) * 255 + bytes(255)
    boxes = struct.pack(">I", 8 + len(palette)) + b"pclr" + palette
    inside = data[at + 8 : at + length] + boxes
    return data[:at] + struct.pack(">I", 8 + len(inside)) + b"jp2h" + inside + data[at + length :]


def jp2_of_many_bands() -> bytes:
    """A JPEG 2000 of as many components as the format has room for."""
    data = bytearray(small("JPEG2000"))
    at = data.index(b"\xff\x4f\xff\x51")
    data[at + 40 : at + 42] = struct.pack(">H", 16384)
    return bytes(data)


def gif_of_a_large_frame() -> bytes:
    """A GIF whose frame is larger than its screen."""
    data = bytearray(small("GIF"))
    at = data.index(b"\x2c")
    data[at + 5 : at + 9] = struct.pack("<HH", 65535, 65535)
    return bytes(data)


def webp_of_two_sizes() -> bytes:
    """A WebP whose container says that it is small, and whose pixels that they are many."""
    inner = bytearray(small("WEBP")[12:])
    at = inner.index(b"\x9d\x01\x2a")
    inner[at + 3 : at + 7] = struct.pack("<HH", 16383, 16383)
    body = b"WEBP" + b"VP8X" + struct.pack("<I", 10) + bytes(4) + b"\x07\0\0\x07\0\0" + bytes(inner)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def webp_of_many_chunks() -> bytes:
    """A WebP with a million chunks before its EXIF."""
    body = (
        b"WEBP" + b"VP8X" + struct.pack("<I", 10) + b"\x08\0\0\0" + b"\x07\0\0\x07\0\0" + (b"JUNK" + bytes(4)) * 10**6
    )
    return b"RIFF" + struct.pack("<I", len(body)) + body


def avif_of_a_large_size() -> bytes:
    """An AVIF whose properties say that it is large."""
    data = bytearray(small("AVIF"))
    at = data.index(b"ispe")
    data[at + 8 : at + 16] = struct.pack(">II", SIDE, SIDE)
    return bytes(data)


def avif_of_many_boxes() -> bytes:
    """An AVIF with a million empty boxes."""
    return small("AVIF") + (struct.pack(">I", 8) + b"free") * 10**6


HOSTILE: dict[str, Callable[[], bytes]] = {
    "large.png": partial(png, SIDE),
    "two-headers.png": lambda: png(8, ihdr(SIDE)),
    "many-chunks.png": lambda: png(8, chunk(b"tEXt", b"") * 10**6),
    "large.jpg": lambda: jpeg(frame(0xC0, SIDE)),
    "two-frames.jpg": two_frames,
    "fill-bytes.jpg": lambda: b"\xff\xd8" + b"\xff" * 2**24,
    "empty-segments.jpg": lambda: b"\xff\xd8" + b"\xff\xe0\0\x02" * 2**22,
    "scans.jpg": many_scans,
    "large.tif": lambda: tiff(tiff_tags(SIDE, SIDE), bytes(64)),
    "two-sizes.tif": tiff_of_two_sizes,
    "same-value.tif": tiff_of_one_value_many_times,
    "tile.tif": tiff_of_a_large_tile,
    "bands.tif": tiff_of_many_bands,
    "strips.tif": tiff_of_many_strips,
    "two-sizes.jp2": jp2_of_two_sizes,
    "palette.jp2": jp2_of_a_wide_palette,
    "bands.jp2": jp2_of_many_bands,
    "frame.gif": gif_of_a_large_frame,
    "two-sizes.webp": webp_of_two_sizes,
    "chunks.webp": webp_of_many_chunks,
    "large.avif": avif_of_a_large_size,
    "boxes.avif": avif_of_many_boxes,
    "large.bmp": lambda: b"BM" + struct.pack("<IIIIiiHHIIiiII", 118, 0, 54, 40, SIDE, SIDE, 1, 8, 1, 0, 0, 0, 0, 0),
    "large.ppm": lambda: b"P6 %d %d 255\n" % (SIDE, SIDE) + bytes(64),
    "large.pbm": lambda: b"P1 %d %d\n" % (SIDE, SIDE) + b"1 " * 64,
    "digits.pgm": lambda: b"P5 " + b"9" * 900 + b" 9 255\n" + bytes(64),
    "large.qoi": lambda: b"qoif" + struct.pack(">IIBB", SIDE, SIDE, 3, 0) + b"\xfd" * 64,
    "large.tga": lambda: struct.pack("<BBBHHBHHHHBB", 0, 0, 10, 0, 0, 0, 0, 0, SIDE, SIDE, 24, 0) + b"\xff\0\0\0" * 64,
}
"""Files by name, each made when it is asked for."""
