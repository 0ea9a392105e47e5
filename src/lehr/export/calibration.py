"""Images that the ranges of int8 are measured on: the user's own, prepared as for prediction."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.augment.letterbox import letterbox
from lehr.data.images import ImageFault, read_image
from lehr.data.load import load_dataset
from lehr.errors import InputError

IMAGES = 300
"""Images at most; NNCF's own measure of how many suffice."""


def calibration(data: str, size: tuple[int, int], batch: int) -> Callable[[], Iterator[NDArray[np.float32]]]:
    """Return what gives batches to calibrate on.

    Args:
        data: what `--data` takes.
        size: height and width, pixels.
        batch: images at once.

    Raises:
        InputError: the data cannot be used, or has no image.
    """
    return partial(calibration_batches, find_calibration_images(data), size, batch)


def find_calibration_images(data: str) -> list[Path]:
    """Return images to calibrate on, evenly over the training split, or over that for validation if there is none.

    Args:
        data: what `--data` takes.

    Raises:
        InputError: the data cannot be used, or has no image.
    """
    dataset = load_dataset(data, needed=())
    for split in ("train", "val", "test"):
        samples = dataset.splits.get(split, ())
        if samples:
            places = np.unique(np.linspace(0, len(samples) - 1, min(IMAGES, len(samples))).round().astype(int))
            return [samples[place].path for place in places.tolist()]
    raise InputError(f"--data {data}: has no image to calibrate on.")


def calibration_batches(images: list[Path], size: tuple[int, int], batch: int) -> Iterator[NDArray[np.float32]]:
    """Yield batches (batch, 3, height, width), RGB, 0 to 1; images that cannot be read are left away.

    Args:
        images: the files.
        size: height and width, pixels.
        batch: images at once; the last batch repeats images where there are too few.
    """
    canvases = []
    for path in images:
        try:
            canvas, _ = letterbox(read_image(path), size[1], size[0])
        except ImageFault as fault:
            logging.getLogger("lehr").warning("%s: not calibrated on (%s).", path, fault)
            continue
        canvases.append(canvas)
        if len(canvases) == batch:
            yield _as_input(canvases)
            canvases = []
    if canvases:
        yield _as_input([canvases[place % len(canvases)] for place in range(batch)])


def _as_input(canvases: list[NDArray[np.uint8]]) -> NDArray[np.float32]:
    return np.ascontiguousarray(np.stack(canvases).transpose(0, 3, 1, 2), np.float32) / np.float32(255)
