"""Training on tiles of large images, so that small objects are seen at their original size.

An epoch shows all tiles of all images (`lehr.data.tiled_split`), each augmented like an image. This module orders them
if images are decoded on demand: the tiles of an image in one window of the epoch, so that it is decoded about once
there.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

from lehr.data.tiled_split import TiledSplit
from lehr.rng import generator
from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, is_cut
from lehr.techniques.partner_window import WINDOW

TILE = 640
"""Side of the tiles in an ablation, pixels."""


def tile_window(split: TiledSplit, room: int) -> int:
    """Tiles of a window: those of half of the images that can be kept decoded, at most 1,024, at least one image's.

    The other half is for images that span two windows, and for those of the next one.

    Args:
        split: the tiles.
        room: number of images that can be kept decoded.
    """
    each = _tiles_an_image(split)
    return max(each, min(WINDOW, (room // 2 - 1) * each))


def ring_of_tiles(split: TiledSplit, window: int) -> int:
    """Images that are to be kept decoded, so that each is decoded about once while its window is shown.

    Args:
        split: the tiles.
        window: tiles of a window; 0 for all.
    """
    images = len(split.images)
    return min(images, 2 * (math.ceil(window / _tiles_an_image(split)) + 1)) if window else images


def images_together(split: Sequence[Sample], windows: int, seed: int, epoch: int, order: list[int]) -> list[int]:
    """Tiles in their order, but those of an image in the same window.

    Args:
        split: the tiles.
        windows: of the epoch.
        seed: the run's seed.
        epoch: the epoch, from 0.
        order: tiles, by their index in the split.
    """
    counts = Counter(split[index].path for index in order)
    paths = list(dict.fromkeys(sample.path for sample in split))  # wherever they are
    number, before = {}, 0
    for place in generator(seed, "tile-order", epoch).permutation(len(paths)).tolist():
        number[paths[place]] = before * windows // max(1, len(order))
        before += counts[paths[place]]
    return sorted(order, key=lambda index: number[split[index].path])


def _tiles_an_image(split: TiledSplit) -> int:
    return -(-len(split) // max(1, len(split.images)))


def _without_effect(run: Run) -> dict[str, NoEffect]:
    if run.config.data.tile is None:
        return {"overlap": NoEffect("--tile is not given")}
    if not is_cut(run):
        why = "no training image is larger than a tile"
        return {"tile": NoEffect(why, acts_as=None), "overlap": NoEffect(why)}
    return {}


def _state(run: Run) -> State:
    data = run.config.data
    return State(data.tile is not None, f"of {data.tile} pixels, overlap {data.overlap:g}; {run.images} an epoch")


TECHNIQUE = Technique(
    name="tiled training",
    page="tiled-training",
    section=Section.DATA,
    order=15,
    options=("tile", "overlap"),
    without_effect=_without_effect,
    why="small objects of large images keep their pixels",
    state=_state,
    # Not in `all`: an epoch of tiles is many times as long.
    switches=(Switch("tiles", {"tile": TILE}, {"tile": None}, in_all=False),),
    code=("augment/tile_grid.py", "data/tiled_split.py", "data/tiled_store.py"),
)
