"""Mosaic: four images around a random point (Bochkovskiy et al., "YOLOv4", 2020).

The canvas is twice as wide and high as the picture; the view of random perspective cuts the picture out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lehr.augment.geometry import scaling, translation
from lehr.augment.tiles import Tile
from lehr.sample import Sample


def mosaic(samples: Sequence[Sample], imgsz: int, index: int, rng: np.random.Generator) -> list[Tile]:
    """Four images around a random point of a canvas twice as large, each touching it with a corner.

    Args:
        samples: the training split.
        imgsz: side of the picture, pixels; the canvas is twice that.
        index: the first image's place in the split; the others are drawn.
        rng: draws the point, uniform in the middle half of the canvas, and the other images.
    """
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
