"""The tiles of large images at training size.

They are cut out of images that are kept decoded, all of them or the last ones; or read from the files, where the format
allows to read a region alone and no copy of the file is kept in memory.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.augment.letterbox import reduced_size, resize
from lehr.data.cache import ImageStore
from lehr.data.images import ImageRegions
from lehr.data.tiled_split import TiledSplit, Tiling
from lehr.sample import Sample

OPEN = 64
"""Files that stay open to read regions of them."""
FULL_SIZE = 2**20
"""Longest side at which images are kept that are cut into tiles: larger ones are not read."""


class TiledStore:
    """The tiles of a split at training size.

    Args:
        images: the split's images at full size.
        samples: its tiles.
        imgsz: longest side of a tile, pixels.
    """

    def __init__(self, images: ImageStore, samples: TiledSplit, imgsz: int) -> None:
        self.images = images
        self.samples = samples
        self.imgsz = imgsz
        self._epoch: tuple[tuple[int, int], TiledStore] | None = None
        self._open: dict[int, ImageRegions | None] = {}
        self._last: tuple[int, NDArray[np.uint8]] | None = None
        self._recent: ImageRegions | None = None

    def __getstate__(self) -> dict[str, Any]:
        """State for a process that is not forked."""
        return self.__dict__ | {"_epoch": None, "_open": {}, "_last": None, "_recent": None}

    @property
    def is_decoded(self) -> bool:
        """True if all images are cached decoded."""
        return self.images.is_decoded

    def __call__(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """A tile (h, w, 3), RGB, not to be written to, and width and height of what it shows of its image.

        Use it before `release` is called.

        Raises:
            ImageFault: its image cannot be decoded (only where it was not cached before).
        """
        x1, y1, x2, y2 = self.samples.window(index)
        number = self.samples.image_of(index)
        regions = self._regions(number)
        tile = self._whole(number)[y1:y2, x1:x2] if regions is None else regions((x1, y1, x2, y2))
        width, height = reduced_size(x2 - x1, y2 - y1, self.imgsz)
        return resize(tile, width, height), (x2 - x1, y2 - y1)

    def _whole(self, number: int) -> NDArray[np.uint8]:
        """The pixels of an image; where nothing else keeps them, the last is kept for the tiles that follow."""
        if self.images.is_decoded or self.images.ring is not None:
            return self.images(number)[0]
        if self._last is None or self._last[0] != number:
            self._last = None  # its memory is free before the next is decoded
            self._last = number, self.images(number)[0]
        return self._last[1]

    def release(self) -> None:
        """Release the requested images."""
        self.images.release()
        while len(self._open) > OPEN:
            regions = self._open.pop(next(iter(self._open)))
            if regions is not None:
                regions.close()

    def _regions(self, number: int) -> ImageRegions | None:
        """Open an image's file to read regions of it; None if the image is to be taken whole."""
        if self.images.is_decoded or self.images.keeps_file(number):
            return None
        if number not in self._open:
            regions = ImageRegions(self.images.samples[number].path)
            if not regions.by_region:
                regions.close()
            self._open[number] = regions if regions.by_region else None
        if self._recent is not None and self._recent is not self._open[number]:
            self._recent.forget()  # strips of a wide image take tens of megabytes
        self._recent = self._open[number]
        return self._recent

    def unread(self, index: int) -> tuple[NDArray[np.uint8], tuple[int, int]]:
        """An array of a tile's shape, without its content, and width and height of what it shows of its image."""
        sample = self.samples[index]
        width, height = reduced_size(sample.width, sample.height, self.imgsz)
        return np.broadcast_to(np.uint8(0), (height, width, 3)), (sample.width, sample.height)

    def in_epoch(self, seed: int, epoch: int) -> TiledStore:
        """The tiles as an epoch shows them: the grid of each image shifted by a draw.

        Args:
            seed: the run's seed.
            epoch: the epoch, from 0.
        """
        if self._epoch is None or self._epoch[0] != (seed, epoch):
            shifted = TiledStore(self.images, self.samples.in_epoch(seed, epoch), self.imgsz)
            shifted._open = self._open
            self._epoch = (seed, epoch), shifted
        return self._epoch[1]


def store_to_evaluate(samples: Sequence[Sample], imgsz: int, tiling: Tiling | None) -> Store:
    """The images of a split, or tiles of them, read on demand.

    Args:
        samples: the split.
        imgsz: longest side of an image, or of a tile, pixels.
        tiling: how images are cut; None for whole ones.

    Raises:
        InputError: there would be too many tiles.
    """
    if tiling is None:
        return ImageStore(samples, imgsz)
    return TiledStore(ImageStore(samples, FULL_SIZE), TiledSplit(samples, tiling), imgsz)


Store = ImageStore | TiledStore
"""Images of a split, or tiles of them."""
