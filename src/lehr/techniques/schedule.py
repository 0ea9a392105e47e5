"""Learning-rate schedules: the course of the rate over the run, as a multiple of lr0.

Each is a pure function of the epoch, so that it can be plotted, tested and resumed without bookkeeping.
"""

from __future__ import annotations

import math


def linear(epoch: float, epochs: int, lrf: float) -> float:
    """A straight line from 1 at the start to `lrf` at the end: `(1 - x/E)(1 - lrf) + lrf`.

    Args:
        epoch: x, 0 to `epochs`.
        epochs: E, the length of the run.
        lrf: the last multiple, 0 to 1.
    """
    return (1 - epoch / epochs) * (1 - lrf) + lrf


def cosine(epoch: float, epochs: int, lrf: float) -> float:
    """One half wave from 1 to `lrf`: `(1 - cos(pi x/E))/2 (lrf - 1) + 1` (He et al., "Bag of Tricks", 2019).

    Args:
        epoch: x, 0 to `epochs`.
        epochs: E, the length of the run.
        lrf: the last multiple, 0 to 1.
    """
    return (1 - math.cos(math.pi * epoch / epochs)) / 2 * (lrf - 1) + 1
