"""Values of a planned canvas for people and programs: which images, where, in which colours."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from lehr.augment.geometry import Matrix
from lehr.augment.tiles import Plan, Tile

NEAR = 0.03
"""Tolerance between the two scales of a tile that keeps its aspect ratio, since tiles are fitted to whole pixels."""


def plan_values(plan: Plan, name: Callable[[int], str]) -> dict[str, Any]:
    """Return the drawn values of a canvas as plain values for JSON; None for values not drawn.

    Args:
        plan: of the canvas.
        name: returns the file of an image by its index in the split.
    """
    return {
        "tiles": [_tile_values(tile, name) for tile in plan.tiles],
        "hsv": None if plan.hsv is None else list(plan.hsv),
        "hue_shift": plan.hue_shift,
        "mixup": None
        if plan.blend is None
        else {"share": plan.blend[1], "tiles": [_tile_values(tile, name) for tile in plan.blend[0].tiles]},
        "cutmix": None
        if plan.patch is None
        else {
            "rectangle": list(plan.patch[1]),
            "tiles": [_tile_values(tile, name) for tile in plan.patch[0].tiles],
        },
        "erased": None if plan.erased is None else list(plan.erased.rectangle),
    }


def plan_lines(plan: Plan, name: Callable[[int], str]) -> Iterator[str]:
    """Yield the drawn values of a canvas, one per line, for people.

    Args:
        plan: of the canvas.
        name: returns the file of an image by its index in the split.
    """
    for tile in plan.tiles:
        yield _tile_line(tile, name)
    if plan.blend is not None:
        other, share = plan.blend
        yield f"mixup: {share:.3f} of this, {1 - share:.3f} of"
        yield from (f"  {_tile_line(tile, name)}" for tile in other.tiles)
    if plan.patch is not None:
        other, rectangle = plan.patch
        yield f"CutMix: in x1 y1 x2 y2 {_sides(rectangle)} instead"
        yield from (f"  {_tile_line(tile, name)}" for tile in other.tiles)
    if plan.hsv is not None:
        hue, saturation, value = plan.hsv
        shift = f" {plan.hue_shift:+d}" if plan.hue_shift else ""
        yield f"colours: hue x {hue:.4f}{shift}, saturation x {saturation:.4f}, value x {value:.4f}"
    if plan.erased is not None:
        yield f"erased: x1 y1 x2 y2 {_sides(plan.erased.rectangle)}"


def describe_matrix(matrix: Matrix) -> str:
    """Describe how a matrix places an image on a canvas: its scale, turn, shear, and whether it is mirrored.

    Args:
        matrix: (3, 3), from the image's pixels to the canvas's.
    """
    linear = np.asarray(matrix, np.float64)[:2, :2] / matrix[2, 2]
    mirrored = float(np.linalg.det(linear)) < 0
    if mirrored:  # left and right; up and down is that plus a half turn
        linear = linear @ np.diag([-1.0, 1.0])
    scale = math.hypot(*linear[:, 0])
    turn = math.degrees(math.atan2(linear[1, 0], linear[0, 0]))
    across = float(np.linalg.det(linear)) / scale if scale else 0.0
    shear = math.degrees(math.atan2(float(linear[:, 0] @ linear[:, 1]), scale * across)) if scale and across else 0.0
    alike = abs(scale - across) <= NEAR * scale
    words = [f"scaled {math.sqrt(scale * across):.3f}" if alike else f"scaled {scale:.3f} by {across:.3f}"]
    words += [f"turned {turn:.1f} degrees"] if abs(turn) >= 0.05 else []
    words += [f"sheared {shear:.1f} degrees"] if abs(shear) >= 0.05 else []
    words += ["mirrored"] if mirrored else []
    words += ["in perspective"] if matrix[2, 0] or matrix[2, 1] else []
    return ", ".join(words)


def _tile_values(tile: Tile, name: Callable[[int], str]) -> dict[str, Any]:
    return {
        "image": tile.index,
        "path": name(tile.index),
        "matrix": np.asarray(tile.matrix, np.float64).tolist(),
        "region": [float(side) for side in tile.region],
    }


def _tile_line(tile: Tile, name: Callable[[int], str]) -> str:
    return f"{name(tile.index)}: {describe_matrix(tile.matrix)}"


def _sides(rectangle: tuple[int, int, int, int]) -> str:
    return " ".join(map(str, rectangle))
