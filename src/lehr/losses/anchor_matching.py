"""Matching objects to anchors, as YOLOv5 does: by shape, and in the three cells nearest the centre.

1. An object matches an anchor when neither side of one is `anchor_t` times the other's:
   `max(w/aw, aw/w, h/ah, ah/h) < anchor_t`.
2. It is assigned to the cell that holds its centre, and to the nearest neighbour along x and along y, so that three
   cells learn from it; neighbours outside the grid are left out.

Shapes are fixed: (batch, objects, anchors a level, 5 cells) a level, with a mask.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from lehr.technique import Section, State, Technique

CELL_OFFSETS = ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5), (-0.5, 0.0), (0.0, -0.5))
"""Offsets subtracted from a centre, cells, to reach its cell and the neighbours left, above, right and below."""


@torch.no_grad()
def match(
    boxes: Tensor,
    classes: Tensor,
    anchors: Tensor,
    grids: Sequence[tuple[int, int]],
    strides: Sequence[int],
    anchor_t: float = 4.0,
) -> list[tuple[Tensor, Tensor]]:
    """The rows that answer for each object, level by level.

    Args:
        boxes: (batch, objects, 4) xyxy, pixels.
        classes: (batch, objects); -1 for padding.
        anchors: (levels, anchors a level, 2) width and height, pixels.
        grids: height and width of each level, cells.
        strides: pixels a cell of each level.
        anchor_t: largest ratio of a matching object's and anchor's sides.

    Returns:
        For each level rows int64 (batch, objects, anchors a level, 5), counted over all levels in the order level,
        anchor, cell row, cell column, and whether each counts, bool of the same shape.
    """
    sizes = boxes[..., 2:] - boxes[..., :2]
    centres = (boxes[..., :2] + boxes[..., 2:]) / 2
    matches, first = [], 0
    for level_anchors, (height, width), stride in zip(anchors, grids, strides, strict=True):
        fits = shape_ratio(sizes.unsqueeze(2), level_anchors) < anchor_t  # (batch, objects, anchors)
        fits &= (classes >= 0).unsqueeze(-1)
        centre = centres / stride  # cells
        near = _near(centre, width, height)  # (batch, objects, 5)
        column = torch.stack([centre[..., 0] - dx for dx, _ in CELL_OFFSETS], -1).long().clamp(0, width - 1)
        line = torch.stack([centre[..., 1] - dy for _, dy in CELL_OFFSETS], -1).long().clamp(0, height - 1)
        anchor_offset = torch.arange(len(level_anchors), device=boxes.device).view(-1, 1) * (height * width)
        rows = first + anchor_offset + (line * width + column).unsqueeze(2)
        matches.append((rows, fits.unsqueeze(-1) & near.unsqueeze(2)))
        first += len(level_anchors) * height * width
    return matches


def shape_ratio(sizes: Tensor, anchors: Tensor) -> Tensor:
    """Ratio of objects' and anchors' sides: `max(w/aw, aw/w, h/ah, ah/h)`, at least 1.

    Args:
        sizes: (..., 2) width and height.
        anchors: (..., 2), broadcastable to `sizes`.

    Returns:
        (...); infinite for a size of zero.
    """
    ratio = sizes / anchors
    return torch.maximum(ratio, 1 / ratio).amax(-1)


def _near(centre: Tensor, width: int, height: int) -> Tensor:
    """Mask bool (..., 5) of the cells that a centre (..., 2) is matched in, on a grid of a size; cells."""
    sides = [
        centre[..., 0],
        centre[..., 1],
        width - centre[..., 0],
        height - centre[..., 1],
    ]  # left, above, right, below
    near = [(side % 1 < 0.5) & (side > 1) for side in sides]
    return torch.stack([torch.ones_like(near[0]), *near], -1)


TECHNIQUE = Technique(
    name="anchor matching",
    page="anchor-matching",
    section=Section.LOSS,
    order=20,
    options=("anchor_t",),
    why="anchors of like shape near the centre answer for the object",
    state=lambda run: State(True, f"sides within {run.config.loss.anchor_t:g} times, three cells"),
    suits=lambda family: "anchor_t" in family.options,
    family="a family with anchors, such as yolov5n",
    code=("losses/anchor_based.py",),
)
