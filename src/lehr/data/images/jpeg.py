"""JPEG of a bounded number of bytes, for pages that hold many images."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

QUALITIES = (88, 80, 70, 60, 50, 40)
"""JPEG qualities, best first."""
FULL_COLOUR = (cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
"""Colour at full resolution: lines are a pixel wide."""
REDUCTION = 0.8
"""Factor of the sides where the lowest quality is still too large."""


def encode_jpeg(image: NDArray[np.uint8], limit: int) -> bytes:
    """Encode an image as JPEG, as good as a number of bytes allows; one that fits at no quality is made smaller.

    Args:
        image: uint8 (h, w, 3), RGB.
        limit: bytes, at least 1,000.
    """
    pixels = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    while True:
        for quality in QUALITIES:
            _, encoded = cv2.imencode(".jpg", pixels, [cv2.IMWRITE_JPEG_QUALITY, quality, *FULL_COLOUR])
            if encoded.size <= limit or max(pixels.shape[:2]) == 1:
                return encoded.tobytes()
        height, width = (max(1, int(side * REDUCTION)) for side in pixels.shape[:2])
        pixels = cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA)
