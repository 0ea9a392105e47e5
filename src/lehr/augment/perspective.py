"""Random perspective: the camera stands elsewhere each time; shift, zoom, turn, shear and tilt in one matrix."""

from __future__ import annotations

import numpy as np

from lehr.augment.geometry import Matrix, rotation, scaling, shearing, tilting, translation
from lehr.options import AugmentOptions


def moves(options: AugmentOptions) -> bool:
    """Whether any of it is on."""
    return any(
        (options.degrees, options.translate, options.scale, options.shear, options.perspective),
    )


def random_view(
    options: AugmentOptions, canvas: tuple[int, int], shape: tuple[int, int], rng: np.random.Generator
) -> Matrix:
    """A random view of the canvas: tilted, turned, scaled and sheared about its centre, then shifted.

    Args:
        options: how far each may go.
        canvas: width and height of what is looked at, pixels.
        shape: width and height of the picture, pixels.
        rng: draws each, uniform within its bounds.
    """
    tilt = tilting(*rng.uniform(-options.perspective, options.perspective, 2))
    turn = rotation(rng.uniform(-options.degrees, options.degrees))
    factor = rng.uniform(1 - options.scale, 1 + options.scale)
    slant = shearing(*rng.uniform(-options.shear, options.shear, 2))
    x, y = rng.uniform(0.5 - options.translate, 0.5 + options.translate, 2) * shape
    centred = translation(-canvas[0] / 2, -canvas[1] / 2)
    return np.asarray(translation(x, y) @ slant @ scaling(factor, factor) @ turn @ tilt @ centred)
