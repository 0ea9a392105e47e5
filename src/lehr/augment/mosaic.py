"""Mosaic: four images around a random point (Bochkovskiy et al., "YOLOv4", 2020).

The plane is twice as wide and high as the canvas; the view of random perspective cuts the canvas out of it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lehr.augment.geometry import scaling, translation
from lehr.augment.tiles import Tile
from lehr.sample import Sample


def mosaic(samples: Sequence[Sample], imgsz: int, index: int, rng: np.random.Generator) -> list[Tile]:
    """Four images around a random point of a plane twice as large, each touching it with a corner.

    Args:
        samples: the training split.
        imgsz: side of the canvas, pixels; the plane is twice that.
        index: the first image's index in the split; the others are drawn.
        rng: draws the point, uniform in the middle half of the plane, and the other images.
    """
    x, y = rng.uniform(imgsz / 2, imgsz * 3 / 2, 2)
    indices = [index, *rng.integers(len(samples), size=3).tolist()]
    tiles = []
    for quadrant, source in enumerate(indices):
        sample = samples[source]
        scale = imgsz / max(sample.width, sample.height)
        left = x - sample.width * scale if quadrant % 2 == 0 else x
        top = y - sample.height * scale if quadrant < 2 else y
        matrix = translation(left, top) @ scaling(scale, scale)
        tiles.append(Tile(source, matrix, (0, 0, sample.width, sample.height)))
    return tiles
