"""Headers of images: size, orientation and depth, and whether the file is whole, without decoding it.

Orientation is as a viewer of photographs shows it: EXIF's for JPEG, PNG, TIFF and WebP; for AVIF and HEIF the
transforms of the container, which their standards put in its place.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from zlib import crc32

from lehr.data.images.byte_source import ByteSource
from lehr.data.images.jpeg2000_header import read_jpeg2000
from lehr.data.images.kinds import PLUGINS, foreign, format_of, has_decoder, needs_decoder
from lehr.data.images.pillow import examine
from lehr.data.images.plain_headers import bmp_size, boxes_are_whole, pnm_size
from lehr.data.images.problem import BadImage, truncated
from lehr.data.images.tiff_header import read_tiff
from lehr.data.images.tiff_tags import exif_orientation
from lehr.data.limits import BYTES_A_PIXEL, OTHER_BYTES, too_many_pixels
from lehr.runtime.reading import MIB

MANY_PARTS, MANY_CHUNKS = 10_000, 2**20
"""Parts of a header, and of a file, from which it is taken for damaged: walking through them would take minutes."""
MANY_BYTES = 512 * MIB
"""Bytes of the largest file of a format whose header only the decoder reads, which wants all of it."""

TAIL = 65536
"""Bytes at the end of a PNG in which EXIF that follows the pixels is looked for."""

MANY_LATE = 16
"""Places at the end of a PNG that are looked at for EXIF."""

MANY_BANDS = 16
"""Bands of the largest image of bands, of which three are read."""

FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
"""Markers of JPEG that begin a frame and state its size."""
SCANNED = frozenset({0xC2, 0xC6, 0xCA, 0xCE})
"""Those of progressive JPEG, whose pixels are gone through once for each scan."""


@dataclass(frozen=True, slots=True)
class ImageHeader:
    """Facts of an image that are known before it is decoded.

    Attributes:
        format: e.g. "JPEG".
        width: as stored, pixels; 0 if only the decoder knows.
        height: as stored, pixels; 0 if only the decoder knows.
        orientation: how to turn it, 1 to 8 as EXIF counts; 1 leaves it.
        bits: of a sample.
        kind: "u" for whole numbers, "f" for floating point, "i" for whole numbers with a sign.
        max_value: the number that means white, where the format states it.
        white_is_zero: whether 0 means white.
        whole: whether the end of the file is there; None if only decoding shows it.
        tag_to_reset: offset and bytes that take the orientation out of a TIFF; None if it has none.
        scans: whether its pixels are coded in several scans, each of which goes through all of them.
    """

    format: str
    width: int
    height: int
    orientation: int = 1
    bits: int = 8
    kind: str = "u"
    max_value: int | None = None
    white_is_zero: bool = False
    whole: bool | None = True
    tag_to_reset: tuple[int, bytes] | None = None
    scans: bool = False

    @property
    def depth_unknown(self) -> bool:
        """True if the samples have more than 8 bits, of which the file does not say which number means white."""
        return (self.bits > 8 or self.kind == "f") and self.max_value is None

    @property
    def size(self) -> tuple[int, int]:
        """Width and height as displayed, pixels."""
        return (self.height, self.width) if self.orientation >= 5 else (self.width, self.height)


def read_header(source: ByteSource, suffix: str = "") -> ImageHeader:
    """Read an image's header.

    Args:
        source: its bytes.
        suffix: of its name, for TGA, which is recognized only by it.

    Raises:
        BadImage: it is not an image, its header is damaged, or it is too large.
    """
    head = source.read(0, 256)
    if not head:
        raise BadImage("is empty. Copy it again or remove it.", "truncated-image")
    name = format_of(head) or ("TGA" if suffix == "tga" else None)
    if name is None:
        raise BadImage(foreign(head))
    return READERS[name](source)


def _require_size(source: ByteSource, width: int, height: int, bits: int = 8) -> None:
    """Refuse an image of too many pixels, and a file of more bytes than these can take.

    Raises:
        BadImage: it is too large, or has no pixels.
    """
    too_large = too_many_pixels(width, height, bits)
    if too_large is not None:
        raise BadImage(too_large, "too-large-image")
    if width <= 0 or height <= 0:
        raise BadImage(f"has no pixels ({width}x{height}). Copy it again or remove it.")
    if source.size > BYTES_A_PIXEL * width * height + OTHER_BYTES:
        raise BadImage(
            f"is a file of {source.size / MIB:,.0f} MB, far more than its {width}x{height} pixels take. Write it again "
            "or remove it.",
            "too-large-image",
        )


def _jpeg(source: ByteSource) -> ImageHeader:
    orientation, at = 0, 2
    for _ in range(MANY_PARTS):
        segment = source.read(at, 4)
        if len(segment) < 4:
            raise truncated()
        marker = segment[1]
        if segment[0] != 0xFF:  # surplus bytes, which decoders skip
            surplus = source.read(at, TAIL).find(b"\xff")
            if surplus < 0:
                raise BadImage("has a damaged JPEG header. Copy it again or remove it.")
            at += surplus
        elif marker == 0xFF:
            at += 1
        elif marker in (0x00, 0x01) or 0xD0 <= marker <= 0xD8:
            at += 2
        elif marker in FRAMES:
            frame = source.read(at + 4, 5)
            if len(frame) < 5:
                raise truncated()
            height, width = int.from_bytes(frame[1:3], "big"), int.from_bytes(frame[3:5], "big")
            _require_size(source, width, height)
            whole = _jpeg_is_whole(source, at)
            return ImageHeader("JPEG", width, height, orientation or 1, frame[0], whole=whole, scans=marker in SCANNED)
        elif marker in (0xD9, 0xDA):
            raise BadImage("has a damaged JPEG header. Copy it again or remove it.")
        else:
            if marker == 0xE1 and not orientation and source.read(at + 4, 6) == b"Exif\0\0":
                orientation = exif_orientation(source, at + 4)
            at += 2 + int.from_bytes(segment[2:4], "big")
    raise BadImage("has a damaged JPEG header. Copy it again or remove it.")


def _jpeg_is_whole(source: ByteSource, frame: int) -> bool:
    """Return whether the end marker is there, before whatever cameras append."""
    tail = source.read(max(frame, source.size - 64), 64)
    if b"\xff\xd9" in tail.rstrip(b"\0")[-32:]:
        return True
    # Within pixels a byte FF is always followed by 00, so that an end marker behind the header is one.
    return b"\xff\xd9" in source.read(frame, source.size - frame)


def _png(source: ByteSource) -> ImageHeader:
    start = source.read(8, 25)
    if len(start) < 25:
        raise truncated()
    if start[4:8] != b"IHDR" or crc32(start[4:21]).to_bytes(4, "big") != start[21:25]:
        raise BadImage("has a damaged PNG header. Copy it again or remove it.")
    width, height = int.from_bytes(start[8:12], "big"), int.from_bytes(start[12:16], "big")
    _require_size(source, width, height)
    orientation, at = 0, 33
    for _ in range(MANY_PARTS):
        if orientation:
            break
        chunk = source.read(at, 8)
        if len(chunk) < 8:
            raise truncated()
        if chunk[4:] == b"eXIf":
            orientation = exif_orientation(source, at + 8)
        if chunk[4:] in (b"IDAT", b"IEND"):
            break
        at += 12 + int.from_bytes(chunk[:4], "big")
    else:
        raise BadImage("has a damaged PNG header: it has too many chunks. Write it again or remove it.")
    tail_at = max(33, source.size - TAIL)
    tail = source.read(tail_at, TAIL) if not orientation else source.read(max(33, source.size - 64), 64)
    whole = b"IEND" in tail
    if not orientation:
        orientation = _late_exif(source, tail, tail_at)
    return ImageHeader("PNG", width, height, orientation or 1, start[16], whole=whole or png_is_whole(source, at))


def _late_exif(source: ByteSource, tail: bytes, tail_at: int) -> int:
    """Orientation of EXIF that follows the pixels; 0 if there is none. The checksum identifies a chunk."""
    at = tail.find(b"eXIf")
    for _ in range(MANY_LATE):
        if at < 4:
            break
        length = int.from_bytes(tail[at - 4 : at], "big")
        body = tail[at : at + 4 + length]
        if crc32(body).to_bytes(4, "big") == tail[at + 4 + length : at + 8 + length]:
            return exif_orientation(source, tail_at + at + 4)
        at = tail.find(b"eXIf", at + 1)
    return 0


def png_is_whole(source: ByteSource, at: int) -> bool:
    """Return whether each chunk ends where the next begins, and the last is there, whatever follows it.

    Args:
        source: the file.
        at: where a chunk begins.

    Raises:
        BadImage: it has so many chunks that it must be damaged.
    """
    others = 0
    for _ in range(MANY_CHUNKS):
        chunk = source.read(at, 8)
        if len(chunk) < 8:
            return False
        if chunk[4:] == b"IEND":
            return True
        others += chunk[4:] != b"IDAT"
        if others > MANY_PARTS:
            break
        at += 12 + int.from_bytes(chunk[:4], "big")
    raise BadImage("has a damaged PNG header: it has too many chunks. Write it again or remove it.")


def _webp(source: ByteSource) -> ImageHeader:
    head = source.read(0, 30)
    if len(head) < 30:
        raise truncated()
    whole = int.from_bytes(head[4:8], "little") + 8 <= source.size
    if head[12:16] == b"VP8X":
        width, height = (1 + int.from_bytes(head[at : at + 3], "little") for at in (24, 27))
        _require_size(source, width, height)
        return ImageHeader("WEBP", width, height, _webp_exif(source) if head[20] & 8 else 1, whole=whole)
    if head[12:16] == b"VP8L" and head[20] == 0x2F:
        packed = int.from_bytes(head[21:25], "little")
        width, height = 1 + (packed & 0x3FFF), 1 + (packed >> 14 & 0x3FFF)
        _require_size(source, width, height)
        return ImageHeader("WEBP", width, height, whole=whole)
    if head[12:16] == b"VP8 " and head[23:26] == b"\x9d\x01\x2a":
        width, height = (int.from_bytes(head[at : at + 2], "little") & 0x3FFF for at in (26, 28))
        _require_size(source, width, height)
        return ImageHeader("WEBP", width, height, whole=whole)
    raise BadImage("has a damaged WebP header. Copy it again or remove it.")


def _webp_exif(source: ByteSource) -> int:
    at = 12
    for _ in range(MANY_PARTS):
        chunk = source.read(at, 8)
        if len(chunk) < 8:
            break
        if chunk[:4] == b"EXIF":
            return exif_orientation(source, at + 8)
        length = int.from_bytes(chunk[4:], "little")
        at += 8 + length + length % 2
    return 1


def _tiff(source: ByteSource) -> ImageHeader:
    facts = read_tiff(source)
    _require_size(source, facts.width, facts.height, facts.bits)
    return ImageHeader(
        "TIFF",
        facts.width,
        facts.height,
        facts.orientation,
        facts.bits,
        facts.kind,
        white_is_zero=facts.white_is_zero,
        whole=facts.whole,
        tag_to_reset=facts.tag_to_reset,
    )


def _bmp(source: ByteSource) -> ImageHeader:
    width, height, whole = bmp_size(source)
    _require_size(source, width, height)
    return ImageHeader("BMP", width, height, whole=whole)


def _pnm(source: ByteSource) -> ImageHeader:
    width, height, max_value, whole = pnm_size(source)
    _require_size(source, width, height)
    return ImageHeader("PPM", width, height, bits=16 if max_value > 255 else 8, max_value=max_value, whole=whole)


def _jpeg2000(source: ByteSource) -> ImageHeader:
    facts = read_jpeg2000(source)
    _require_size(source, facts.width, facts.height, facts.bits)
    if facts.bands > MANY_BANDS:
        raise BadImage(f"has {facts.bands} bands. Write three of them as an RGB image.")
    max_value = 2**facts.bits - 1 if facts.bits > 8 else None
    return replace(_by_decoder("JPEG2000")(source), bits=facts.bits, max_value=max_value)


def _by_decoder(name: str) -> Callable[[ByteSource], ImageHeader]:
    """Headers that only the decoder reads."""

    def read(source: ByteSource) -> ImageHeader:
        if name in PLUGINS and not has_decoder(name):
            raise BadImage(f"{needs_decoder(name)}.")
        if source.size > MANY_BYTES:
            message = f"is a file of {source.size / MIB:,.0f} MB; of {name} up to {MANY_BYTES // MIB} MB are read"
            raise BadImage(f"{message}. Write it as JPEG or PNG.", "too-large-image")
        width, height, orientation = examine(source, name)
        _require_size(source, width, height)
        header = ImageHeader(name, width, height, orientation, whole=None)
        if name in ("AVIF", "HEIF"):
            return replace(header, whole=boxes_are_whole(source))
        if name == "GIF":
            return replace(header, whole=source.read(source.size - 1, 1) == b";" or None)
        return header

    return read


READERS: dict[str, Callable[[ByteSource], ImageHeader]] = {
    "JPEG": _jpeg,
    "PNG": _png,
    "WEBP": _webp,
    "TIFF": _tiff,
    "BMP": _bmp,
    "PPM": _pnm,
    "JPEG2000": _jpeg2000,
    **{name: _by_decoder(name) for name in ("GIF", "AVIF", "HEIF", "JXL", "QOI", "TGA")},
}
"""Reader of the header of each format."""
