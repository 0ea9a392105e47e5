"""Header of TIFF: of its first image."""

from __future__ import annotations

from dataclasses import dataclass

from lehr.data.images.byte_source import ByteSource
from lehr.data.images.problem import BadImage
from lehr.data.images.tiff_tags import TiffTags

SUBFILE, WIDTH, HEIGHT, BITS, PHOTOMETRIC, SAMPLES = 254, 256, 257, 258, 262, 277
STRIP_OFFSETS, STRIP_BYTES, TILE_OFFSETS, TILE_BYTES = 273, 279, 324, 325
SUB_IMAGES, SAMPLE_FORMAT, DNG_VERSION = 330, 339, 50706
TILE_WIDTH, TILE_HEIGHT = 322, 323
DECISIVE = (WIDTH, HEIGHT, BITS, SAMPLES, TILE_WIDTH, TILE_HEIGHT)
"""Tags that decide how much memory decoding takes."""
MANY_BANDS, LARGEST_SIDE, SMALL_TILE = 16, 65536, 2**24
"""Bands of the largest image of bands, of which three are read; pixels of a side of the largest tile; and of a tile
that may be larger than its image."""
WHITE_IS_ZERO, BLACK_IS_ZERO = 0, 1
KINDS = {1: "u", 2: "i", 3: "f"}


@dataclass(frozen=True, slots=True)
class TiffFacts:
    """Header of a TIFF's first image; attributes are those of `ImageHeader`."""

    width: int
    height: int
    orientation: int
    bits: int
    kind: str
    white_is_zero: bool
    whole: bool
    tag_to_reset: tuple[int, bytes] | None


def read_tiff(source: ByteSource) -> TiffFacts:
    """Read the header of a TIFF.

    Raises:
        BadImage: it is damaged, a raw photograph, or has bands that are not colours.
    """
    try:
        return _read(source, TiffTags(source))
    except ValueError:
        raise BadImage("has a damaged TIFF header. Copy it again or remove it.") from None


def _read(source: ByteSource, tags: TiffTags) -> TiffFacts:
    width, height = tags.number(WIDTH, 0), tags.number(HEIGHT, 0)
    tile = (tags.number(TILE_WIDTH, 1), tags.number(TILE_HEIGHT, 1))
    if width <= 0 or height <= 0 or any(map(tags.is_twice, DECISIVE)) or tags.nbytes > source.size:
        raise ValueError("no size, or several, or more values than there are bytes")
    if not all(0 < side <= LARGEST_SIDE for side in tile) or tile[0] * tile[1] > max(4 * width * height, SMALL_TILE):
        raise ValueError("tiles that are larger than the image")
    preview = tags.number(SUBFILE, 0) & 1 and SUB_IMAGES in tags
    if DNG_VERSION in tags or source.read(8, 2) == b"CR" or preview:
        raise BadImage("is a raw photograph, which is not read. Develop it to JPEG or TIFF.")
    photometric, samples = tags.number(PHOTOMETRIC, BLACK_IS_ZERO), tags.number(SAMPLES, 1)
    bits, kind = max(tags.numbers(BITS) or (1,)), KINDS.get(tags.number(SAMPLE_FORMAT, 1), "u")
    if (photometric in (WHITE_IS_ZERO, BLACK_IS_ZERO) and samples > 2) or samples > MANY_BANDS:
        raise BadImage(f"has {samples} bands that are not colours. Write three of them as an RGB image.")
    if kind == "f" and bits not in (32, 64):
        raise BadImage(f"holds floating-point numbers of {bits} bits, which are not read. Write 8 or 16 bits.")
    offsets = tags.numbers(STRIP_OFFSETS) or tags.numbers(TILE_OFFSETS)
    counts = tags.numbers(STRIP_BYTES) or tags.numbers(TILE_BYTES)
    end = max((offset + count for offset, count in zip(offsets, counts, strict=False)), default=0)
    return TiffFacts(
        width,
        height,
        tags.orientation,
        bits,
        kind,
        photometric == WHITE_IS_ZERO,
        0 < end <= source.size and len(offsets) == len(counts),
        tags.orientation_place,
    )
