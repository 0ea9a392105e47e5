"""Fitting upright tiles to whole pixels, so that they can be drawn by a crop and a resize."""

from __future__ import annotations

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AxisFit:
    """Span of source pixels that maps to a span of canvas pixels, along one axis.

    Attributes:
        first: first pixel of the kept source.
        last: the pixel after the last one.
        start: start of the span in the canvas, pixels; may be outside.
        end: its end.
        scale: canvas pixels per source pixel; negative when mirrored.
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
    """Find the whole-pixel map closest to `canvas = scale * source + shift` on its visible part.

    Args:
        scale: canvas pixels per source pixel, not 0; negative when mirrored.
        shift: canvas coordinate of the source's coordinate 0.
        low: start of the drawn part of the source, source pixels.
        high: where it ends.
        length: of the source, pixels.
        side: of the canvas, pixels.

    Returns:
        The map, within a pixel of the requested one; None if it does not reach the canvas.
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
