"""The image of detections: its pixels where they are needed, and the annotated copy as a file or on the screen."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageShow

from lehr.errors import InputError, LehrError
from lehr.runtime.notebook import in_notebook

QUALITY = 92
"""Of JPEG files that are saved."""
GIVE = "Give its image: plot(image)."


def pixels_of(source: str, size: tuple[int, int], frame: int | None) -> NDArray[np.uint8]:
    """Read the image that detections were found in again.

    Args:
        source: its file.
        size: width and height, pixels.
        frame: its place in a video; None for an image.

    Returns:
        uint8 (height, width, 3), RGB.

    Raises:
        LehrError: it is not a file, or has changed.
    """
    from lehr.data.images import read_image

    if frame is not None:
        raise LehrError(
            f"{source}, frame {frame}: its pixels are not kept in a list. Use Detector.stream, whose detections hold "
            "their frame, or give it: plot(image)."
        )
    if not Path(source).is_file():
        raise LehrError(f"{source or 'These detections'}: there is no such file to draw on. {GIVE}")
    pixels = read_image(Path(source))
    if (pixels.shape[1], pixels.shape[0]) != size:
        raise LehrError(f"{source}: is no longer {size[0]} x {size[1]} pixels. {GIVE}")
    return pixels


def require_size(pixels: NDArray[np.uint8], size: tuple[int, int]) -> None:
    """Check that an image is that of some detections.

    Raises:
        InputError: it is of another size, or no uint8 (height, width, 3).
    """
    if pixels.ndim != 3 or pixels.shape[2] != 3 or pixels.dtype != np.uint8:
        raise InputError(f"image: is {pixels.dtype} {pixels.shape}. Give uint8 (height, width, 3), RGB.")
    if size != (0, 0) and (pixels.shape[1], pixels.shape[0]) != size:
        raise InputError(
            f"image: is {pixels.shape[1]} x {pixels.shape[0]} pixels, and the detections are of an image of "
            f"{size[0]} x {size[1]}."
        )


def save_image(pixels: NDArray[np.uint8], path: Path) -> Path:
    """Write an image in the format that its name ends with.

    Args:
        pixels: uint8 (height, width, 3), RGB.
        path: the file; one that is there is replaced.

    Raises:
        InputError: it cannot be written, or there is no such format.
    """
    try:
        Image.fromarray(pixels).save(path, quality=QUALITY)
    except (ValueError, KeyError):
        raise InputError(f"{path}: images are not written under this ending. Use .jpg or .png.") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be written ({error.strerror or error}). Choose another file.") from None
    return path


def show_image(pixels: NDArray[np.uint8]) -> None:
    """Show an image: in the cell of a notebook, else by the system's viewer.

    Raises:
        LehrError: there is no viewer.
    """
    image = Image.fromarray(pixels)
    if in_notebook():
        from IPython.display import display

        display(image)  # type: ignore[no-untyped-call]
    elif not ImageShow.show(image, "Detections"):
        raise LehrError("There is no image viewer here. Save the image instead: save('detections.jpg').")
