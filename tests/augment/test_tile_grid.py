"""Grids of tiles: every pixel is in one at every shift, and the overlap is kept."""

from __future__ import annotations

import numpy as np
import pytest

from lehr.augment.tile_grid import tile_axis, tile_grid


@pytest.mark.parametrize("length", [1, 31, 64, 65, 100, 128, 163, 640, 1001])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5, 0.9])
def test_tiles_cover_an_axis_at_every_shift_with_half_the_overlap_at_least(length: int, overlap: float) -> None:
    axis = tile_axis(length, 64, overlap)
    low, high = axis.shifts
    for shift in range(low, high + 1):
        starts = [axis.start(number, shift) for number in range(axis.count)]
        assert starts[0] == 0 and starts[-1] + axis.tile == length
        shared = axis.tile - np.diff(starts)
        assert (shared >= (axis.tile - axis.step) // 2).all()
    starts = [axis.start(number) for number in range(axis.count)]
    assert starts[0] == 0 and starts[-1] + axis.tile == length
    steps = np.diff(starts)
    assert (steps <= axis.step).all()  # all of the overlap where the grid is not shifted, and alike
    assert axis.count < 3 or steps.max() - steps.min() <= 1


def test_tiles_are_as_few_as_cover_an_image_with_the_overlap() -> None:
    for length in range(65, 400):
        axis = tile_axis(length, 64, 0.25)
        reach = 64 + (axis.count - 1) * 48
        assert reach >= length > reach - 48


def test_a_grid_counts_row_by_row_and_a_small_image_is_one_tile() -> None:
    grid = tile_grid(100, 60, 64, 0.25)
    assert grid.count == 2 and list(grid.windows()) == [(0, 0, 64, 60), (36, 0, 100, 60)]
    grid = tile_grid(150, 150, 64, 0.25)
    assert grid.count == 9 and grid.window(5)[0] == 86 and grid.window(7, (0, 0)) == (48, 86, 112, 150)
    assert list(tile_grid(20, 30, 64, 0.2).windows()) == [(0, 0, 20, 30)]
