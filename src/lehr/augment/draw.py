"""Drawing a planned picture on the CPU: one resampling a tile, straight into the batch."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.augment.colour import jitter_hsv
from lehr.augment.geometry import Matrix, corners, scaling, to_indices, transform_points, translation
from lehr.augment.letterbox import GREY
from lehr.augment.plan import Plan, Tile

Source = Callable[[int], tuple[NDArray[np.uint8], tuple[int, int]]]
"""Gives an image of the split, perhaps reduced, and the width and height of the original."""


def draw(plan: Plan, source: Source, out: NDArray[np.uint8]) -> None:
    """Draws a picture.

    Args:
        plan: what to draw.
        source: gives the images.
        out: uint8 (side, side, 3), contiguous; overwritten with the picture, RGB.
    """
    out[:] = GREY
    for tile in plan.tiles:
        image, size = source(tile.index)
        _draw_tile(tile, image, size, out)
    if plan.blend is not None:
        other_plan, share = plan.blend
        other = np.empty_like(out)
        draw(other_plan, source, other)
        cv2.addWeighted(out, share, other, 1 - share, 0, dst=out)
    if plan.hsv is not None:
        jitter_hsv(out, plan.hsv)


def _draw_tile(tile: Tile, image: NDArray[np.uint8], size: tuple[int, int], out: NDArray[np.uint8]) -> None:
    height, width = image.shape[:2]
    reduced = scaling(width / size[0], height / size[1])
    matrix = tile.matrix @ np.linalg.inv(reduced)
    region = (np.array(tile.region).reshape(2, 2) @ reduced[:2, :2]).reshape(4)
    quad = transform_points(corners(region), matrix)
    # A pixel belongs to the tile when its centre does.
    left, top = np.clip(np.ceil(quad.min(0) - 0.5), 0, out.shape[1::-1]).astype(int).tolist()
    right, bottom = np.clip(np.ceil(quad.max(0) - 0.5), 0, out.shape[1::-1]).astype(int).tolist()
    if right <= left or bottom <= top:
        return
    window = out[top:bottom, left:right]
    if tile.region != (0, 0, *size):
        x1, y1, x2, y2 = _whole_pixels(region, width, height)
        image, matrix = image[y1:y2, x1:x2], matrix @ translation(x1, y1)
    upright = bool(np.all(np.abs(matrix[[0, 1, 2, 2], [1, 0, 0, 1]]) < 1e-12))
    local = to_indices(translation(-left, -top) @ matrix)
    if upright:
        _warp(image, local, window)
        return
    drawn = np.empty((bottom - top, right - left, 3), np.uint8)
    _warp(image, local, drawn)
    mask = np.zeros(drawn.shape[:2], np.uint8)
    fixed = np.round((quad - [left, top] - 0.5) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, (255,), shift=4)
    cv2.copyTo(drawn, mask, window)


def _whole_pixels(region: NDArray[np.float64], width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1 = np.floor(region[:2]).astype(int).tolist()
    x2, y2 = np.ceil(region[2:]).astype(int).tolist()
    return max(0, x1), max(0, y1), min(width, max(x2, x1 + 1)), min(height, max(y2, y1 + 1))


def _warp(image: NDArray[np.uint8], matrix: Matrix, window: NDArray[np.uint8]) -> None:
    """Resamples an image into a window; beyond the image's edge, its last pixels go on."""
    size = (window.shape[1], window.shape[0])
    if matrix[2, 0] == 0 and matrix[2, 1] == 0:
        drawn = cv2.warpAffine(image, matrix[:2] / matrix[2, 2], size, dst=window, borderMode=cv2.BORDER_REPLICATE)
    else:
        drawn = cv2.warpPerspective(image, matrix, size, dst=window, borderMode=cv2.BORDER_REPLICATE)
    if drawn is not window and not np.shares_memory(drawn, window):
        window[:] = drawn
