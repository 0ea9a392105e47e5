"""Sampling: which images an epoch shows, and how often, where not each once.

Each technique that chooses images says what share of the epoch an image is to have; here the images are drawn. An
epoch always has as many images as the split, so the steps of the run and their rates are known at the start.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from lehr.rng import generator


def draw_images(shares: NDArray[np.float64], seed: int, epoch: int) -> list[int]:
    """Draw the images of an epoch, in their order: as many as there are, image i `n * shares[i]` times on average.

    In each epoch it is either the integer below that or the one above, drawn anew (systematic sampling with unequal
    shares, in random order; Madow, "On the Theory of Systematic Sampling, II", 1949).

    Args:
        shares: (n,), each image's share of the epoch, 0 or more; 1 together.
        seed: the run's seed.
        epoch: the epoch, from 0.
    """
    rng, count = generator(seed, "sampling", epoch), len(shares)
    order = rng.permutation(count)
    ends = np.cumsum(shares[order])
    points = (rng.random() + np.arange(count)) * (ends[-1] / count)
    # Rounding may take the last point to the end, behind all images that have a share.
    points = np.minimum(points, np.nextafter(ends[-1], 0))
    drawn = order[np.searchsorted(ends, points, side="right")]
    return [int(index) for index in rng.permutation(drawn)]
