"""Speed of decoding JPEG images, which feeds a training whose images are not kept in memory."""

from __future__ import annotations

import time
from dataclasses import dataclass

import cv2
import numpy as np

WIDTH, HEIGHT, QUALITY = 640, 480, 90
SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class Decoding:
    """Decoding of JPEG on one core.

    Attributes:
        width: of the image, pixels.
        height: of the image, pixels.
        bytes: of the file.
        images_per_second: decoded to pixels, without reading a disk.
    """

    width: int
    height: int
    bytes: int
    images_per_second: float


def examine_decoding(seconds: float = SECONDS) -> Decoding:
    """Decode an image over and over.

    Args:
        seconds: for about how long.
    """
    file = _jpeg()
    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        cv2.imdecode(file, cv2.IMREAD_COLOR)
        count, start = 0, time.perf_counter()
        while (passed := time.perf_counter() - start) < seconds or count == 0:
            cv2.imdecode(file, cv2.IMREAD_COLOR)
            count += 1
    finally:
        cv2.setNumThreads(threads)
    return Decoding(WIDTH, HEIGHT, file.size, count / passed)


def _jpeg() -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    """Clouds and grain: about as many bytes as a photograph of this size has."""
    random = np.random.default_rng(0)
    coarse = random.integers(0, 256, (HEIGHT // 32, WIDTH // 32, 3), np.uint8)
    clouds = cv2.resize(coarse, (WIDTH, HEIGHT), interpolation=cv2.INTER_CUBIC).astype(np.int16)
    grain = random.integers(-12, 13, (HEIGHT, WIDTH, 1), np.int16)
    image = np.clip(clouds + grain, 0, 255).astype(np.uint8)
    done, file = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
    if not done:
        raise RuntimeError("OpenCV writes no JPEG")
    return np.asarray(file, np.uint8)
