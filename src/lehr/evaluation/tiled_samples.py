"""Detections on the tiles of a split, as detections on its images: an evaluation counts each object of those once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.data.tiled_split import TiledSplit
from lehr.evaluation.tile_merging import TileDetections, merge_tiles


def on_images(
    split: TiledSplit, rows: NDArray[np.float64], seen: Sequence[int], imgsz: int, max_det: int
) -> tuple[NDArray[np.float64], list[int]]:
    """Merge what was found on tiles.

    Args:
        split: the tiles.
        rows: (n, 7), tile, x1, y1, x2, y2 in pixels of the tile, score, class.
        seen: the tiles, -1 for one that could not be read.
        imgsz: longest side of a tile in the network's input, pixels.
        max_det: maximum number of detections per image.

    Returns:
        (m, 7), image, x1, y1, x2, y2 in pixels of the image, score, class, image by image, best first; and the number
        of each image, -1 for one of which a tile could not be read, and which has no detections.
    """
    read, rows = set(seen), rows[np.argsort(rows[:, 0], kind="stable")]
    images = [number if read.issuperset(split.tiles_of(number)) else -1 for number in range(len(split.images))]
    merged = [np.zeros((0, 7))]
    for number in images:
        tiles = split.tiles_of(number) if number >= 0 else range(0)
        own = rows[slice(*np.searchsorted(rows[:, 0], (tiles.start, tiles.stop)))]
        if len(own):
            merged.append(_merged(split, number, own, imgsz, max_det))
    return np.concatenate(merged), images


def _merged(split: TiledSplit, number: int, rows: NDArray[np.float64], imgsz: int, max_det: int) -> NDArray[np.float64]:
    """Merge what was found on the tiles of an image."""
    image, tiles = split.images[number], split.tiles_of(number)
    windows = np.array([split.window(tile) for tile in tiles], np.int64)
    place = rows[:, 0].astype(np.int64) - tiles.start
    found = merge_tiles(
        TileDetections(rows[:, 1:5] + np.tile(windows[place, :2], 2), rows[:, 5], rows[:, 6].astype(np.int64), place),
        windows,
        (image.width, image.height),
        pixel=int((windows[0, 2:] - windows[0, :2]).max()) / imgsz,
        max_det=max_det,
    )
    columns = (np.full((len(found), 1), number), found.boxes, found.scores[:, None], found.classes[:, None])
    return np.concatenate(columns, 1)
