"""Packing planned canvases: the pixels and matrices that a device needs to draw them, in a few flat tensors.

A loading process crops the visible parts out of the source images and copies them, unchanged, into one buffer.
Resampling, blending and colours are left to the device: see `draw_on_device`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lehr.augment.axis_aligned import AxisFit, Fit
from lehr.augment.colour_on_device import hsv_tables
from lehr.augment.draw import Source
from lehr.augment.geometry import Matrix
from lehr.augment.letterbox import GREY
from lehr.augment.tiles import Plan, Tile

CROP_MARGIN = 2
"""Margin around the visible part of a warped image, pixels: one for the interpolation neighbour, one spare."""
SEAM = 1e-3
"""Canvas pixels by which warped tiles overlap, so that rounding to float32 leaves no grey between two of them."""

Rows = tuple[tuple[float, float, float], tuple[float, float, float], tuple[float, float, float]]
Limits = tuple[float, float, float, float]


@dataclass(frozen=True, slots=True)
class PackedCanvases:
    """Canvases ready to be drawn, the batch's first, then the partners of mixup, then those of CutMix.

    Pixel indices count from 0 at the centre of the first pixel; a tile's are those of its crop.

    Attributes:
        width: of the canvases, pixels.
        height: of the canvases, pixels.
        pixels: uint8 (n, 3), RGB: a grey pixel, all crops row by row, and at least a row of the widest crop, unused.
        inverses: float32 (canvases, layers, 2 or 3, 3), from canvas indices to crop indices; the third row only
            where some tile of the batch is in perspective. Layers are drawn one after another.
        limits: float32 (canvases, layers, 4), xyxy: the crop indices, the lower ones inclusive, that belong to the
            tile, though its crop may be smaller or larger; empty if there is no tile.
        crops: int32 (canvases, layers, 4): offset in `pixels`, width, last column and last row of the crop, pixels.
        blended: int64 (partners,), the canvas that each partner is blended into.
        shares: float32 (partners,), that canvas's share of the blend, 0 to 1.
        coloured: int64 (jittered,), the canvases whose colours change; ascending, each once.
        tables: float32 (jittered, 3, 256), mapping of hue, saturation and value: see `hsv_tables`.
        patched: int64 (patches,), the canvas that shows each partner of CutMix.
        patches: int32 (patches, 4), xyxy: where it is shown.
        erased: int64 (erased,), the partly erased canvases; ascending, each once.
        rectangles: int32 (erased, 4), xyxy: where they are.
        keys: int32 (erased,), the keys of the noise there, their 32 bits.
    """

    width: int
    height: int
    pixels: Tensor
    inverses: Tensor
    limits: Tensor
    crops: Tensor
    blended: Tensor
    shares: Tensor
    coloured: Tensor
    tables: Tensor
    patched: Tensor
    patches: Tensor
    erased: Tensor
    rectangles: Tensor
    keys: Tensor

    def map(self, change: Callable[[Tensor], Tensor]) -> PackedCanvases:
        """Apply a function to each tensor."""
        return PackedCanvases(
            self.width,
            self.height,
            change(self.pixels),
            change(self.inverses),
            change(self.limits),
            change(self.crops),
            change(self.blended),
            change(self.shares),
            change(self.coloured),
            change(self.tables),
            change(self.patched),
            change(self.patches),
            change(self.erased),
            change(self.rectangles),
            change(self.keys),
        )


class TileCrop(NamedTuple):
    """Pixels and geometry of one tile.

    Attributes:
        pixels: uint8 (h, w, 3), a view of the source image.
        inverse: three rows, from canvas indices to indices of the crop.
        limits: xyxy, the crop indices that belong to the tile.
    """

    pixels: NDArray[np.uint8]
    inverse: Rows
    limits: Limits


@dataclass(frozen=True, slots=True)
class PlannedCrops:
    """A plan with the crops it needs, in the order of drawing.

    Attributes:
        plan: what to draw.
        crops: of its visible tiles.
        partner: of the tiles of its mixup partner.
        patch: of the tiles of its CutMix partner.
    """

    plan: Plan
    crops: list[TileCrop]
    partner: list[TileCrop]
    patch: list[TileCrop]


def pack(plans: Sequence[Plan], source: Source, width: int, height: int) -> PackedCanvases:
    """Pack the pixels and matrices of canvases.

    Args:
        plans: what to draw.
        source: gives the images.
        width: of the canvases, pixels.
        height: of the canvases, pixels.

    Raises:
        ImageFault: an image cannot be read.
        ValueError: a partner is itself blended, coloured, patched or erased.
    """
    return pack_crops([plan_crops(plan, source, width, height) for plan in plans], width, height)


def plan_crops(plan: Plan, source: Source, width: int, height: int) -> PlannedCrops:
    """Read the images of one canvas and find the visible parts; nothing is copied.

    Args:
        plan: what to draw.
        source: gives the images.
        width: of the canvas, pixels.
        height: of the canvas, pixels.

    Raises:
        ImageFault: an image cannot be read.
        ValueError: a partner is itself blended, coloured, patched or erased.
    """
    blend, patch = (_partner(pair and pair[0], source, width, height) for pair in (plan.blend, plan.patch))
    return PlannedCrops(plan, _crops(plan, source, width, height), blend, patch)


def _partner(plan: Plan | None, source: Source, width: int, height: int) -> list[TileCrop]:
    """Find the crops of a partner, if there is one."""
    if plan is None:
        return []
    if any(each is not None for each in (plan.blend, plan.hsv, plan.patch, plan.erased)):
        raise ValueError("a partner of mixup or CutMix cannot itself be blended, recoloured, patched or erased")
    return _crops(plan, source, width, height)


def crop_bytes(planned: PlannedCrops) -> int:
    """Bytes of all pixels of a canvas's crops."""
    return sum(crop.pixels.size for crops in (planned.crops, planned.partner, planned.patch) for crop in crops)


def pack_crops(
    plans: Sequence[PlannedCrops], width: int, height: int, empty: Callable[..., NDArray[Any]] = np.empty
) -> PackedCanvases:
    """Pack the pixels and matrices of canvases whose images were read.

    Args:
        plans: the canvases.
        width: of the canvases, pixels.
        height: of the canvases, pixels.
        empty: allocates memory for the pixels from a shape and a type.
    """
    blends = [(index, planned.plan.blend[1]) for index, planned in enumerate(plans) if planned.plan.blend is not None]
    gains = [(index, planned.plan.hsv) for index, planned in enumerate(plans) if planned.plan.hsv is not None]
    shifts = [planned.plan.hue_shift for planned in plans if planned.plan.hsv is not None]
    patches = [(index, planned.plan.patch[1]) for index, planned in enumerate(plans) if planned.plan.patch is not None]
    erased = [(index, planned.plan.erased) for index, planned in enumerate(plans) if planned.plan.erased is not None]
    canvases = [planned.crops for planned in plans]
    canvases += [planned.partner for planned in plans if planned.plan.blend is not None]
    canvases += [planned.patch for planned in plans if planned.plan.patch is not None]
    layers = max((len(crops) for crops in canvases), default=0)
    matrices = np.zeros((len(canvases), layers, 3, 3))
    matrices[..., 2, 2] = 1
    limits = np.zeros((len(canvases), layers, 4))
    locations = np.zeros((len(canvases), layers, 4), np.int32)
    used, widest = 1, 1
    for index, crops in enumerate(canvases):
        for layer, crop in enumerate(crops):
            rows, columns = crop.pixels.shape[:2]
            matrices[index, layer] = crop.inverse
            limits[index, layer] = crop.limits
            locations[index, layer] = used, columns, columns - 1, rows - 1
            used += rows * columns
            widest = max(widest, columns)
    tilted = bool(matrices[..., 2, :2].any())
    return PackedCanvases(
        width,
        height,
        torch.from_numpy(_pixels(canvases, empty((used + widest + 1, 3), np.uint8), used)),
        torch.from_numpy(matrices[:, :, : 3 if tilted else 2].astype(np.float32)),
        torch.from_numpy(limits.astype(np.float32)),
        torch.from_numpy(locations),
        torch.tensor([index for index, _ in blends], dtype=torch.int64),
        torch.tensor([share for _, share in blends], dtype=torch.float32),
        torch.tensor([index for index, _ in gains], dtype=torch.int64),
        hsv_tables([gain for _, gain in gains], shifts),
        torch.tensor([index for index, _ in patches], dtype=torch.int64),
        torch.tensor([rectangle for _, rectangle in patches], dtype=torch.int32).reshape(-1, 4),
        torch.tensor([index for index, _ in erased], dtype=torch.int64),
        torch.tensor([each.rectangle for _, each in erased], dtype=torch.int32).reshape(-1, 4),
        torch.from_numpy(np.array([each.key for _, each in erased], np.uint32).view(np.int32)),
    )


def _pixels(canvases: Sequence[Sequence[TileCrop]], pixels: NDArray[np.uint8], used: int) -> NDArray[np.uint8]:
    pixels[0] = GREY
    pixels[used:] = 0
    start = 1
    for crops in canvases:
        for crop, _, _ in crops:
            rows, columns = crop.shape[:2]
            stop = start + rows * columns
            pixels[start:stop].reshape(rows, columns, 3)[:] = crop
            start = stop
    return pixels


def _crops(plan: Plan, source: Source, width: int, height: int) -> list[TileCrop]:
    crops = []
    for tile in plan.tiles:
        image, size = source(tile.index)
        crop = _fitted(tile.fit, image) if tile.fit is not None else _warped(tile, image, size, width, height)
        if crop is not None:
            crops.append(crop)
    return crops


def _fitted(fit: Fit, image: NDArray[np.uint8]) -> TileCrop:
    x, y = fit.x, fit.y
    (step_x, shift_x), (step_y, shift_y) = _along(x), _along(y)
    inverse = ((step_x, 0.0, shift_x), (0.0, step_y, shift_y), (0.0, 0.0, 1.0))
    limits = (-0.5, -0.5, x.last - x.first - 0.5, y.last - y.first - 0.5)
    return TileCrop(image[y.first : y.last, x.first : x.last], inverse, limits)


def _along(axis: AxisFit) -> tuple[float, float]:
    """Step and shift from canvas indices to crop indices along one axis."""
    step = (axis.last - axis.first) / (axis.end - axis.start)
    if axis.scale > 0:
        return step, (0.5 - axis.start) * step - 0.5
    return -step, (axis.end - 0.5) * step - 0.5


def _warped(tile: Tile, image: NDArray[np.uint8], size: tuple[int, int], width: int, height: int) -> TileCrop | None:
    rows, columns = image.shape[:2]
    reduce_x, reduce_y = columns / size[0], rows / size[1]
    rows_of_inverse = _inverse(tile.matrix, reduce_x, reduce_y)
    if rows_of_inverse is None:
        return None
    left, top, right, bottom = tile.region
    left, top, right, bottom = left * reduce_x, top * reduce_y, right * reduce_x, bottom * reduce_y
    x1, y1 = max(0, math.floor(left)), max(0, math.floor(top))
    x2, y2 = min(columns, max(math.ceil(right), x1 + 1)), min(rows, max(math.ceil(bottom), y1 + 1))
    seen = _seen(rows_of_inverse, width, height)
    if seen is not None:
        x1, y1 = max(x1, math.floor(seen[0]) - CROP_MARGIN), max(y1, math.floor(seen[1]) - CROP_MARGIN)
        x2, y2 = min(x2, math.ceil(seen[2]) + CROP_MARGIN), min(y2, math.ceil(seen[3]) + CROP_MARGIN)
    if x2 <= x1 or y2 <= y1:
        return None
    (a, b, c), (d, e, f), (g, h, i) = rows_of_inverse
    # From coordinates to indices: half a pixel more in the canvas; half a pixel and the corner less in the crop.
    i += (g + h) / 2
    shift_x, shift_y = -0.5 - x1, -0.5 - y1
    inverse = (
        (a + shift_x * g, b + shift_x * h, c + (a + b) / 2 + shift_x * i),
        (d + shift_y * g, e + shift_y * h, f + (d + e) / 2 + shift_y * i),
        (g, h, i),
    )
    slack_x, slack_y = SEAM * (abs(a) + abs(b)), SEAM * (abs(d) + abs(e))
    limits = (
        left + shift_x - slack_x,
        top + shift_y - slack_y,
        right + shift_x + slack_x,
        bottom + shift_y + slack_y,
    )
    return TileCrop(image[y1:y2, x1:x2], inverse, limits)


def _inverse(matrix: Matrix, reduce_x: float, reduce_y: float) -> Rows | None:
    """Invert the matrix to pixels of the reduced image, scaled to a positive third coordinate where valid.

    None if the matrix leaves nothing visible. In plain floats: NumPy would take ten times as long for nine of them.
    """
    (a, b, c), (d, e, f), (g, h, i) = matrix.tolist()
    area = a * e - b * d
    determinant = g * (b * f - c * e) + h * (c * d - a * f) + i * area
    if determinant == 0 or not math.isfinite(determinant):
        return None
    # Without perspective the third row must be exactly (0, 0, 1).
    scale = 1 / determinant if g or h else 1 / area
    sx, sy = reduce_x * scale, reduce_y * scale
    return (
        ((e * i - f * h) * sx, (c * h - b * i) * sx, (b * f - c * e) * sx),
        ((f * g - d * i) * sy, (a * i - c * g) * sy, (c * d - a * f) * sy),
        ((d * h - e * g) * scale, (b * g - a * h) * scale, area * scale),
    )


def _seen(inverse: Rows, width: int, height: int) -> Limits | None:
    """Return the upright box, xyxy, around the part of an image inside the canvas; None if it contains the horizon."""
    (a, b, c), (d, e, f), (g, h, i) = inverse
    xs, ys = [], []
    for x, y in ((0, 0), (width, 0), (width, height), (0, height)):
        depth = g * x + h * y + i
        if depth <= 0:
            return None
        xs.append((a * x + b * y + c) / depth)
        ys.append((d * x + e * y + f) / depth)
    return min(xs), min(ys), max(xs), max(ys)
