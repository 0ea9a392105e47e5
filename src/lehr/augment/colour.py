"""Colour jitter in hue, saturation and value, as three look-up tables (Howard, 2013; Redmon & Farhadi, 2018)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

HUES = 180
"""Values of the hue in OpenCV's 8-bit HSV: half degrees."""


def jitter_hsv(image: NDArray[np.uint8], gains: tuple[float, float, float]) -> None:
    """Multiplies hue, saturation and value in place; hue goes round, the others saturate.

    Args:
        image: uint8 (h, w, 3), RGB, contiguous.
        gains: factors of hue, saturation and value.
    """
    values = np.arange(256, dtype=np.float64)
    table = np.empty((1, 256, 3), np.uint8)
    table[0, :, 0] = (values * gains[0]) % HUES
    table[0, :, 1] = np.clip(values * gains[1], 0, 255)
    table[0, :, 2] = np.clip(values * gains[2], 0, 255)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    cv2.LUT(hsv, table, dst=hsv)
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image)
