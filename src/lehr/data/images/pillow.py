"""Images that Pillow and its plugins decode.

Each is opened as the one format that its bytes are of: no other decoder is tried, and none that would start a program.
Pillow's own limit of pixels, and its warning, which cannot be held back in several threads, are not met this way; the
limit is that of `header`.
"""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lehr.data.images.byte_source import ByteSource, DataSource
from lehr.data.images.kinds import PLUGINS
from lehr.data.images.problem import BadImage, NotTaken, truncated, undecodable
from lehr.data.images.tiff_tags import exif_orientation
from lehr.data.limits import too_many_pixels

MODULES = {
    "AVIF": "PIL.AvifImagePlugin",
    "GIF": "PIL.GifImagePlugin",
    "BMP": "PIL.BmpImagePlugin",
    "JPEG": "PIL.JpegImagePlugin",
    "JPEG2000": "PIL.Jpeg2KImagePlugin",
    "PNG": "PIL.PngImagePlugin",
    "PPM": "PIL.PpmImagePlugin",
    "QOI": "PIL.QoiImagePlugin",
    "TGA": "PIL.TgaImagePlugin",
    "TIFF": "PIL.TiffImagePlugin",
    "WEBP": "PIL.WebPImagePlugin",
}
"""The formats that Pillow is asked for, and the modules that know them."""


def examine(source: ByteSource, name: str) -> tuple[int, int, int]:
    """Width and height as stored, pixels, and orientation, 1 to 8.

    Raises:
        BadImage: it is no such image.
    """
    with _opened(source.read(0, source.size), name) as image:
        # Other decoders have applied what their containers say.
        exif = image.info.get("exif") if name == "AVIF" else None
        return image.width, image.height, exif_orientation(DataSource(exif), 0) if isinstance(exif, bytes) else 1


def decode_with_pillow(data: bytes, name: str) -> NDArray[Any]:
    """The pixels as stored; those of TIFF as displayed.

    Args:
        data: the file.
        name: its format.

    Returns:
        (height, width, 3), RGB, uint8; or (height, width), grey, uint16, int32 or float32.

    Raises:
        BadImage: it cannot be decoded.
    """
    with _opened(data, name) as image:
        _load(image)
        try:
            if image.mode.startswith("I") or image.mode == "F":
                return np.asarray(image)
            if image.mode in ("RGBa", "La"):
                image = image.convert("RGBA" if image.mode == "RGBa" else "LA")
            elif image.mode == "P" and "transparency" in image.info:  # Pillow warns of the direct way
                image = image.convert("RGBA")
            return np.asarray(image.convert("RGB"), np.uint8)
        except ValueError as error:  # no colours that it knows to convert
            raise NotTaken(str(error)) from None


def load_strictly(data: bytes, name: str) -> None:
    """Decode an image with Pillow, which refuses what is cut off.

    Raises:
        BadImage: any part of it cannot be decoded.
    """
    with _opened(data, name) as image:
        _load(image)


def _load(image: Image.Image) -> None:
    too_large = too_many_pixels(image.width, image.height)  # where Pillow reads the header otherwise than `header` does
    if too_large is not None:
        raise BadImage(too_large, "too-large-image")
    try:
        image.load()
    except Exception as error:  # decoders raise whatever they like
        raise _bad(error) from None


def _opened(data: bytes, name: str) -> Image.Image:
    try:
        if name not in Image.OPEN:
            _register(name)
        return Image.OPEN[name][0](io.BytesIO(data), "")
    except Exception as error:
        bad = _bad(error)
        raise (bad if bad.kind == "truncated-image" else NotTaken(bad.reason)) from None


def _register(name: str) -> None:
    """Have Pillow know a format; plugins are only loaded where a file needs them."""
    module = MODULES.get(name)
    if module is not None:
        import_module(module)
    if name not in Image.OPEN and name in PLUGINS:
        plugin = import_module(PLUGINS[name][0])
        if name == "HEIF":
            plugin.register_heif_opener()


def _bad(error: Exception) -> BadImage:
    text = str(error)
    if any(sign in text.lower() for sign in ("truncated", "not enough", "end of file", "unexpected eof")):
        return truncated()
    return undecodable(text or type(error).__name__)
