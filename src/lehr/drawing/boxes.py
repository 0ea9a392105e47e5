"""Boxes with their labels on photographs: solid or dashed, so that colour is never all that tells them apart."""

from __future__ import annotations

import colorsys
import math
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.drawing.palette import ON_DARK

GOLDEN_ANGLE = 0.381966
"""Turns the hue from class to class, so that neighbours differ."""
FONT = cv2.FONT_HERSHEY_SIMPLEX
MAX_LABEL = 32
"""Characters of a class name that a label shows."""
LUMA, BRIGHT = (0.299, 0.587, 0.114), 130
"""Weights of red, green and blue in a colour's brightness (ITU-R BT.601), and that above which text on it is black."""
DASH, GAP = 5, 4
"""Length of a dash and of the gap behind it, in widths of the line."""
MAX_DASHES = 200
"""Dashes of a side at most: on long sides they are longer."""
Colour = tuple[int, int, int]
"""RGB, 0 to 255."""


@dataclass(frozen=True, slots=True)
class DrawnBox:
    """A box to draw.

    Attributes:
        xyxy: left, top, right and bottom, pixels of the image it is drawn on.
        label: text on its upper edge, ASCII; empty for none.
        colour: of its line.
        dashed: whether the line is dashed.
        thickness: of the line, pixels; None to go by the image's size.
    """

    xyxy: Sequence[float]
    label: str
    colour: Colour
    dashed: bool = False
    thickness: int | None = None


def draw_boxes(canvas: NDArray[np.uint8], boxes: Iterable[DrawnBox], size: float | None = None) -> None:
    """Draw boxes onto an image, later ones on top.

    Args:
        canvas: uint8 (h, w, 3), RGB; changed.
        boxes: what to draw; what reaches beyond the image is drawn along its edge.
        size: of the text, 1 for capitals 21 pixels high; None to go by the image's size.
    """
    height, width = canvas.shape[:2]
    usual = max(1, round(max(height, width) / 400))
    size = max(0.35, max(height, width) / 1600) if size is None else size
    for box in boxes:
        x1, y1, x2, y2 = _corners(box.xyxy, width, height)
        thickness = box.thickness or usual
        if box.dashed:
            _dashed_rectangle(canvas, (x1, y1, x2, y2), box.colour, thickness)
        else:
            cv2.rectangle(canvas, (x1, y1), (x2, y2), box.colour, thickness)
        if box.label:
            _label(canvas, box, (x1, y1), size)


def class_colour(class_id: int) -> Colour:
    """A class's colour, RGB, 0 to 255: those of the first seven stay apart for colour-blind readers."""
    if 0 <= class_id < len(ON_DARK) - 1:
        first, second, third = (int(ON_DARK[class_id][place : place + 2], 16) for place in (1, 3, 5))
        return first, second, third
    red, green, blue = colorsys.hsv_to_rgb((class_id * GOLDEN_ANGLE) % 1, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)


def drawable(name: str, class_id: int) -> str:
    """Return a class name as it can be drawn: the font has ASCII only, so others lose accents or become a number.

    Args:
        name: the class name.
        class_id: its number, from 0.
    """
    letters = unicodedata.normalize("NFKD", name)
    text = "".join(letter for letter in letters if not unicodedata.combining(letter))
    if not text.isascii() or not text.isprintable():
        return f"class {class_id}"
    return text if len(text) <= MAX_LABEL else f"{text[: MAX_LABEL - 3]}..."


def _corners(xyxy: Sequence[float], width: int, height: int) -> tuple[int, int, int, int]:
    """Corners of a box, whole pixels inside the image, so that the edges of what reaches beyond it are seen."""
    x1, y1, x2, y2 = (
        round(min(max(side, 0.0), limit - 1.0)) if math.isfinite(side) else 0
        for side, limit in zip(xyxy, (width, height, width, height), strict=True)
    )
    return x1, y1, x2, y2


def _label(canvas: NDArray[np.uint8], box: DrawnBox, corner: tuple[int, int], size: float) -> None:
    """Write a box's label above its upper left corner, or below where there is no room."""
    x1, y1 = corner
    (width, height), below = cv2.getTextSize(box.label, FONT, size, 1)
    top = y1 - height - below if y1 - height - below >= 0 else y1
    left = max(0, min(x1, canvas.shape[1] - width))
    cv2.rectangle(canvas, (left, top), (left + width, top + height + below), box.colour, cv2.FILLED)
    bright = sum(weight * part for weight, part in zip(LUMA, box.colour, strict=True)) > BRIGHT
    ink = (0, 0, 0) if bright else (255, 255, 255)
    cv2.putText(canvas, box.label, (left, top + height), FONT, size, ink, 1, cv2.LINE_AA)


def _dashed_rectangle(
    canvas: NDArray[np.uint8], corners: tuple[int, int, int, int], colour: Colour, thickness: int
) -> None:
    x1, y1, x2, y2 = corners
    for start, end in (((x1, y1), (x2, y1)), ((x1, y2), (x2, y2)), ((x1, y1), (x1, y2)), ((x2, y1), (x2, y2))):
        length = max(abs(end[0] - start[0]), abs(end[1] - start[1]))
        period = max((DASH + GAP) * thickness, length / MAX_DASHES)
        for position in np.arange(0, length, period):
            ends = [
                tuple(round(a + (b - a) * at / length) for a, b in zip(start, end, strict=True))
                for at in (position, min(position + period * DASH / (DASH + GAP), length))
            ]
            cv2.line(canvas, ends[0], ends[1], colour, thickness)
