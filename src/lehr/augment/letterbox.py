"""Letterboxing: an image scaled as a whole into a rectangle, the rest grey; and the inverse."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.models.network import PADDING
from lehr.models.scale import rounded_size

GREY = PADDING
"""Grey level of uncovered pixels."""


@dataclass(frozen=True, slots=True)
class Placement:
    """Position of an image in its letterbox: `x_letterbox = x_image * scale_x + offset_x`; pixels.

    Attributes:
        scale_x: letterbox pixels per image pixel, along x.
        scale_y: the same along y; differs by rounding to whole pixels.
        offset_x: the image's left edge in the letterbox.
        offset_y: the image's upper edge in the letterbox.
    """

    scale_x: float
    scale_y: float
    offset_x: float
    offset_y: float

    def to_letterbox(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) xyxy of the image, in the letterbox."""
        return np.asarray(boxes * self._scale() + self._offset(), np.float32)

    def to_image(self, boxes: NDArray[np.float32]) -> NDArray[np.float32]:
        """Boxes (n, 4) xyxy of the letterbox, in the image; they may reach outside."""
        return np.asarray((boxes - self._offset()) / self._scale(), np.float32)

    def as_row(self) -> tuple[float, float, float, float]:
        """Scale x, scale y, offset x, offset y: a row of `Batch.placements`."""
        return self.scale_x, self.scale_y, self.offset_x, self.offset_y

    def _scale(self) -> NDArray[np.float64]:
        return np.array([self.scale_x, self.scale_y, self.scale_x, self.scale_y])

    def _offset(self) -> NDArray[np.float64]:
        return np.array([self.offset_x, self.offset_y, self.offset_x, self.offset_y])


def fitted_size(width: int, height: int, box_width: int, box_height: int) -> tuple[int, int]:
    """Width and height of an image scaled to fit a rectangle, pixels; at least 1."""
    scale = min(box_width / width, box_height / height)
    return max(1, min(box_width, round(width * scale))), max(1, min(box_height, round(height * scale)))


def smallest_rectangle(sizes: Iterable[tuple[int, int]], side: int) -> tuple[int, int]:
    """Width and height, in whole strides, that just hold images of some (width, height) at a longest side; pixels."""
    fitted = [fitted_size(width, height, side, side) for width, height in sizes]
    return rounded_size(max(width for width, _ in fitted)), rounded_size(max(height for _, height in fitted))


def reduced_size(width: int, height: int, side: int) -> tuple[int, int]:
    """Width and height at which an image is kept for training at a size: fitted into the square, never enlarged."""
    return (width, height) if max(width, height) <= side else fitted_size(width, height, side, side)


def centred_placement(width: int, height: int, box_width: int, box_height: int) -> Placement:
    """Placement of an image in the middle of a rectangle, as large as fits; sizes in pixels."""
    fit_width, fit_height = fitted_size(width, height, box_width, box_height)
    return Placement(
        fit_width / width, fit_height / height, (box_width - fit_width) // 2, (box_height - fit_height) // 2
    )


def resize(image: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """An image (h, w, 3) at another size: averaged when it shrinks, interpolated when it grows."""
    if image.shape[:2] == (height, width):
        return image
    shrinks = image.shape[0] > height or image.shape[1] > width
    return np.asarray(
        cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR), np.uint8
    )


def letterbox(
    image: NDArray[np.uint8], box_width: int, box_height: int, grey: int = GREY
) -> tuple[NDArray[np.uint8], Placement]:
    """An image (h, w, 3) as large as fits in the middle of a grey rectangle (box_height, box_width, 3)."""
    canvas = np.full((box_height, box_width, 3), grey, np.uint8)
    return canvas, letterbox_into(image, canvas)


def letterbox_into(
    image: NDArray[np.uint8], canvas: NDArray[np.uint8], size: tuple[int, int] | None = None
) -> Placement:
    """Draw an image into the middle of a grey canvas (box_height, box_width, 3).

    Args:
        image: (h, w, 3), possibly already reduced.
        canvas: drawn into.
        size: width and height of the original, to which the placement refers; by default the image's own.
    """
    width, height = size or (image.shape[1], image.shape[0])
    box_height, box_width = canvas.shape[:2]
    placement = centred_placement(width, height, box_width, box_height)
    fit_width, fit_height = fitted_size(width, height, box_width, box_height)
    x, y = int(placement.offset_x), int(placement.offset_y)
    canvas[y : y + fit_height, x : x + fit_width] = resize(image, fit_width, fit_height)
    return placement
