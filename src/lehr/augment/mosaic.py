"""Mosaic: four images around a random point (Bochkovskiy et al., "YOLOv4", 2020).

The plane is twice as wide and high as the canvas; the view of random perspective cuts the canvas out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lehr.augment.closing import closing_epochs
from lehr.augment.geometry import scaling, translation
from lehr.augment.partners import Partners
from lehr.augment.tiles import Tile
from lehr.runtime.counted import counted
from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique


def mosaic(
    samples: Sequence[Sample], imgsz: int, index: int, partners: Partners, rng: np.random.Generator
) -> list[Tile]:
    """Place four images around a random point of a plane twice as large, each touching it with a corner.

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


def closed_epochs(run: Run) -> int:
    """Number of last epochs of a planned run without mosaic, mixup, CutMix and copy-paste."""
    return closing_epochs(run.config.augment.close_mosaic, run.plan.epochs)


def why_single(run: Run) -> str | None:
    """Return why a planned run combines no images; None if it may."""
    return "--rect makes rectangles, and images are combined in squares" if run.config.data.rect else None


def _without_effect(run: Run) -> dict[str, NoEffect]:
    augment, epochs = run.config.augment, run.plan.epochs
    if (why := why_single(run)) is not None:
        return {"mosaic": NoEffect(why), "close_mosaic": NoEffect(why)}
    if not any((augment.mosaic, augment.mixup, augment.cutmix, augment.copy_paste)):
        return {"close_mosaic": NoEffect("mosaic, mixup, CutMix and copy-paste are off")}
    if augment.close_mosaic is not None and augment.close_mosaic >= epochs:
        closed = closed_epochs(run)
        why = (
            f"the run has {counted(epochs, 'epoch')}, so mosaic is off in the last {closed}, as without the option; "
            "--mosaic 0 turns it off throughout"
        )
        return {"close_mosaic": NoEffect(why, acts_as=closed)}
    return {}


def _state(run: Run) -> State:
    share, closed = run.config.augment.mosaic, closed_epochs(run)
    closing = f"off in the last {'epoch' if closed == 1 else f'{closed} epochs'}" if closed else "on until the end"
    return State(share > 0, f"probability {share:g}, {closing}")


TECHNIQUE = Technique(
    name="mosaic",
    page="mosaic",
    section=Section.AUGMENTATION,
    order=10,
    options=("mosaic", "close_mosaic"),
    code=("augment/closing.py",),
    without_effect=_without_effect,
    why="four images in one: more objects, more sizes, more surroundings",
    state=_state,
    switches=(
        Switch("mosaic", {"mosaic": 1.0}, {"mosaic": 0.0}),
        Switch("close_mosaic", {"close_mosaic": None}, {"close_mosaic": 0}),
    ),
    turn_on="--mosaic 1, without --rect",
)
