"""Copy-paste: objects of another image, boxes with their content, pasted where they cover little of existing ones.

Dwibedi et al., "Cut, Paste and Learn", 2017; Ghiasi et al., "Simple Copy-Paste", 2021, who cut objects out along masks.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.augment.box_filter import box_limits, visible
from lehr.augment.geometry import Matrix, scaling, transform_boxes, translation
from lehr.augment.mosaic import why_single
from lehr.augment.partners import Partners
from lehr.augment.tiles import Tile, fit_pixels
from lehr.options import AugmentOptions
from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

MAX_COVERED = 0.3
"""Share of an object that a pasted one may cover; each later one may cover as much again."""


def copy_paste(
    samples: Sequence[Sample],
    options: AugmentOptions,
    imgsz: int,
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    view: Matrix,
    partners: Partners,
    rng: np.random.Generator,
) -> tuple[list[Tile], NDArray[np.float64], NDArray[np.int64]]:
    """Paste objects of another image, each with its probability, where it covers little of existing ones."""
    (index,) = partners.draw(rng, 1)
    source = samples[index]
    size = imgsz / max(source.width, source.height) * abs(float(np.linalg.det(view[:2, :2]))) ** 0.5
    limits = box_limits(options)
    tiles: list[Tile] = []
    for box, class_id in zip(source.boxes.astype(np.float64), source.classes, strict=True):
        chance, x, y = rng.random(3)
        width, height = (box[2:] - box[:2]) * size
        if chance >= options.copy_paste or width > imgsz or height > imgsz:
            continue
        left, top = x * (imgsz - width), y * (imgsz - height)
        matrix = translation(left, top) @ scaling(size, size) @ translation(-box[0], -box[1])
        tile = fit_pixels(Tile(index, matrix, tuple(box.tolist())), source, imgsz, (imgsz, imgsz))
        if tile is None:
            continue
        pasted, kept = visible(transform_boxes(box[None], tile.matrix), imgsz, imgsz, limits)
        if not kept[0] or _covered(boxes, pasted[0]).max(initial=0) > MAX_COVERED:
            continue
        tiles.append(tile)
        boxes, classes = np.concatenate((boxes, pasted)), np.append(classes, class_id)
    return tiles, boxes, classes


def _covered(boxes: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each box's area that another box covers."""
    sides = np.clip(np.minimum(boxes[:, 2:], by[2:]) - np.maximum(boxes[:, :2], by[:2]), 0, None)
    return np.asarray(sides.prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1))


def _without_effect(run: Run) -> dict[str, NoEffect]:
    return {} if (why := why_single(run)) is None else {"copy_paste": NoEffect(why)}


def _state(run: Run) -> State:
    share = run.config.augment.copy_paste
    return State(share > 0, f"probability {share:g}")


TECHNIQUE = Technique(
    name="copy-paste",
    page="copy-paste",
    section=Section.AUGMENTATION,
    order=30,
    options=("copy_paste",),
    without_effect=_without_effect,
    why="objects in new surroundings",
    state=_state,
    switches=(Switch("copy_paste", {"copy_paste": 0.1}, {"copy_paste": 0.0}),),
)
