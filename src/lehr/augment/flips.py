"""Flips: a mirrored object is still the object (Krizhevsky et al., 2012)."""

from __future__ import annotations

import numpy as np

from lehr.augment.geometry import Matrix, scaling, translation
from lehr.options import AugmentOptions
from lehr.technique import Run, Section, State, Switch, Technique


def flips(options: AugmentOptions, shape: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """Return the matrix that mirrors a canvas left-right and upside-down, each with its probability.

    Args:
        options: the probabilities.
        shape: width and height of the canvas, pixels.
        rng: draws both.
    """
    up_down, left_right = rng.random(2) < (options.flipud, options.fliplr)
    x, y = (-1 if left_right else 1), (-1 if up_down else 1)
    return translation(shape[0] if left_right else 0, shape[1] if up_down else 0) @ scaling(x, y)


def _state(run: Run) -> State:
    augment = run.config.augment
    value = f"left-right {augment.fliplr:g}, upside-down {augment.flipud:g}"
    return State(any((augment.fliplr, augment.flipud)), value)


TECHNIQUE = Technique(
    name="flips",
    page="flips",
    section=Section.AUGMENTATION,
    order=60,
    options=("fliplr", "flipud"),
    why="a mirrored object is still the object",
    state=_state,
    switches=(Switch("flips", {"fliplr": 0.5, "flipud": 0.0}, {"fliplr": 0.0, "flipud": 0.0}),),
    turn_on="--fliplr 0.5",
)
