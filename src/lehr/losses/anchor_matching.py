"""Matching objects to anchors, as YOLOv5 does: by shape, and in the three cells nearest the centre.

1. An object matches an anchor when neither side of one is `anchor_t` times the other's:
   `max(w/aw, aw/w, h/ah, ah/h) < anchor_t`.
2. It is assigned to the cell that holds its centre, and to the nearest neighbour along x and along y, so that three
   cells learn from it; neighbours outside the grid are skipped.

Shapes are fixed: (levels, batch, objects, anchors per level, 5 cells), with a mask.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from lehr.models.grid_cache import kept_on_cuda
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
) -> tuple[Tensor, Tensor]:
    """Find the rows that answer for each object, on all levels at once.

    Args:
        boxes: (batch, objects, 4) xyxy, pixels.
        classes: (batch, objects); -1 for padding.
        anchors: (levels, anchors per level, 2) width and height, pixels.
        grids: height and width of each level, cells.
        strides: pixels per cell of each level.
        anchor_t: largest ratio of a matching object's and anchor's sides.

    Returns:
        Rows int64 (levels, batch, objects, anchors per level, 5), counted over all levels in the order level, anchor,
        cell row, cell column, and whether each counts, bool of the same shape.
    """
    a_level = anchors.shape[1]
    stride, width, height, first = _levels(grids, strides, a_level, boxes.device)  # (levels, 1, 1) each
    sizes = boxes[..., 2:] - boxes[..., :2]
    fits = shape_ratio(sizes.unsqueeze(2), anchors.view(-1, 1, 1, a_level, 2)) < anchor_t
    fits = fits & (classes >= 0).unsqueeze(-1)  # (levels, batch, objects, anchors)
    centre = (boxes[..., :2] + boxes[..., 2:]) / 2 / stride.unsqueeze(-1)  # (levels, batch, objects, 2), cells
    near = _near(centre, width, height)  # (levels, batch, objects, 5)
    column = torch.stack([centre[..., 0] - dx for dx, _ in CELL_OFFSETS], -1).long().clamp(min=0)
    line = torch.stack([centre[..., 1] - dy for _, dy in CELL_OFFSETS], -1).long().clamp(min=0)
    cells = (column.minimum((width - 1).unsqueeze(-1)), line.minimum((height - 1).unsqueeze(-1)))
    cell = cells[1] * width.unsqueeze(-1) + cells[0]
    anchor_offset = torch.arange(a_level, device=boxes.device) * (height * width)  # (levels, 1, anchors)
    rows = (first + anchor_offset)[:, None, :, :, None] + cell.unsqueeze(3)
    return rows, fits.unsqueeze(-1) & near.unsqueeze(3)


def _levels(
    grids: Sequence[tuple[int, int]], strides: Sequence[int], a_level: int, device: torch.device
) -> tuple[Tensor, ...]:
    """Stride, width, height and first row of each level, int64 (levels, 1, 1) each."""

    def make() -> tuple[Tensor, ...]:
        counts = [a_level * height * width for height, width in grids]
        columns = (strides, [width for _, width in grids], [height for height, _ in grids], [0, *accumulate(counts)])
        of_levels = (column[: len(counts)] for column in columns)
        # Filled on the device: a copy from the host would wait.
        return tuple(torch.stack([torch.full((1, 1), each, device=device) for each in column]) for column in of_levels)

    return kept_on_cuda(("levels", tuple(grids), tuple(strides), a_level), make, device)


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


def _near(centre: Tensor, width: Tensor, height: Tensor) -> Tensor:
    """Mask bool (..., 5) of the cells that a centre (..., 2) is matched in, on grids of a size (...); cells."""
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
    why="anchors of similar shape near the centre answer for the object",
    state=lambda run: State(True, f"sides within {run.config.loss.anchor_t:g} times, three cells"),
    suits=lambda family: "anchor_t" in family.options,
    family="a family with anchors, such as yolov5n",
    code=("losses/anchor_based.py",),
)
