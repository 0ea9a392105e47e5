"""Images in memory as pixels: arrays, tensors, images of Pillow, encoded bytes and open files.

An array's last dimension holds its channels, a tensor's first of an image does, as NumPy's and torch's users have them;
where there can be no channels, the other order is meant. Ambiguous input is refused with what to give.
"""

from __future__ import annotations

from collections.abc import Mapping
from numbers import Number
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps
from torch import Tensor

from lehr.data.images import decode_image
from lehr.data.images.depth import to_8_bits
from lehr.data.images.files import probe_data
from lehr.data.images.kinds import PLUGINS
from lehr.data.images.pillow import MODULES
from lehr.data.limits import too_many_pixels
from lehr.errors import InputError
from lehr.runtime.reading import MIB

PART = 64 * MIB
"""Bytes of an open file that are read at once."""
DECODED = frozenset({*MODULES, *PLUGINS, "DIB", "MPO", None})
"""Formats of Pillow, as it names them, that it decodes itself."""
WANTED = "Give pixels as uint8 (height, width, 3), RGB, 0 to 255"
LARGEST = 255
ABOVE_ONE = 1e-3
"""Overshoot of interpolation beyond 0 to 1 that is cut off."""
COLOURS, COLOURS_OR_GREY, WITH_ALPHA = 3, (1, 3), (1, 3, 4)


def is_one_image(value: object) -> bool:
    """Return whether something is a single image, or a batch in one array, and not a collection of images."""
    if isinstance(value, Image.Image | bytes | bytearray | memoryview | Tensor | np.ndarray):
        return not (isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1)
    return any(hasattr(value, name) for name in ("read", "__array__", "__array_interface__"))


def name_of(value: object, index: int) -> str:
    """Name an image by its file where it knows one, else by its index."""
    for attribute in ("filename", "name"):
        name = getattr(value, attribute, None)
        if isinstance(name, str) and name:
            return name
    return f"image {index}"


def to_pixels(value: object, name: str) -> list[NDArray[np.uint8]]:
    """The pixels of an image in memory, or of each image of a batch.

    Args:
        value: an image of Pillow; encoded bytes, or an open binary file of them; an array of (height, width),
            (height, width, 1, 3 or 4), or (batch, height, width, channels); a tensor of (channels, height, width) or
            (batch, channels, height, width). Numbers are 0 to 255, or floating 0 to 1; those of 16 bits are scaled by
            the bits that they use, as those of files are.
        name: what it is called, for messages.

    Returns:
        uint8 (height, width, 3), RGB, an image each.

    Raises:
        InputError: it is not an image, or is ambiguous.
    """
    if isinstance(value, Image.Image):
        return [_of_pillow(value, name)]
    if isinstance(value, bytes | bytearray | memoryview):
        return [decode_image(bytes(value), Path(name))]
    if hasattr(value, "read"):
        return [_of_file(value, name)]
    if isinstance(value, Tensor):
        tensor = value.detach().cpu()
        return _of_array((tensor.float() if tensor.is_floating_point() else tensor).numpy(), name, channels_first=True)
    if hasattr(value, "__array__") or hasattr(value, "__array_interface__"):
        try:
            return _of_array(np.asarray(value), name, channels_first=False)
        except (TypeError, ValueError, RuntimeError) as error:
            raise InputError(f"{name}: is not an array that NumPy can read ({error}). {WANTED}.") from None
    raise InputError(f"{name}: {_describe(value)}")


def _describe(value: object) -> str:
    """Say what something is that is not an image, and what to give."""
    if value is None:
        return f"is None, which cv2.imread gives for a file that it cannot read. {WANTED}."
    if isinstance(value, Number):
        return f"is a number. The number of a camera is whole, e.g. 0. {WANTED}."
    kind = type(value).__name__
    if isinstance(value, Mapping):
        return f"is a {kind}. Give its images alone."
    if isinstance(value, list | tuple):
        return f"is a {kind} in place of an image. Give all images in one list; pixels by np.array(image, np.uint8)."
    return f"is a {kind} and no image. Give a file, pixels as uint8 (height, width, 3), RGB, or an image of Pillow."


def _of_pillow(image: Image.Image, name: str) -> NDArray[np.uint8]:
    """The pixels of an image of Pillow as it is displayed."""
    try:
        if 0 in image.size:
            raise InputError(f"{name}: has no pixels ({image.width} x {image.height}). {WANTED}.")
        _require_size(image.width, image.height, name)
        if getattr(image, "tile", None) and image.format not in DECODED:  # opened, but not yet decoded
            raise InputError(
                f"{name}: is {image.format}, for which Pillow may call another program. Decode it yourself first, by "
                "image.load()."
            )
        shown = ImageOps.exif_transpose(image)
        if shown.mode.startswith(("I", "F")):  # more than 8 bits
            samples = np.asarray(shown)
            if samples.dtype.kind == "i" and samples.min() >= 0 and samples.max() < 2**16:
                samples = samples.astype(np.uint16)
            return _of_array(samples, name, channels_first=False)[0]
        return np.asarray(shown.convert("RGB"), np.uint8)
    except (OSError, ValueError, SyntaxError, MemoryError, Image.DecompressionBombError) as error:
        raise InputError(f"{name}: cannot be decoded ({error}). Open the image again, or replace it.") from None


def _of_file(file: Any, name: str) -> NDArray[np.uint8]:
    """The pixels of an image in an open file."""
    parts: list[bytes] = []
    length, limit = 0, PART
    try:
        while part := file.read(PART):
            if not isinstance(part, bytes | bytearray | memoryview):
                raise InputError(f"{name}: is open as text. Open it in mode 'rb'.")
            parts.append(bytes(part))
            length += len(part)
            if length >= limit == PART:
                limit = probe_data(b"".join(parts), Path(name))  # whether it is an image, and how large it may be
            if length > limit:
                raise InputError(
                    f"{name}: has more than {limit // MIB:,} MB, more than its pixels take. Save it again."
                )
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: cannot be read ({error}). Open the file again, in mode 'rb'.") from None
    if not length:
        raise InputError(f"{name}: holds nothing more. Rewind the file: file.seek(0).")
    return decode_image(b"".join(parts), Path(name))


def _require_size(width: int, height: int, name: str) -> None:
    too_large = too_many_pixels(width, height)
    if too_large is not None:
        raise InputError(f"{name}: {too_large}")


def _of_array(array: NDArray[Any], name: str, *, channels_first: bool) -> list[NDArray[np.uint8]]:
    """The images of an array; a batch is judged as a whole, so that a dark image in it is not taken for 0 to 1."""
    if array.dtype.kind not in "buif":
        raise InputError(f"{name}: holds {array.dtype} and no numbers of pixels. {WANTED}.")
    if array.size == 0:
        raise InputError(f"{name}: has no pixels (its shape is {array.shape}). {WANTED}.")
    if array.ndim not in (2, 3, 4):
        raise InputError(f"{name}: has the shape {array.shape}. {WANTED}.")
    height, width = sorted(array.shape[-3:])[-2:]
    _require_size(width, height, name)
    values = _to_bytes(array, name)
    if values.ndim == 2:
        values = values[..., None]
        channels_first = False
    images = values if values.ndim == 4 else values[None]
    last, first = images.shape[3] in WITH_ALPHA, images.shape[1] in (WITH_ALPHA if channels_first else COLOURS_OR_GREY)
    if not (last or first):
        raise InputError(f"{name}: has the shape {array.shape}, in which no dimension holds channels. {WANTED}.")
    if first and (channels_first or not last):
        images = images.transpose(0, 2, 3, 1)
    if images.shape[3] == 1:
        images = np.broadcast_to(images, (*images.shape[:3], COLOURS))
    return [np.ascontiguousarray(image[..., :COLOURS]) for image in images]


def _to_bytes(array: NDArray[Any], name: str) -> NDArray[np.uint8]:
    """Numbers as uint8, 0 to 255, where it is certain what they mean."""
    if array.dtype == np.uint8:
        return array
    if array.dtype == np.bool_:
        return array.astype(np.uint8) * np.uint8(LARGEST)
    low, high = array.min(), array.max()
    held = f"{name}: holds {array.dtype} from {low:g} to {high:g}"
    if not np.isfinite(low) or not np.isfinite(high):
        raise InputError(f"{name}: holds numbers that are not finite. {WANTED}.")
    floating = array.dtype.kind == "f"
    if floating and low >= -ABOVE_ONE and high <= 1 + ABOVE_ONE:
        return np.asarray((np.clip(array, 0, 1) * LARGEST).round(), np.uint8)
    if low < 0:
        raise InputError(f"{held}: not pixels, perhaps normalized ones. {WANTED}, or floating 0 to 1.")
    if array.dtype.kind == "u" and array.dtype.itemsize == 2:
        return to_8_bits(array, None)[0]
    if high > LARGEST:
        raise InputError(f"{held}. {WANTED}: scale them by the largest value that the camera gives.")
    if floating and (array != np.floor(array)).any():
        raise InputError(f"{held}: neither 0 to 1 nor whole numbers. {WANTED}, e.g. image.round().astype(np.uint8).")
    return array.astype(np.uint8)
