"""Flips: a mirrored object is still the object (Krizhevsky et al., 2012)."""

from __future__ import annotations

import numpy as np

from lehr.augment.geometry import Matrix, scaling, translation
from lehr.options import AugmentOptions


def flips(options: AugmentOptions, shape: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """The matrix that mirrors a canvas left-right and upside-down, each by its probability.

    Args:
        options: the probabilities.
        shape: width and height of the canvas, pixels.
        rng: draws both.
    """
    up_down, left_right = rng.random(2) < (options.flipud, options.fliplr)
    x, y = (-1 if left_right else 1), (-1 if up_down else 1)
    return translation(shape[0] if left_right else 0, shape[1] if up_down else 0) @ scaling(x, y)
