"""Image files: their size without decoding, their pixels, and whether they are whole."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from lehr.errors import InputError

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm", ".jp2"})

EXIF_ORIENTATION = 0x0112
JPEG_END = b"\xff\xd9"
ENDS = 64
"""Bytes at either end of a file that tell its format and whether it is whole."""


class ImageFault(InputError):
    """An image file that cannot be used.

    Attributes:
        path: the file.
        kind: "unreadable-image" or "truncated-image".
        reason: what is wrong and what to do, without the file.
    """

    def __init__(self, path: Path, kind: str, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.path = path
        self.kind = kind
        self.reason = reason


def is_image(path: Path) -> bool:
    """Return whether the name is that of an image file."""
    return path.suffix.lower() in IMAGE_SUFFIXES


def probe_image(path: Path) -> tuple[int, int]:
    """Width and height as displayed (EXIF orientation applied), pixels, from the header; the file must be whole.

    Raises:
        ImageFault: the file is missing, is no image, or is cut off.
    """
    whole = _looks_whole(path)
    try:
        with warnings.catch_warnings(), Image.open(path) as image:
            warnings.simplefilter("ignore")
            width, height = image.size
            # Elsewhere the orientation is rare, and looking for it would decode the whole image.
            exif = image.getexif() if image.format in ("JPEG", "MPO", "TIFF", "WEBP") else {}
            turned = exif.get(EXIF_ORIENTATION, 1) in (5, 6, 7, 8)
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise _unreadable(path, error) from None
    if not whole:
        _decode_strictly(path)
    return (height, width) if turned else (width, height)


def read_image(path: Path) -> NDArray[np.uint8]:
    """The pixels as displayed (EXIF orientation applied).

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageFault: the file is missing, cannot be decoded, or is cut off.
    """
    return decode_image(_read(path), path)


def decode_image(data: bytes, path: Path) -> NDArray[np.uint8]:
    """The pixels of an encoded image as displayed (EXIF orientation applied).

    Args:
        data: an image file's content.
        path: what the image is called, for messages.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageFault: it cannot be decoded, or is cut off.
    """
    image = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR) if data else None
    if image is None:
        _decode_strictly(path, data)
        raise _unreadable(path, "no decoder takes it")
    if not _is_whole(data[:ENDS], data[-ENDS:], len(data)):
        _decode_strictly(path, data)
    return np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2RGB), np.uint8)


def verify_image(path: Path) -> None:
    """Decode the whole file strictly.

    Raises:
        ImageFault: any part of it cannot be decoded.
    """
    _looks_whole(path)
    _decode_strictly(path)


def write_image(path: Path, image: NDArray[np.uint8], quality: int = 95) -> None:
    """Write an image (height, width, 3), RGB; the name decides the format, `quality` is that of JPEG, 0 to 100.

    Raises:
        InputError: the file cannot be written.
    """
    parameters = [cv2.IMWRITE_JPEG_QUALITY, quality] if path.suffix.lower() in (".jpg", ".jpeg") else []
    try:
        done, encoded = cv2.imencode(path.suffix, cv2.cvtColor(image, cv2.COLOR_RGB2BGR), parameters)
        if not done:
            raise InputError(f"{path}: no encoder for '{path.suffix}'. Use .jpg or .png.")
        path.write_bytes(encoded.tobytes())
    except (OSError, cv2.error) as error:
        raise InputError(f"{path}: cannot be written ({error}).") from None


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise _missing(path, error) from None


def _looks_whole(path: Path) -> bool:
    """Return whether a file seems whole, by its ends alone: reading all of every image would take minutes."""
    try:
        with path.open("rb") as file:
            head = file.read(ENDS)
            size = file.seek(0, 2)
            file.seek(max(0, size - ENDS))
            tail = file.read(ENDS)
    except OSError as error:
        raise _missing(path, error) from None
    if not head:
        raise ImageFault(path, "truncated-image", "is empty. Copy it again or remove it.")
    return _is_whole(head, tail, size)


def _is_whole(head: bytes, tail: bytes, size: int) -> bool:
    """Return whether the end, or the size, that the format requires is there; False where that is not known."""
    if head[:2] == b"\xff\xd8":
        return JPEG_END in tail.rstrip(b"\0")[-32:]
    if head[:8] == b"\x89PNG\r\n\x1a\n":
        return b"IEND" in tail
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return int.from_bytes(head[4:8], "little") + 8 <= size
    return False


def _missing(path: Path, error: OSError) -> ImageFault:
    return ImageFault(path, "unreadable-image", f"cannot be read ({error.strerror}). Restore or remove it.")


def _decode_strictly(path: Path, data: bytes | None = None) -> None:
    """Decode a whole file, or its content, with a decoder that forgives nothing."""
    if data == b"":
        raise ImageFault(path, "truncated-image", "is empty. Copy it again or remove it.")
    try:
        with warnings.catch_warnings(), Image.open(path if data is None else io.BytesIO(data)) as image:
            warnings.simplefilter("ignore")
            image.load()
    except UnidentifiedImageError as error:
        raise _unreadable(path, error) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if "truncated" in str(error).lower() or "not enough" in str(error).lower():
            raise ImageFault(path, "truncated-image", "is cut off. Copy it again or remove it.") from None
        raise _unreadable(path, error) from None


def _unreadable(path: Path, error: Exception | str) -> ImageFault:
    if isinstance(error, UnidentifiedImageError):
        error = "no image format is recognised"
    return ImageFault(path, "unreadable-image", f"cannot be decoded ({error}). Replace or remove it.")
