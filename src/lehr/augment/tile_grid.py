"""Grids of tiles: windows of one size that cover an image, each overlapping the next.

The first tile along an axis begins at the image's edge and the last one ends at the other. Those between are one stride
apart, and can be shifted together without a gap: in training each epoch draws a shift, so that the cuts vary.
Prediction and evaluation space them evenly. In all three cases the network sees objects at the same scale.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

MIN_TILE, MAX_TILE = 32, 65_536
"""Allowed sides of a tile, pixels of the image."""
MAX_OVERLAP = 0.9
"""Largest overlap of neighbouring tiles, as a share of a tile."""
OVERLAP = 0.2
"""Default overlap of neighbouring tiles, as a share of a tile."""

Window = tuple[int, int, int, int]
"""xyxy, whole pixels of an image."""


@dataclass(frozen=True, slots=True)
class TileAxis:
    """Tiles along one axis of an image.

    Attributes:
        length: of the image, pixels.
        tile: of a tile, pixels; at most the image's length.
        step: from one tile to the next, pixels.
        count: of tiles.
    """

    length: int
    tile: int
    step: int
    count: int

    @property
    def shifts(self) -> tuple[int, int]:
        """The lowest and the highest shift, pixels, that keeps at least half of the requested overlap."""
        if self.count == 1:
            return 0, 0
        rest, half = (self.count - 1) * self.step - (self.length - self.tile), (self.tile - self.step) // 2
        return -(rest + half), half

    def start(self, number: int, shift: int | None = None) -> int:
        """Return the start of a tile, pixels.

        Args:
            number: the tile's, from 0.
            shift: of the grid, within `shifts`; None for evenly overlapping tiles, to a pixel.
        """
        end = self.length - self.tile
        if shift is None:
            return (number * end + (self.count - 1) // 2) // max(1, self.count - 1)
        if number in (0, self.count - 1):
            return end if number else 0
        return min(max(number * self.step + shift, 0), end)


@dataclass(frozen=True, slots=True)
class TileGrid:
    """Tiles of an image, row by row."""

    x: TileAxis
    y: TileAxis

    @property
    def count(self) -> int:
        """All tiles."""
        return self.x.count * self.y.count

    def window(self, number: int, shift: tuple[int, int] | None = None) -> Window:
        """Return the window of a tile.

        Args:
            number: the tile's, from 0, row by row.
            shift: of the grid along x and y, pixels; None for even overlaps.
        """
        right, down = shift if shift is not None else (None, None)
        row, column = divmod(number, self.x.count)
        x, y = self.x.start(column, right), self.y.start(row, down)
        return x, y, x + self.x.tile, y + self.y.tile

    def windows(self) -> Iterator[Window]:
        """All tiles, row by row, with even overlaps to a pixel."""
        return (self.window(number) for number in range(self.count))


def tile_axis(length: int, tile: int, overlap: float) -> TileAxis:
    """Lay tiles along an axis: the fewest that cover it with the overlap.

    Args:
        length: of the image, pixels.
        tile: of a tile, pixels.
        overlap: least overlap as a share of a tile, 0 to 0.9.
    """
    step = max(1, int(tile * (1 - overlap) + 1e-9))
    if length <= tile:
        return TileAxis(length, length, step, 1)
    return TileAxis(length, tile, step, 1 + -(-(length - tile) // step))


def tile_grid(width: int, height: int, tile: int, overlap: float) -> TileGrid:
    """Lay tiles over an image; an image smaller than a tile has a single tile of its own size.

    Args:
        width: of the image, pixels.
        height: of the image, pixels.
        tile: side of a tile, pixels.
        overlap: least overlap as a share of a tile, 0 to 0.9.
    """
    return TileGrid(tile_axis(width, tile, overlap), tile_axis(height, tile, overlap))
