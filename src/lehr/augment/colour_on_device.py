"""Colour jitter of a whole batch on its device, with the 8-bit arithmetic of OpenCV's RGB and HSV."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from lehr.augment.colour import HUES, hue_tables

FRACTION = 12
"""Bits after the binary point in OpenCV's conversion from RGB."""


def hsv_tables(gains: Sequence[tuple[float, float, float]], hue_shifts: Sequence[int] | None = None) -> Tensor:
    """Look-up tables of the jitter: 8-bit hue, saturation and value to the units that `hsv_to_rgb` takes.

    Computed on the host in float64, as in `jitter_hsv`, because a device may not support it.

    Args:
        gains: factors of hue, saturation and value, at least 0, of each image.
        hue_shifts: added to the hue of each image, half degrees; None for none.

    Returns:
        float32 (images, 3, 256): hue in sixths of the circle, 0 to 6, saturation and value, 0 to 1.
    """
    factors = np.array(gains, np.float64).reshape(-1, 3, 1)
    values = np.arange(256, dtype=np.float64)
    tables = np.empty((len(factors), 3, 256), np.float32)
    shifts = np.zeros(len(gains), np.int64) if hue_shifts is None else np.array(hue_shifts, np.int64)
    tables[:, 0] = hue_tables(factors[:, 0, 0], shifts)
    tables[:, 1:] = np.minimum(np.rint(values.astype(np.float32) * factors[:, 1:].astype(np.float32)), 255)
    tables *= np.array([6 / HUES, 1 / 255, 1 / 255], np.float32)[:, None]
    return torch.from_numpy(tables)


def jitter_hsv_batch(images: Tensor, tables: Tensor) -> Tensor:
    """Multiply hue, saturation and value of each image; hue wraps around, the others saturate.

    Equals `jitter_hsv`; on a device without fused multiply-add, and on CUDA where no kernel draws, about 1 in 1,000
    levels may be off by one. OpenCV's vector code truncates on its way back to RGB, and so does this; at the ends of
    rows whose width is not a multiple of 32, it falls back to scalar code, which rounds, and its levels may be higher
    by one.

    Args:
        images: uint8 (images, 3, h, w), RGB.
        tables: float32 (images, 3, 256) of `hsv_tables`.

    Returns:
        uint8 (images, 3, h, w), channels-last in memory.
    """
    first = torch.arange(len(images), dtype=torch.int32, device=images.device)[:, None, None] * tables[0].numel()
    flat = tables.reshape(-1)
    hue, saturation, value = (
        flat.index_select(0, (plane + (first + 256 * channel)).reshape(-1)).reshape(plane.shape)
        for channel, plane in enumerate(rgb_to_hsv(images))
    )
    return hsv_to_rgb(hue, saturation, value)


def rgb_to_hsv(images: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, 0 to 179, saturation and value, 0 to 255, as OpenCV counts in 8 bits.

    Args:
        images: uint8 (images, 3, h, w), RGB.

    Returns:
        Three planes, int32 (images, h, w).
    """
    red, green, blue = images.to(torch.int32).unbind(1)
    value = torch.maximum(torch.maximum(red, green), blue)
    chroma = value - torch.minimum(torch.minimum(red, green), blue)
    saturation = _scaled(chroma, 255, value)
    # Sixths of the circle: around red, around green, around blue.
    position = torch.where(
        value == red,
        green - blue,
        torch.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
    )
    hue = _scaled(position, HUES // 6, chroma)
    return torch.where(hue < 0, hue + HUES, hue), saturation, value


def _scaled(share: Tensor, units: int, whole: Tensor) -> Tensor:
    """`units * share / whole`, rounded, in fixed point; 0 if all is 0."""
    # No quotient of the two is so close to a half that float32 rounds it differently from float64.
    factor = ((units << FRACTION) / whole.clamp(min=1)).round().to(torch.int32)
    return (share * factor + (1 << FRACTION - 1)) >> FRACTION


def hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Convert HSV back to RGB.

    Args:
        hue: float32 (images, h, w), sixths of the circle, 0 to 6.
        saturation: float32 (images, h, w), 0 to 1.
        value: float32 (images, h, w), 0 to 1.

    Returns:
        uint8 (images, 3, h, w), RGB, channels-last in memory.
    """
    # Reduction of each channel from the value: not at all around its own hue, fully opposite to it.
    red = torch.minimum(hue - 1, 5 - hue)
    green = torch.maximum(1 - hue, hue - 3)
    blue = torch.maximum(3 - hue, hue - 5)
    # Rounded once, as OpenCV's `1 - saturation * pull` is, where the device has an instruction for it.
    one = saturation.new_ones(())
    left = (torch.addcmul(one, saturation, pull.clamp(0, 1), value=-1) for pull in (red, green, blue))
    return torch.stack([(value * share * 255).to(torch.uint8) for share in left], -1).permute(0, 3, 1, 2)
