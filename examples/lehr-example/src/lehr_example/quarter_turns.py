"""Quarter turns: images from above, of cells or from the air, have no right way up (Cohen & Welling, 2016)."""

from __future__ import annotations

import dataclasses

import numpy as np

from lehr.augment.augmentation import Augmentation, CanvasContext
from lehr.augment.geometry import Matrix, transform_boxes
from lehr.augment.tiles import Plan, Tile


def quarter_turn(plan: Plan, context: CanvasContext, rng: np.random.Generator) -> Plan:
    """Turn a canvas by 90, 180 or 270 degrees, each as likely; a canvas that is not a square by 180.

    Args:
        plan: of the canvas.
        context: what else is known of the canvas.
        rng: draws the turn.
    """
    width, height = context.shape
    turns = int(rng.integers(1, 4)) if width == height else 2
    matrix = turn_matrix(turns, width, height)
    boxes = transform_boxes(plan.boxes.astype(np.float64), matrix).astype(np.float32)
    blend = None if plan.blend is None else (_turned(plan.blend[0], matrix), plan.blend[1])
    return dataclasses.replace(_turned(plan, matrix), boxes=boxes, blend=blend)


def turn_matrix(turns: int, width: int, height: int) -> Matrix:
    """The matrix (3, 3) that turns a canvas clockwise and puts it back to where it was.

    Args:
        turns: quarter turns, 1 to 3; 1 and 3 need a square.
        width: of the canvas, pixels.
        height: of the canvas, pixels.
    """
    matrices = {
        1: [[0, -1, height], [1, 0, 0], [0, 0, 1]],
        2: [[-1, 0, width], [0, -1, height], [0, 0, 1]],
        3: [[0, 1, 0], [-1, 0, width], [0, 0, 1]],
    }
    return np.array(matrices[turns], np.float64)


def _turned(plan: Plan, matrix: Matrix) -> Plan:
    tiles = tuple(Tile(tile.index, matrix @ tile.matrix, tile.region) for tile in plan.tiles)
    return dataclasses.replace(plan, tiles=tiles)


QUARTER_TURNS = Augmentation("quarter-turns", quarter_turn, "images from above have no right way up")
