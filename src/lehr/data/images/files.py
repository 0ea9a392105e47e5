"""Image files: their size without decoding, their pixels, and whether they are whole."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.data.images.byte_source import ByteSource, DataSource, FileSource
from lehr.data.images.decode import Decoded, decode
from lehr.data.images.header import ImageHeader, read_header
from lehr.data.images.kinds import RAW_SUFFIXES, suffix_of, unread
from lehr.data.images.memory import share_of_memory
from lehr.data.images.problem import BadImage, ImageFault
from lehr.data.limits import BYTES_A_PIXEL, OTHER_BYTES
from lehr.errors import InputError
from lehr.runtime.reading import MIB, TooLarge, open_descriptor, read_file

LARGE = 64 * MIB
"""Bytes from which the header of a file is read before the rest of it."""
_named: set[Path] = set()
"""Damaged files that were reported, so that each is once in a process."""


def probe_image(path: Path) -> tuple[int, int]:
    """Width and height as displayed (EXIF orientation applied), pixels, from the header; the file must be whole.

    Raises:
        ImageFault: the file is missing, is not an image, is too large, or is cut off.
    """
    return probe_header(path).size


def probe_header(path: Path) -> ImageHeader:
    """Header of an image, which must be whole; pixels are decoded only if nothing else shows it.

    Raises:
        ImageFault: the file is missing, is not an image, is too large, or is cut off.
    """
    try:
        handle, size = open_descriptor(path)
        try:
            header = image_header(FileSource(handle, size), path)
        finally:
            os.close(handle)
    except OSError as error:
        raise missing_image(path, error) from None
    except BadImage as bad:
        raise ImageFault(path, bad.kind, bad.reason) from None
    if not header.whole:
        decode_file(path)
    return header


def read_image(path: Path, data: bytes | None = None, least: tuple[int, int] | None = None) -> NDArray[np.uint8]:
    """The pixels as displayed (EXIF orientation applied).

    Args:
        path: the file.
        data: its content, where it has been read already.
        least: width and height that the image will be averaged to, pixels: where it is a JPEG far larger than that,
            fewer pixels are decoded; None for all.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        ImageFault: the file is missing, cannot be decoded, or is cut off.
    """
    decoded = decode_file(path, least) if data is None else _decode(data, path, least)
    if decoded.damage and path not in _named:
        _named.add(path)
        logging.getLogger("lehr").warning(
            "%s: is damaged (%s); part of it may be missing or wrong. Replace or remove it.", path, decoded.damage
        )
    return decoded.pixels


def decode_file(path: Path, least: tuple[int, int] | None = None) -> Decoded:
    """Decode an image file.

    Args:
        path: the file.
        least: see `read_image`.

    Raises:
        ImageFault: the file is missing, cannot be decoded, or is cut off.
    """
    try:
        data = read_file(path, LARGE)
    except TooLarge:
        data = _read_large(path)
    except OSError as error:
        raise missing_image(path, error) from None
    return _decode(data, path, least)


def _read_large(path: Path) -> bytes:
    """Read a large file if its header says that this size is plausible.

    Raises:
        ImageFault: it cannot be read, or is larger than its pixels can take.
    """
    try:
        handle, size = open_descriptor(path)
        try:
            image_header(FileSource(handle, size), path)
        finally:
            os.close(handle)
        return read_file(path, size)
    except OSError as error:
        raise missing_image(path, error) from None
    except BadImage as bad:
        raise ImageFault(path, bad.kind, bad.reason) from None


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
    return _decode(data, path).pixels


def probe_data(start: bytes, path: Path) -> int:
    """Look at the beginning of a large image, and return the bytes that it may have.

    Args:
        start: its first bytes.
        path: what the image is called, for messages.

    Raises:
        ImageFault: it is not an image, or too large.
    """
    try:
        header = image_header(DataSource(start), path)
    except BadImage as bad:
        raise ImageFault(path, bad.kind, bad.reason) from None
    return BYTES_A_PIXEL * header.width * header.height + OTHER_BYTES


def _decode(data: bytes, path: Path, least: tuple[int, int] | None = None) -> Decoded:
    try:
        header = image_header(DataSource(data), path)
        if least is not None and header.orientation >= 5:
            least = least[::-1]
        with share_of_memory(header.width * header.height):
            return decode(data, header, least)
    except BadImage as bad:
        raise ImageFault(path, bad.kind, bad.reason) from None
    except (MemoryError, cv2.error):  # OpenCV says the latter where it finds no memory
        reason = "cannot be decoded: there is not enough memory for its pixels. Reduce it, or cut it into tiles."
        raise ImageFault(path, "too-large-image", reason) from None


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


def image_header(source: ByteSource, path: Path) -> ImageHeader:
    """Header of an image, by its bytes and its name.

    Raises:
        BadImage: it is not an image, its header is damaged, or it is too large.
    """
    suffix = suffix_of(path.name)
    if suffix in RAW_SUFFIXES:  # many are TIFF files whose first image is a thumbnail
        raise BadImage(why.reason if (why := unread(path.name)) else "is a raw photograph.")
    return read_header(source, suffix)


def missing_image(path: Path, error: OSError) -> ImageFault:
    """Describe an image file that the system cannot open or read."""
    if isinstance(error, FileNotFoundError) and path.is_symlink():
        target = path.readlink()
        return ImageFault(path, "dangling-link", f"is a link to {target}, which is not there. {PULL}.")
    return ImageFault(path, "unreadable-image", f"cannot be read ({error.strerror}). Restore or remove it.")


PULL = "Fetch the data (`git annex get`, `dvc pull`), or remove the link"
"""Remedy for a link whose target is missing."""
