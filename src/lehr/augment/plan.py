"""What happens to a training image, decided before any pixel is touched.

A plan is a function of (seed, epoch, index) and of the sizes and boxes in the data set: which images are drawn
where, and the objects that result. So it can be tested without images, and carried out on any device. Mosaic
(Bochkovskiy et al., YOLOv4, 2020), random perspective, flips and copy-paste (Ghiasi et al., 2021) are all one matrix
a tile: every pixel is resampled once.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.augment.fit import Fit, fit_axis
from lehr.augment.geometry import (
    Matrix,
    rotation,
    scaling,
    shearing,
    tilting,
    transform_boxes,
    translation,
    visible,
)
from lehr.augment.letterbox import reduced_size
from lehr.data.types import Sample
from lehr.options import AugmentOptions
from lehr.rng import generator

MIXUP_BETA = 32.0
"""Both parameters of mixup's Beta distribution: blends close to half and half."""
MOST_COVERED = 0.3
"""Share of an object that a pasted one may cover."""


@dataclass(frozen=True, slots=True)
class Tile:
    """One source image in the picture.

    Attributes:
        index: the source's place in the split.
        matrix: (3, 3), from the source's pixels to the picture's.
        region: xyxy, the part of the source that is drawn, its pixels.
        fit: for an upright tile, the same in whole pixels.
    """

    index: int
    matrix: Matrix
    region: tuple[float, float, float, float]
    fit: Fit | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """A training picture before it is drawn.

    Attributes:
        tiles: drawn one after another on grey.
        boxes: float32 (n, 4), xyxy in pixels of the picture.
        classes: int64 (n,).
        hsv: factors of hue, saturation and value; None for colours as they are.
        blend: with mixup, the other picture and this one's share.
    """

    tiles: tuple[Tile, ...]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    hsv: tuple[float, float, float] | None = None
    blend: tuple[Plan, float] | None = None


def plan_picture(
    samples: Sequence[Sample],
    options: AugmentOptions,
    imgsz: int,
    *,
    seed: int,
    epoch: int,
    index: int,
    mosaic: bool,
    shape: tuple[int, int] | None = None,
) -> Plan:
    """The plan of a training picture.

    Args:
        samples: the training split.
        options: what may be done.
        imgsz: longest side of the picture, pixels.
        seed: the run's seed.
        epoch: the epoch, from 0.
        index: the image's place in the split.
        mosaic: whether mosaic, mixup and copy-paste are still on; they need a square.
        shape: width and height of the picture, pixels; None for a square.
    """
    rng = generator(seed, "augment", epoch, index)
    plan = _plan_one(samples, options, imgsz, index, mosaic, rng, shape)
    if mosaic and rng.random() < options.mixup:
        other = _plan_one(samples, options, imgsz, int(rng.integers(len(samples))), mosaic, rng)
        share = float(rng.beta(MIXUP_BETA, MIXUP_BETA))
        boxes = np.concatenate((plan.boxes, other.boxes))
        classes = np.concatenate((plan.classes, other.classes))
        plan = Plan(plan.tiles, boxes, classes, blend=(other, share))
    spans = (options.hsv_h, options.hsv_s, options.hsv_v)
    draws = rng.uniform(-1, 1, 3)
    if not any(spans):
        return plan
    hue, saturation, value = (float(1 + draw * span) for draw, span in zip(draws, spans, strict=True))
    return Plan(plan.tiles, plan.boxes, plan.classes, (hue, saturation, value), plan.blend)


def _plan_one(
    samples: Sequence[Sample],
    options: AugmentOptions,
    imgsz: int,
    index: int,
    mosaic: bool,
    rng: np.random.Generator,
    shape: tuple[int, int] | None = None,
) -> Plan:
    shape = shape or (imgsz, imgsz)
    if mosaic and rng.random() < options.mosaic:
        tiles = _mosaic(samples, imgsz, index, rng)
        canvas = (2 * imgsz, 2 * imgsz)
    else:
        tiles = [_whole(samples[index], index, shape)]
        canvas = shape
    view = _perspective(options, canvas, shape, rng) if _moves(options) or canvas != shape else np.eye(3)
    view = _flips(options, shape, rng) @ view
    tiles = [Tile(tile.index, view @ tile.matrix, tile.region) for tile in tiles]
    tiles = [fitted for tile in tiles if (fitted := fit_pixels(tile, samples[tile.index], imgsz, shape)) is not None]
    boxes, classes = _objects(samples, tiles, shape)
    if mosaic and options.copy_paste > 0:
        pasted, boxes, classes = _copy_paste(samples, options, imgsz, boxes, classes, view, rng)
        tiles += pasted
    return Plan(tuple(tiles), boxes.astype(np.float32), classes)


def _whole(sample: Sample, index: int, shape: tuple[int, int]) -> Tile:
    """A single image in the middle of the picture, as large as fits."""
    scale = min(shape[0] / sample.width, shape[1] / sample.height)
    x, y = (shape[0] - sample.width * scale) / 2, (shape[1] - sample.height * scale) / 2
    return Tile(index, translation(x, y) @ scaling(scale, scale), (0, 0, sample.width, sample.height))


def _mosaic(samples: Sequence[Sample], imgsz: int, index: int, rng: np.random.Generator) -> list[Tile]:
    """Four images around a random point of a canvas twice as large, each touching it with a corner."""
    x, y = rng.uniform(imgsz / 2, imgsz * 3 / 2, 2)
    indices = [index, *rng.integers(len(samples), size=3).tolist()]
    tiles = []
    for place, number in enumerate(indices):
        sample = samples[number]
        scale = imgsz / max(sample.width, sample.height)
        left = x - sample.width * scale if place % 2 == 0 else x
        top = y - sample.height * scale if place < 2 else y
        matrix = translation(left, top) @ scaling(scale, scale)
        tiles.append(Tile(number, matrix, (0, 0, sample.width, sample.height)))
    return tiles


def _moves(options: AugmentOptions) -> bool:
    return any(
        (options.degrees, options.translate, options.scale, options.shear, options.perspective),
    )


def _perspective(
    options: AugmentOptions, canvas: tuple[int, int], shape: tuple[int, int], rng: np.random.Generator
) -> Matrix:
    """A random view of the canvas: tilted, turned, scaled and sheared about its centre, then shifted."""
    tilt = tilting(*rng.uniform(-options.perspective, options.perspective, 2))
    turn = rotation(rng.uniform(-options.degrees, options.degrees))
    factor = rng.uniform(1 - options.scale, 1 + options.scale)
    slant = shearing(*rng.uniform(-options.shear, options.shear, 2))
    x, y = rng.uniform(0.5 - options.translate, 0.5 + options.translate, 2) * shape
    centred = translation(-canvas[0] / 2, -canvas[1] / 2)
    return np.asarray(translation(x, y) @ slant @ scaling(factor, factor) @ turn @ tilt @ centred)


def _flips(options: AugmentOptions, shape: tuple[int, int], rng: np.random.Generator) -> Matrix:
    """Mirrored left-right and upside-down, each by its probability."""
    up_down, left_right = rng.random(2) < (options.flipud, options.fliplr)
    x, y = (-1 if left_right else 1), (-1 if up_down else 1)
    return translation(shape[0] if left_right else 0, shape[1] if up_down else 0) @ scaling(x, y)


def fit_pixels(tile: Tile, sample: Sample, imgsz: int, shape: tuple[int, int]) -> Tile | None:
    """An upright tile moved by less than a pixel so that whole pixels meet whole pixels; None when it is not seen.

    Then drawing it is a crop and a resize, several times faster than a warp, and its matrix is still exact. Other
    tiles stay as they are.
    """
    m = tile.matrix
    if m[0, 1] != 0 or m[1, 0] != 0 or m[2, 0] != 0 or m[2, 1] != 0:
        return tile
    width, height = reduced_size(sample.width, sample.height, imgsz)
    rx, ry = width / sample.width, height / sample.height
    x1, y1, x2, y2 = tile.region
    x = fit_axis(float(m[0, 0]) / rx, float(m[0, 2]), x1 * rx, x2 * rx, width, shape[0])
    y = fit_axis(float(m[1, 1]) / ry, float(m[1, 2]), y1 * ry, y2 * ry, height, shape[1])
    if x is None or y is None:
        return None
    matrix = np.array([[x.scale * rx, 0, x.shift], [0, y.scale * ry, y.shift], [0, 0, 1]])
    return Tile(tile.index, matrix, tile.region, Fit(x, y))


def _objects(
    samples: Sequence[Sample], tiles: Sequence[Tile], shape: tuple[int, int]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The objects of all tiles that are still to be seen, in pixels of the picture."""
    moved = [transform_boxes(samples[tile.index].boxes.astype(np.float64), tile.matrix) for tile in tiles]
    boxes, kept = visible(np.concatenate([np.zeros((0, 4)), *moved]), *shape)
    classes = np.concatenate([np.zeros(0, np.int64), *(samples[tile.index].classes for tile in tiles)])
    return boxes[kept], classes[kept]


def _copy_paste(
    samples: Sequence[Sample],
    options: AugmentOptions,
    imgsz: int,
    boxes: NDArray[np.float64],
    classes: NDArray[np.int64],
    view: Matrix,
    rng: np.random.Generator,
) -> tuple[list[Tile], NDArray[np.float64], NDArray[np.int64]]:
    """Objects of another image, each pasted by its probability, where it covers little of those already there."""
    index = int(rng.integers(len(samples)))
    source = samples[index]
    size = imgsz / max(source.width, source.height) * abs(float(np.linalg.det(view[:2, :2]))) ** 0.5
    tiles: list[Tile] = []
    for box, number in zip(source.boxes.astype(np.float64), source.classes, strict=True):
        chance, x, y = rng.random(3)
        width, height = (box[2:] - box[:2]) * size
        if chance >= options.copy_paste or width > imgsz or height > imgsz:
            continue
        left, top = x * (imgsz - width), y * (imgsz - height)
        matrix = translation(left, top) @ scaling(size, size) @ translation(-box[0], -box[1])
        tile = fit_pixels(Tile(index, matrix, tuple(box.tolist())), source, imgsz, (imgsz, imgsz))
        if tile is None:
            continue
        pasted, kept = visible(transform_boxes(box[None], tile.matrix), imgsz, imgsz)
        if not kept[0] or _covered(boxes, pasted[0]).max(initial=0) > MOST_COVERED:
            continue
        tiles.append(tile)
        boxes, classes = np.concatenate((boxes, pasted)), np.append(classes, number)
    return tiles, boxes, classes


def _covered(boxes: NDArray[np.float64], by: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share of each box's area that another box covers."""
    sides = np.clip(np.minimum(boxes[:, 2:], by[2:]) - np.maximum(boxes[:, :2], by[:2]), 0, None)
    return np.asarray(sides.prod(1) / (boxes[:, 2:] - boxes[:, :2]).prod(1))
