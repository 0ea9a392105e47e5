"""Random perspective: a new camera position each time; shift, zoom, turn, shear and tilt in one matrix."""

from __future__ import annotations

import numpy as np

from lehr.augment.geometry import Matrix, rotation, scaling, shearing, tilting, translation
from lehr.options import AugmentOptions
from lehr.technique import Run, Section, State, Switch, Technique, shell_options


def moves(options: AugmentOptions) -> bool:
    """Return whether any part of random perspective is on."""
    return any(
        (options.degrees, options.translate, options.scale, options.shear, options.perspective),
    )


def random_view(
    options: AugmentOptions, plane: tuple[int, int], shape: tuple[int, int], rng: np.random.Generator
) -> Matrix:
    """Draw a random view of the plane: tilted, turned, scaled and sheared about its centre, then shifted.

    Args:
        options: how far each may go.
        plane: width and height of the plane that is viewed, pixels: the mosaic's, or the canvas itself.
        shape: width and height of the canvas, pixels.
        rng: draws each, uniform within its bounds.
    """
    tilt = tilting(*rng.uniform(-options.perspective, options.perspective, 2))
    turn = rotation(rng.uniform(-options.degrees, options.degrees))
    factor = rng.uniform(1 - options.scale, 1 + options.scale)
    slant = shearing(*rng.uniform(-options.shear, options.shear, 2))
    x, y = rng.uniform(0.5 - options.translate, 0.5 + options.translate, 2) * shape
    centred = translation(-plane[0] / 2, -plane[1] / 2)
    return np.asarray(translation(x, y) @ slant @ scaling(factor, factor) @ turn @ tilt @ centred)


OPTIONS = ("degrees", "translate", "scale", "shear", "perspective")


def _state(run: Run) -> State:
    values = {name: getattr(run.config.augment, name) for name in OPTIONS}
    on = {name: value for name, value in values.items() if value}
    value = ", ".join(f"{name} {value:g}" for name, value in on.items())
    return State(bool(on), value, shell_options(dict.fromkeys(on, 0)))


TECHNIQUE = Technique(
    name="random perspective",
    page="random-perspective",
    section=Section.AUGMENTATION,
    order=40,
    options=OPTIONS,
    why="the camera position varies",
    state=_state,
    switches=(
        Switch(
            "random_perspective",
            {"translate": 0.1, "scale": 0.5, "degrees": 0.0, "shear": 0.0, "perspective": 0.0},
            {"translate": 0.0, "scale": 0.0, "degrees": 0.0, "shear": 0.0, "perspective": 0.0},
        ),
    ),
    turn_on="--scale 0.5 --translate 0.1",
    code=("augment/geometry.py",),
)
