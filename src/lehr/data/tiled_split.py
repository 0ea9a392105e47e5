"""A split of tiles: each tile of a large image is treated as an image.

In each epoch the grid of each image is shifted by a draw from (seed, epoch, image), so that objects are cut at
different places, and their surroundings vary. The number and sizes of the tiles do not change, and so do neither the
batches nor the rates of a run.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, overload

import numpy as np

from lehr.augment.box_filter import BoxLimits, visible_in
from lehr.augment.tile_grid import TileGrid, Window, tile_grid
from lehr.config import TrainConfig
from lehr.errors import InputError
from lehr.rng import generator
from lehr.runtime.counted import counted
from lehr.sample import Ignored, Sample

MAX_TILES = 4_000_000
"""Tiles of the largest split; each takes about a kilobyte of memory."""
MANY_EMPTY = 0.5
"""Share of tiles without objects above which the option that shows fewer of them is named."""
REMEDY = " (--background-share 0.2 shows fewer of those)"
KEPT = 4096
"""Tiles of a shifted grid that are kept once they are cut."""


@dataclass(frozen=True, slots=True)
class Tiling:
    """Settings for cutting images into tiles.

    Attributes:
        tile: side of a tile, pixels of the image.
        overlap: share of a tile that the next one shows again at least, 0 to 0.9.
        min_visible: share of an object's area that a tile must show of it, 0 to 1.
    """

    tile: int
    overlap: float
    min_visible: float


class TiledSplit(Sequence[Sample]):
    """The tiles of a split, image by image, each as a separate sample.

    Args:
        images: the split.
        tiling: how its images are cut.

    Raises:
        InputError: there would be too many tiles.
    """

    def __init__(self, images: Sequence[Sample], tiling: Tiling) -> None:
        self.images = images
        self.tiling = tiling
        grids = {(image.width, image.height) for image in images}
        self._grids = {size: tile_grid(*size, tiling.tile, tiling.overlap) for size in grids}
        counts = [self._grids[image.width, image.height].count for image in images]
        if sum(counts) > MAX_TILES:
            raise InputError(
                f"--tile {tiling.tile} --overlap {tiling.overlap:g}: {counted(len(images), 'image')} would be "
                f"{sum(counts):,} "
                f"tiles; up to {MAX_TILES:,} are trained on. Use a larger --tile or a smaller --overlap."
            )
        self._limits = BoxLimits(0.0, tiling.min_visible, float("inf"))
        self._firsts = np.concatenate(([0], np.cumsum(counts, dtype=np.int64)))
        self._draw: tuple[int, int] | None = None
        self._cut: dict[int, Sample] = {}

    def __getstate__(self) -> dict[str, Any]:
        """State for a process that is not forked."""
        return self.__dict__ | {"_cut": {}}

    def __len__(self) -> int:
        return int(self._firsts[-1])

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> list[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | list[Sample]:
        if isinstance(index, slice):
            return [self[each] for each in range(len(self))[index]]
        index = range(len(self))[index]
        if (known := self._cut.get(index)) is not None:
            return known
        if self._draw is not None and len(self._cut) >= KEPT:
            self._cut.clear()
        sample = self._cut[index] = self._sample(index)
        return sample

    def in_epoch(self, seed: int, epoch: int) -> TiledSplit:
        """The same tiles as an epoch shows them: the grid of each image shifted by a draw.

        Args:
            seed: the run's seed.
            epoch: the epoch, from 0.
        """
        shifted = TiledSplit.__new__(TiledSplit)
        shifted.__dict__.update(self.__dict__, _draw=(seed, epoch), _cut={})
        return shifted

    def of(self, images: Sequence[Sample]) -> TiledSplit:
        """Return tiles of other images, cut the same way."""
        return TiledSplit(images, self.tiling)

    def image_of(self, index: int) -> int:
        """Return the number of the image that a tile is of."""
        return int(np.searchsorted(self._firsts, index, "right")) - 1

    def tiles_of(self, image: int) -> range:
        """Return the tiles of an image."""
        return range(int(self._firsts[image]), int(self._firsts[image + 1]))

    def window(self, index: int) -> Window:
        """Return the window of a tile: xyxy, pixels of its image."""
        image = self.image_of(index)
        grid = self._grid(image)
        return grid.window(index - int(self._firsts[image]), self._shift(image, grid))

    def _grid(self, image: int) -> TileGrid:
        return self._grids[self.images[image].width, self.images[image].height]

    def _shift(self, image: int, grid: TileGrid) -> tuple[int, int] | None:
        if self._draw is None:
            return None
        seed, epoch = self._draw
        (left, right), (up, down) = grid.x.shifts, grid.y.shifts
        x, y = generator(seed, "tile", epoch, image).integers((left, up), (right + 1, down + 1)).tolist()
        return x, y

    def _sample(self, index: int) -> Sample:
        image, window = self.images[self.image_of(index)], self.window(index)
        x, y, right, down = window
        boxes, kept = visible_in(image.boxes.astype(np.float64), window, self._limits)
        return Sample(
            image.path,
            right - x,
            down - y,
            (boxes[kept] - [x, y, x, y]).astype(np.float32),
            image.classes[kept],
            image.label_path,
            None if image.difficult is None else image.difficult[kept],
            _ignored_in(image.ignored, window),
        )


def _ignored_in(ignored: Ignored, window: Window) -> Ignored:
    """Return the parts of ignored regions inside a tile."""
    if not len(ignored.boxes):
        return ignored
    boxes, kept = visible_in(ignored.boxes.astype(np.float64), window, BoxLimits(0.0, 0.0, float("inf")))
    x, y = window[:2]
    return Ignored((boxes[kept] - [x, y, x, y]).astype(np.float32), ignored.classes[kept], ignored.crowd[kept])


def describe_cutting(split: TiledSplit) -> str:
    """Describe in one line how images are cut and into how many tiles."""
    some = counted(len(split.images), "image is", "images are")
    tiles = counted(len(split), "tile")
    return f"--tile {split.tiling.tile} --overlap {split.tiling.overlap:g}: {some} {tiles}"


def describe_tiles(split: TiledSplit) -> str:
    """Describe an epoch of tiles in one line.

    Args:
        split: of the run.
    """
    cut, empty = len(split), sum(len(tile.classes) == 0 for tile in split)
    return (
        f"{describe_cutting(split)}, all of which an epoch "
        f"shows; {empty} of them have no object{REMEDY if empty > MANY_EMPTY * cut else ''}."
    )


def tiling_of(config: TrainConfig) -> Tiling | None:
    """Return how a run cuts its images; None if it does not."""
    data = config.data
    return None if data.tile is None else Tiling(data.tile, data.overlap, config.augment.min_visible)


def in_tiles(samples: Sequence[Sample], tiling: Tiling | None) -> Sequence[Sample]:
    """Return a split's tiles; the split itself if it is not cut.

    Raises:
        InputError: there would be too many tiles.
    """
    return samples if tiling is None else TiledSplit(samples, tiling)


def images_of(samples: Sequence[Sample]) -> Sequence[Sample]:
    """Return the images that some tiles are of; the samples themselves where they are images."""
    return samples.images if isinstance(samples, TiledSplit) else samples


def of_first_images(samples: Sequence[Sample], count: int) -> tuple[Sequence[Sample], Sequence[Sample]]:
    """Return a split's first images, or all tiles of them, and the rest.

    Args:
        samples: the split.
        count: of the first images.
    """
    if isinstance(samples, TiledSplit):
        return samples.of(samples.images[:count]), samples.of(samples.images[count:])
    return samples[:count], samples[count:]
