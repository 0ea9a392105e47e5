"""Fitting upright tiles to whole pixels, so that drawing them is a crop and a resize."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AxisFit:
    """A stretch of source pixels that becomes a stretch of canvas pixels, along one axis.

    Attributes:
        first: first pixel of the kept source.
        last: the pixel after the last one.
        start: where in the canvas the stretch begins, pixels; may be outside.
        end: where it ends.
        scale: canvas pixels a source pixel; negative when mirrored.
        shift: canvas coordinate of the source's coordinate 0.
    """

    first: int
    last: int
    start: int
    end: int
    scale: float
    shift: float


@dataclass(frozen=True, slots=True)
class Fit:
    """Both axes of a fitted tile."""

    x: AxisFit
    y: AxisFit


def fit_axis(scale: float, shift: float, low: float, high: float, length: int, side: int) -> AxisFit | None:
    """The whole-pixel map closest to `canvas = scale * source + shift`, for what of it is seen.

    Args:
        scale: canvas pixels a source pixel, not 0; negative when mirrored.
        shift: canvas coordinate of the source's coordinate 0.
        low: where the drawn part of the source begins, source pixels.
        high: where it ends.
        length: of the source, pixels.
        side: of the canvas, pixels.

    Returns:
        The map, within a pixel of the one asked for; None when nothing of it falls into the canvas.
    """
    near, far = sorted((-shift / scale, (side - shift) / scale))
    first = max(math.floor(low + 1e-6), math.floor(near), 0)
    last = min(math.ceil(high - 1e-6), math.ceil(far), length)
    if last <= first:
        return None
    edges = sorted((scale * first + shift, scale * last + shift))
    start, end = round(edges[0]), round(edges[1])
    if end <= start or end <= 0 or start >= side:
        return None
    exact = (end - start) / (last - first)
    if scale > 0:
        return AxisFit(first, last, start, end, exact, start - exact * first)
    return AxisFit(first, last, start, end, -exact, end + exact * first)
