"""Drawing detections onto a copy of their image."""

from __future__ import annotations

import colorsys

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.detections import Detections

GOLDEN_ANGLE = 0.381966
"""Turns the hue from class to class, so that neighbours differ."""


def annotate(image: NDArray[np.uint8], detections: Detections) -> NDArray[np.uint8]:
    """A copy of an image (h, w, 3), RGB, with a box, the class name and the score of each detection."""
    canvas = image.copy()
    thickness = max(1, round(max(image.shape[:2]) / 400))
    font, size = cv2.FONT_HERSHEY_SIMPLEX, max(0.35, max(image.shape[:2]) / 1600)
    for detection in reversed(list(detections)):  # the best is drawn last, on top
        colour = class_colour(detection.class_id)
        x1, y1, x2, y2 = (round(side) for side in detection.xyxy)
        cv2.rectangle(canvas, (x1, y1), (x2, y2), colour, thickness)
        label = f"{detection.name} {detection.score:.2f}"
        (width, height), below = cv2.getTextSize(label, font, size, 1)
        top = y1 - height - below if y1 - height - below >= 0 else y1
        left = max(0, min(x1, canvas.shape[1] - width))
        cv2.rectangle(canvas, (left, top), (left + width, top + height + below), colour, cv2.FILLED)
        ink = (0, 0, 0) if sum(colour) > 380 else (255, 255, 255)
        cv2.putText(canvas, label, (left, top + height), font, size, ink, 1, cv2.LINE_AA)
    return canvas


def class_colour(class_id: int) -> tuple[int, int, int]:
    """A class's colour, RGB, 0 to 255."""
    red, green, blue = colorsys.hsv_to_rgb((class_id * GOLDEN_ANGLE) % 1, 0.85, 0.95)
    return round(red * 255), round(green * 255), round(blue * 255)
