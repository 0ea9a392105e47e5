"""Images of a batch side by side, with the boxes and class names that belong to them."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.drawing.boxes import DrawnBox, class_colour, draw_boxes, drawable

MAX_IMAGES = 16
"""Images of a sheet at most."""
CELL = 280
"""Longer side of an image on a sheet, pixels."""
MARGIN = 4
"""Between images, pixels."""
MAX_SIDE = math.isqrt(MAX_IMAGES) * (CELL + MARGIN) + MARGIN
"""Longer side of a sheet at most, pixels."""
TEXT_SIZE, MAX_LABELS = 0.32, 30
"""Size of class names; in an image of more objects than so many, the largest of each class has its name alone."""
PAPER = 255


def contact_sheet(
    images: NDArray[np.uint8], boxes: NDArray[np.float32], classes: NDArray[np.int64], names: Sequence[str]
) -> NDArray[np.uint8]:
    """Draw a sheet of images in rows, as square as may be.

    Args:
        images: uint8 (n, 3, h, w), RGB; the first 16 are drawn.
        boxes: float32 (n, objects, 4), xyxy in their pixels.
        classes: int64 (n, objects); -1 where padded.
        names: the class names.

    Returns:
        uint8 (height, width, 3), RGB.
    """
    images = images[:MAX_IMAGES]
    scale = min(1.0, CELL / max(images.shape[2:]))
    height, width = (max(1, round(side * scale)) for side in images.shape[2:])
    columns = math.ceil(math.sqrt(len(images)))
    rows = math.ceil(len(images) / columns)
    shape = (rows * (height + MARGIN) + MARGIN, columns * (width + MARGIN) + MARGIN, 3)
    sheet = np.full(shape, PAPER, np.uint8)
    for number, (image, some_boxes, some_classes) in enumerate(zip(images, boxes, classes, strict=False)):
        row, column = divmod(number, columns)
        top, left = row * (height + MARGIN) + MARGIN, column * (width + MARGIN) + MARGIN
        cell = cv2.resize(image.transpose(1, 2, 0), (width, height), interpolation=cv2.INTER_AREA)
        real = some_classes >= 0
        draw_boxes(cell, _drawn(some_boxes[real] * scale, some_classes[real], names), TEXT_SIZE)
        sheet[top : top + height, left : left + width] = cell
    return sheet


def _drawn(boxes: NDArray[np.float32], classes: NDArray[np.int64], names: Sequence[str]) -> list[DrawnBox]:
    """The boxes of an image (n, 4), small ones on top."""
    order = np.argsort(-(boxes[:, 2:] - boxes[:, :2]).prod(1), kind="stable")
    named: set[int] = set()
    drawn = []
    for box, index in zip(boxes[order], classes[order].tolist(), strict=True):
        label = "" if len(classes) > MAX_LABELS and index in named else drawable(names[index], index)
        named.add(index)
        drawn.append(DrawnBox(box.tolist(), label, class_colour(index)))
    return drawn
