"""Scales of a family, the same model deeper or wider; and the image sizes that every family takes."""

from __future__ import annotations

import math
from dataclasses import dataclass

STRIDE = 32
"""The largest stride of every family, pixels; image sizes are multiples of it."""


def rounded_size(imgsz: int) -> int:
    """An image size in pixels, rounded up to a multiple of the largest stride."""
    return -(-imgsz // STRIDE) * STRIDE


@dataclass(frozen=True, slots=True)
class Scale:
    """Scale of a variant, relative to the base model.

    Attributes:
        depth: multiple of the repeats of a block.
        width: multiple of the channels.
        max_channels: most channels before widening; None for no bound.
    """

    depth: float
    width: float
    max_channels: int | None = None

    def channels(self, channels: int) -> int:
        """Channels of a layer at this scale: the bounded count times the width, rounded up to a multiple of 8."""
        return math.ceil(min(channels, self.max_channels or channels) * self.width / 8) * 8

    def repeats(self, repeats: int) -> int:
        """Repeats of a block at this scale, at least 1."""
        return max(round(repeats * self.depth), 1)
