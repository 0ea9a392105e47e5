"""Mosaic: four images around a random point (Bochkovskiy et al., "YOLOv4", 2020).

The plane is twice as wide and high as the canvas; the view of random perspective cuts the canvas out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lehr.augment.geometry import scaling, translation
from lehr.augment.partners import Partners
from lehr.augment.tiles import Tile
from lehr.sample import Sample
from lehr.technique import Run, Section, State, Switch, Technique


def mosaic(
    samples: Sequence[Sample], imgsz: int, index: int, partners: Partners, rng: np.random.Generator
) -> list[Tile]:
    """Four images around a random point of a plane twice as large, each touching it with a corner.

    Args:
        samples: the training split.
        imgsz: side of the canvas, pixels; the plane is twice that.
        index: the first image's index in the split.
        partners: the images that the three others are drawn from.
        rng: draws the point, uniform in the middle half of the plane, and the other images.
    """
    x, y = rng.uniform(imgsz / 2, imgsz * 3 / 2, 2)
    indices = [index, *partners.draw(rng, 3)]
    tiles = []
    for quadrant, source in enumerate(indices):
        sample = samples[source]
        scale = imgsz / max(sample.width, sample.height)
        left = x - sample.width * scale if quadrant % 2 == 0 else x
        top = y - sample.height * scale if quadrant < 2 else y
        matrix = translation(left, top) @ scaling(scale, scale)
        tiles.append(Tile(source, matrix, (0, 0, sample.width, sample.height)))
    return tiles


def _state(run: Run) -> State:
    augment, epochs = run.config.augment, run.plan.epochs
    possible = augment.mosaic > 0 and not run.config.data.rect
    if possible and augment.close_mosaic >= epochs:
        return State(
            False, change=f"--close-mosaic N, N below {epochs}; now closed for the last {augment.close_mosaic}"
        )
    return State(possible, f"probability {augment.mosaic:g}, closed for the last {augment.close_mosaic} epochs")


TECHNIQUE = Technique(
    name="mosaic",
    page="mosaic",
    section=Section.AUGMENTATION,
    order=10,
    options=("mosaic", "close_mosaic"),
    why="four images in one: more objects, more sizes, more surroundings",
    state=_state,
    switches=(
        Switch("mosaic", {"mosaic": 1.0}, {"mosaic": 0.0}),
        Switch("close_mosaic", {"close_mosaic": 10}, {"close_mosaic": 0}),
    ),
    turn_on="--mosaic 1, without --rect",
)
