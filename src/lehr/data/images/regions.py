"""Regions of image files, decoded without the rest of the image where the format allows it.

A TIFF of several tiles or strips is decoded part by part, to the same pixels as the whole, and a BMP or PNM that is not
compressed row by row; the memory is that of the parts which a region touches (of strips and rows: over the whole
width). JPEG, PNG, WebP, AVIF and JPEG 2000 are decoded whole, once, and regions are cut from that; so is a TIFF of one
strip, of more than 8 bits (which of its numbers means white depends on the whole image) or with an orientation.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Protocol, Self

import numpy as np
from numpy.typing import NDArray

from lehr.data.images.byte_source import ByteSource, FileSource
from lehr.data.images.files import decode_image, image_header, missing_image, read_image
from lehr.data.images.header import ImageHeader
from lehr.data.images.plain_rows import bmp_rows, pnm_rows
from lehr.data.images.problem import BadImage, ImageFault
from lehr.data.images.tiff_parts import tiff_parts
from lehr.runtime.reading import open_descriptor

Region = tuple[int, int, int, int]
"""xyxy, whole pixels of the image as displayed, inside it and with area."""


class Pieces(Protocol):
    """Parts of an image file that can be decoded separately."""

    def around(self, region: Region) -> Region:
        """The smallest rectangle of parts that holds a region."""

    def cut(self, source: ByteSource, piece: Region) -> bytes:
        """An image file of some parts alone; BadImage where they are damaged."""


class ImageRegions:
    """An image file of which regions are read; a context manager.

    Args:
        path: the file.

    Attributes:
        width: as displayed, pixels.
        height: as displayed, pixels.

    Raises:
        ImageFault: it is missing, is not an image, or is too large.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._handle: int | None = None
        self._last: tuple[Region, NDArray[np.uint8]] | None = None
        try:
            self._handle, size = open_descriptor(path)
            self._source = FileSource(self._handle, size)
            header = image_header(self._source, path)
        except OSError as error:
            self.close()
            raise missing_image(path, error) from None
        except BadImage as bad:
            self.close()
            raise ImageFault(path, bad.kind, bad.reason) from None
        self.width, self.height = header.size
        self._pieces = _pieces(self._source, header)

    @property
    def by_region(self) -> bool:
        """True if regions are decoded without the rest of the image."""
        return self._pieces is not None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def forget(self) -> None:
        """Release what was decoded for the last region."""
        self._last = None

    def close(self) -> None:
        """Close the file, and release what was decoded."""
        if self._handle is not None:
            os.close(self._handle)
        self._handle = self._last = None

    def __call__(self, region: Region) -> NDArray[np.uint8]:
        """The pixels of a region.

        What was decoded for the last one is kept, so that the tiles of a row cost one band of strips, and all tiles of
        a JPEG one decoding.

        Args:
            region: xyxy, whole pixels of the image as displayed, inside it and with area.

        Returns:
            uint8 (height, width, 3), RGB, not to be written to.

        Raises:
            ImageFault: it cannot be decoded, or is cut off.
        """
        whole = (0, 0, self.width, self.height)
        piece = whole if self._pieces is None else self._pieces.around(region)
        if self._last is None or self._last[0] != piece:
            self._last = None  # its memory is free before the next is decoded
            self._last = piece, self._decoded(piece)
        pixels, (x1, y1, x2, y2) = self._last[1], region
        return pixels[y1 - piece[1] : y2 - piece[1], x1 - piece[0] : x2 - piece[0]]

    def _decoded(self, piece: Region) -> NDArray[np.uint8]:
        if self._pieces is None:
            return read_image(self._path)
        try:
            data = self._pieces.cut(self._source, piece)
        except OSError as error:
            raise missing_image(self._path, error) from None
        except BadImage as bad:
            raise ImageFault(self._path, bad.kind, bad.reason) from None
        return decode_image(data, self._path)


def _pieces(source: ByteSource, header: ImageHeader) -> Pieces | None:
    """The parts of an image file that can be decoded separately; None if it has none."""
    if header.orientation != 1 or header.bits > 8 or header.kind != "u" or not header.whole:
        return None
    if header.format == "TIFF":
        return tiff_parts(source)
    if header.format == "BMP":
        return bmp_rows(source)
    return pnm_rows(source) if header.format == "PPM" else None
