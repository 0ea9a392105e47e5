"""Drawing a planned canvas on the CPU: one resampling per tile, directly into the batch."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.augment.axis_aligned import Fit
from lehr.augment.colour import jitter_hsv
from lehr.augment.erasing import noise
from lehr.augment.geometry import Matrix, corners, scaling, to_indices, transform_points, translation
from lehr.augment.letterbox import GREY
from lehr.augment.tiles import Plan, Tile

Source = Callable[[int], tuple[NDArray[np.uint8], tuple[int, int]]]
"""From an index in the split to the image, at its `reduced_size`, and the original's width and height."""


def draw(plan: Plan, source: Source, out: NDArray[np.uint8]) -> None:
    """Draw a canvas.

    Args:
        plan: what to draw.
        source: returns the images.
        out: uint8 (side, side, 3), contiguous; overwritten with the canvas, RGB.
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
    if plan.patch is not None:
        other_plan, (x1, y1, x2, y2) = plan.patch
        other = np.empty_like(out)
        draw(other_plan, source, other)
        out[y1:y2, x1:x2] = other[y1:y2, x1:x2]
    if plan.hsv is not None:
        jitter_hsv(out, plan.hsv, plan.hue_shift)
    if plan.erased is not None:
        x1, y1, x2, y2 = plan.erased.rectangle
        out[y1:y2, x1:x2] = noise(plan.erased.rectangle, out.shape[1], plan.erased.key)


def _draw_tile(tile: Tile, image: NDArray[np.uint8], size: tuple[int, int], out: NDArray[np.uint8]) -> None:
    if tile.fit is not None:
        _draw_fitted(tile.fit, image, out)
        return
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
    x1, y1, x2, y2 = _whole_pixels(region, width, height)
    local = to_indices(translation(-left, -top) @ matrix @ translation(x1, y1))
    drawn = _warp(image[y1:y2, x1:x2], local, right - left, bottom - top)
    mask = np.zeros(drawn.shape[:2], np.uint8)
    fixed = np.round((quad - [left, top] - 0.5) * 16).astype(np.int32)
    cv2.fillConvexPoly(mask, fixed, (255,), shift=4)
    cv2.copyTo(drawn, mask, out[top:bottom, left:right])


def _draw_fitted(fit: Fit, image: NDArray[np.uint8], out: NDArray[np.uint8]) -> None:
    x, y = fit.x, fit.y
    crop = image[y.first : y.last, x.first : x.last]
    drawn = cv2.resize(crop, (x.end - x.start, y.end - y.start), interpolation=cv2.INTER_LINEAR)
    if x.scale < 0 or y.scale < 0:
        drawn = cv2.flip(drawn, -1 if x.scale < 0 and y.scale < 0 else int(x.scale < 0))
    left, top = max(0, x.start), max(0, y.start)
    right, bottom = min(out.shape[1], x.end), min(out.shape[0], y.end)
    out[top:bottom, left:right] = drawn[top - y.start : bottom - y.start, left - x.start : right - x.start]


def _whole_pixels(region: NDArray[np.float64], width: int, height: int) -> tuple[int, int, int, int]:
    x1, y1 = np.floor(region[:2]).astype(int).tolist()
    x2, y2 = np.ceil(region[2:]).astype(int).tolist()
    return max(0, x1), max(0, y1), min(width, max(x2, x1 + 1)), min(height, max(y2, y1 + 1))


def _warp(image: NDArray[np.uint8], matrix: Matrix, width: int, height: int) -> NDArray[np.uint8]:
    """Resample an image into a window; beyond the image's edge, its last pixels repeat."""
    border = cv2.BORDER_REPLICATE
    if matrix[2, 0] == 0 and matrix[2, 1] == 0:
        drawn = cv2.warpAffine(image, matrix[:2] / matrix[2, 2], (width, height), borderMode=border)
    else:
        drawn = cv2.warpPerspective(image, matrix, (width, height), borderMode=border)
    return np.asarray(drawn, np.uint8)
