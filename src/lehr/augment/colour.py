"""Colour jitter in hue, saturation and value, plane by plane (Howard, 2013; Redmon & Farhadi, 2018)."""

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
    hues = ((values * gains[0]) % HUES).astype(np.uint8)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hue, saturation, value = cv2.split(hsv)
    # Plane by plane is faster than one table of three channels.
    cv2.LUT(hue, hues, dst=hue)
    cv2.convertScaleAbs(saturation, dst=saturation, alpha=gains[1])
    cv2.convertScaleAbs(value, dst=value, alpha=gains[2])
    cv2.merge((hue, saturation, value), dst=hsv)
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image)
