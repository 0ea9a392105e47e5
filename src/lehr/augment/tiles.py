"""Planned canvases: tiles, each an image with a matrix, and the resulting objects."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lehr.augment.axis_aligned import Fit, fit_axis
from lehr.augment.box_filter import BoxLimits, visible
from lehr.augment.geometry import Matrix, scaling, transform_boxes, translation
from lehr.augment.letterbox import reduced_size
from lehr.sample import Sample


@dataclass(frozen=True, slots=True)
class Tile:
    """One source image in the canvas.

    Attributes:
        index: the source's index in the split.
        matrix: (3, 3), from the source's pixels to the canvas's.
        region: xyxy, the part of the source that is drawn, its pixels.
        fit: for an upright tile, the same in whole pixels.
    """

    index: int
    matrix: Matrix
    region: tuple[float, float, float, float]
    fit: Fit | None = None


Rectangle = tuple[int, int, int, int]
"""xyxy, whole pixels of a canvas."""


class Erased(NamedTuple):
    """A rectangle that becomes noise, and the key of that noise, 0 to 2**32 - 1."""

    rectangle: Rectangle
    key: int


@dataclass(frozen=True, slots=True)
class Plan:
    """Plan of a training canvas.

    Attributes:
        tiles: drawn one after another on grey.
        boxes: float32 (n, 4), xyxy in pixels of the canvas.
        classes: int64 (n,).
        hsv: factors of hue, saturation and value; None for unchanged colours.
        blend: with mixup, the other canvas and this one's share.
        hue_shift: added to the hue after its factor, half degrees (the circle has 180); only together with `hsv`.
        patch: with CutMix, the other canvas and where it replaces this one; colours change afterwards.
        erased: with random erasing, the rectangle that becomes noise, applied last.
    """

    tiles: tuple[Tile, ...]
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    hsv: tuple[float, float, float] | None = None
    blend: tuple[Plan, float] | None = None
    hue_shift: int = 0
    patch: tuple[Plan, Rectangle] | None = None
    erased: Erased | None = None


def whole(sample: Sample, index: int, shape: tuple[int, int]) -> Tile:
    """Place a single image in the middle of the canvas, as large as fits."""
    scale = min(shape[0] / sample.width, shape[1] / sample.height)
    x, y = (shape[0] - sample.width * scale) / 2, (shape[1] - sample.height * scale) / 2
    return Tile(index, translation(x, y) @ scaling(scale, scale), (0, 0, sample.width, sample.height))


def fit_pixels(tile: Tile, sample: Sample, imgsz: int, shape: tuple[int, int]) -> Tile | None:
    """Move an upright tile by less than a pixel to match whole pixels; None if it is not visible.

    It is then drawn by a crop and a resize, several times faster than a warp, and its matrix stays exact. Other tiles
    are unchanged.
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


def objects_of(
    samples: Sequence[Sample], tiles: Sequence[Tile], shape: tuple[int, int], limits: BoxLimits
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Collect the visible objects of all tiles, in pixels of the canvas.

    Args:
        samples: the training split.
        tiles: of the canvas.
        shape: width and height of the canvas, pixels.
        limits: what a box keeps to, to stay an object, relative to its area in the uncropped tile.
    """
    moved = [transform_boxes(samples[tile.index].boxes.astype(np.float64), tile.matrix) for tile in tiles]
    boxes, kept = visible(np.concatenate([np.zeros((0, 4)), *moved]), *shape, limits)
    classes = np.concatenate([np.zeros(0, np.int64), *(samples[tile.index].classes for tile in tiles)])
    return boxes[kept], classes[kept]
