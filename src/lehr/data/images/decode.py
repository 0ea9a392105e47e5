"""Decoding: from the bytes of a file to RGB pixels as displayed.

OpenCV decodes what it decodes everywhere; Pillow and its plugins the rest. Palettes, one bit, grey and CMYK become RGB.
Transparency is dropped: the colours count as they are stored, as in `cv2.imread`. Of several pages or frames the first
counts.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.data.images.byte_source import DataSource
from lehr.data.images.depth import to_8_bits
from lehr.data.images.header import ImageHeader, png_is_whole
from lehr.data.images.pillow import decode_with_pillow, load_strictly
from lehr.data.images.problem import BadImage, NotTaken, truncated, undecodable
from lehr.data.limits import too_many_pixels

try:
    import simplejpeg
except ImportError:  # the pixels are the same, but damage is not noticed
    simplejpeg = None

VERSION = 2
"""Counts changes of what a file decodes to, so that cached decoded images are renewed."""

PILLOW_PIXELS = 80_000_000
"""Pixels of the largest TIFF that Pillow is asked for: it warns of larger ones, and refuses some."""

PNG_CHUNKS = 8
"""Offset of the first chunk of a PNG."""

REDUCTIONS, SPARE = (8, 4, 2), 3
"""Scales at which JPEG can be decoded, as divisors, and pixels along each side for each one that is kept."""

START_OF_SCAN = b"\xff\xda"
USUAL_SCANS, MANY_SCANS, SCANNED_PIXELS = 16, 500, 2**31
"""Scans that a progressive JPEG may have whatever its size, and at most; and pixels that all of them go through."""

BY_OPENCV = frozenset({"JPEG", "PNG", "WEBP", "BMP", "PPM", "JPEG2000"})
AS_STORED = cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION
WITH_DEPTH = AS_STORED | cv2.IMREAD_ANYDEPTH
TURNS = {3: cv2.ROTATE_180, 6: cv2.ROTATE_90_CLOCKWISE, 8: cv2.ROTATE_90_COUNTERCLOCKWISE}

if "OPENCV_LOG_LEVEL" not in os.environ:  # its messages do not name the file; those here do
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)


@dataclass(frozen=True, slots=True)
class Decoded:
    """A decoded image.

    Attributes:
        pixels: uint8 (height, width, 3), RGB, as displayed.
        bits: that its samples use, 0 for floating-point numbers from 0 to 1; None if the file says what white is.
        damage: what the decoder found damaged, though it continued; empty if nothing.
    """

    pixels: NDArray[np.uint8]
    bits: int | None = None
    damage: str = ""


def decode(data: bytes, header: ImageHeader, least: tuple[int, int] | None = None) -> Decoded:
    """Decode an image.

    Args:
        data: the file.
        header: of it.
        least: width and height as stored that it will be averaged to, pixels: a JPEG far larger than that is decoded
            at a reduced scale; None to decode at full size.

    Raises:
        BadImage: it cannot be decoded.
    """
    samples: NDArray[Any] | None
    damage = ""
    if header.format == "PNG" and not png_is_whole(DataSource(data), PNG_CHUNKS):
        raise truncated()  # OpenCV would make room for whatever a damaged length says
    if not header.whole and header.format in ("JPEG", "PNG", "WEBP"):
        load_strictly(data, header.format)  # OpenCV fills with grey what is cut off
    if header.format == "JPEG":
        if header.scans:
            _require_few_scans(data, header)
        samples, damage = _jpeg(data, 1 if least is None else reduction(header.width, header.height, least))
    elif header.format == "TIFF":
        return _tiff(data, header)
    elif header.format in BY_OPENCV:
        samples = _by_opencv(data, WITH_DEPTH if header.bits > 8 else AS_STORED)
        if samples is None:
            samples = decode_with_pillow(data, header.format)
    else:
        samples = decode_with_pillow(data, header.format)
    if samples is None:
        raise undecodable("no decoder takes it")
    scaled, bits = to_8_bits(samples, header.max_value)
    pixels = _turned(_as_rgb(scaled), header.orientation)
    return Decoded(pixels, bits if header.depth_unknown else None, damage)


def _require_few_scans(data: bytes, header: ImageHeader) -> None:
    """Refuse a progressive JPEG whose scans would keep a processor busy for minutes: each goes through all pixels."""
    scans = data.count(START_OF_SCAN)
    if scans > MANY_SCANS or (scans > USUAL_SCANS and scans * header.width * header.height > SCANNED_PIXELS):
        raise BadImage(f"has {scans} scans, where a progressive JPEG has some ten. Write it again or remove it.")


def reduction(width: int, height: int, least: tuple[int, int]) -> int:
    """Reduction of a JPEG's width and height in decoding: 8, 4 or 2, or 1 if that would leave too few pixels.

    Three pixels along each side are left for each one that is kept: averaged, they are as near to the original as
    those of full size (docs/performance.md). It divides both sides, else pixels at the edge would be of more than
    the image, and boxes out of place.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        least: width and height that it will be averaged to, pixels.
    """
    for factor in REDUCTIONS:
        divides = width % factor == 0 and height % factor == 0
        if divides and width // factor >= SPARE * least[0] and height // factor >= SPARE * least[1]:
            return factor
    return 1


def _jpeg(data: bytes, factor: int) -> tuple[NDArray[np.uint8] | None, str]:
    """The pixels, and what is damaged in them; None if nothing decodes it."""
    damage = ""
    if simplejpeg is not None:
        for strict in (True, False):
            try:
                height, width, colours, _ = simplejpeg.decode_jpeg_header(data, strict=False)
                too_large = too_many_pixels(width, height)
                if too_large is not None:
                    raise BadImage(too_large, "too-large-image")
                if colours == "CMYK":
                    break
                smaller: dict[str, int] = {}
                if factor > 1:
                    smaller = {"min_width": width // factor, "min_height": height // factor, "min_factor": 2}
                pixels = simplejpeg.decode_jpeg(data, colorspace="RGB", strict=strict, **smaller)
                return np.asarray(pixels, np.uint8), damage
            except (ValueError, KeyError) as error:  # KeyError: colours that it does not know
                damage = damage or str(error).removeprefix("Corrupt JPEG data: ")
    return _by_opencv(data, AS_STORED), damage


def _by_opencv(data: bytes, flags: int) -> NDArray[Any] | None:
    """Samples (height, width, 3), RGB, or (height, width), grey; None if OpenCV does not decode it."""
    try:
        image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error:
        return None
    if image is None or image.ndim == 2:
        return image
    if image.dtype == np.uint8 and image.shape[2] == 3:
        return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB, dst=image))
    return np.ascontiguousarray(image[:, :, 2::-1] if image.shape[2] >= 3 else image[:, :, 0])


def _tiff(data: bytes, header: ImageHeader) -> Decoded:
    """Decode a TIFF: Pillow refuses damage, but OpenCV alone keeps more than 8 bits."""
    first = None
    if header.width * header.height <= PILLOW_PIXELS:
        with contextlib.suppress(NotTaken):
            first = decode_with_pillow(data, "TIFF")
    if first is not None and header.bits <= 8 and header.kind == "u":
        return Decoded(_as_rgb(to_8_bits(first, None)[0]))
    samples = _by_opencv(_without_orientation(data, header), cv2.IMREAD_UNCHANGED)
    if samples is None and first is not None and first.dtype == np.uint8:
        return Decoded(_as_rgb(first))
    if samples is None:
        raise undecodable("no decoder takes it")
    if samples.dtype == np.uint8 and header.bits > 8:
        raise BadImage("has 16 bits and transparency, whose depth no decoder keeps. Write it without transparency.")
    scaled, bits = to_8_bits(samples, header.max_value)
    pixels = _turned(_as_rgb(_positive(scaled, header)), header.orientation)
    return Decoded(pixels, bits if header.depth_unknown else None)


def _without_orientation(data: bytes, header: ImageHeader) -> bytes:
    """A TIFF that says it is not turned: some versions of OpenCV turn it whatever one asks, and others never do."""
    if header.orientation == 1 or header.tag_to_reset is None:
        return data
    offset, value = header.tag_to_reset
    return data[:offset] + value + data[offset + len(value) :]


def _positive(samples: NDArray[np.uint8], header: ImageHeader) -> NDArray[np.uint8]:
    """Samples of which 0 means black; decoders see to it only for 8 bits."""
    return 255 - samples if header.white_is_zero and header.bits > 8 else samples


def _as_rgb(samples: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if samples.ndim == 2:
        return np.asarray(cv2.cvtColor(np.ascontiguousarray(samples), cv2.COLOR_GRAY2RGB), np.uint8)
    return samples


def _turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """Turn and mirror pixels as EXIF's orientation says."""
    if orientation in TURNS:
        return np.asarray(cv2.rotate(pixels, TURNS[orientation]), np.uint8)
    if orientation == 2:
        return np.asarray(cv2.flip(pixels, 1), np.uint8)
    if orientation == 4:
        return np.asarray(cv2.flip(pixels, 0), np.uint8)
    if orientation == 5:
        return np.asarray(cv2.transpose(pixels), np.uint8)
    if orientation == 7:
        return np.asarray(cv2.rotate(cv2.transpose(pixels), cv2.ROTATE_180), np.uint8)
    return pixels
