"""Overlap of boxes with those at the same place, and its differentiable form; elementwise over broadcast shapes."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

Corners = Sequence[Tensor]
"""Left, top, right and bottom of boxes, each (...)."""


def intersection(a: Corners, b: Corners) -> Tensor:
    """Compute the area that boxes share with those at the same place, (...)."""
    (ax1, ay1, ax2, ay2), (bx1, by1, bx2, by2) = a, b
    width = (torch.minimum(ax2, bx2) - torch.maximum(ax1, bx1)).clamp_(min=0)
    height = (torch.minimum(ay2, by2) - torch.maximum(ay1, by1)).clamp_(min=0)
    return width * height


def box_iou_aligned(a: Tensor, b: Tensor, eps: float = 1e-9) -> Tensor:
    """IoU of each box with the one at the same place; for all pairs there is `torchvision.ops.box_iou`.

    Args:
        a: (..., 4) xyxy; an inverted box has no area.
        b: (..., 4) xyxy, broadcastable to `a`.
        eps: least union, so that boxes without area have an IoU of 0.

    Returns:
        (...), 0 to 1.
    """
    corners_a = ax1, ay1, ax2, ay2 = a.unbind(-1)
    corners_b = bx1, by1, bx2, by2 = b.unbind(-1)
    inter = intersection(corners_a, corners_b)
    areas_a = (ax2 - ax1).clamp(min=0) * (ay2 - ay1).clamp(min=0)
    areas_b = (bx2 - bx1).clamp(min=0) * (by2 - by1).clamp(min=0)
    return inter / (areas_a + areas_b - inter).clamp(min=eps)


def aspect_difference(aw: Tensor, ah: Tensor, bw: Tensor, bh: Tensor) -> Tensor:
    """Compute CIoU's difference of the aspect ratios, `(4 / pi^2) (atan(w_b / h_b) - atan(w_a / h_a))^2`, 0 to 1.

    Args:
        aw: widths, (...).
        ah: heights, above 0.
        bw: widths of the others.
        bh: heights of the others, above 0.
    """
    return (4 / math.pi**2) * (torch.atan(bw / bh) - torch.atan(aw / ah)) ** 2


@torch.no_grad()
def trade_off(v: Tensor, iou: Tensor, eps: float = 1e-7) -> Tensor:
    """Compute CIoU's weight of the aspect ratios, `v / (1 - IoU + v)`, 0 to 1, without a gradient."""
    return v / (v - iou + (1 + eps))


def ciou(a: Tensor, b: Tensor, eps: float = 1e-7) -> Tensor:
    """Complete IoU: overlap, minus the distance of the centres, minus the difference of the aspect ratios.

    `CIoU = IoU - d^2 / c^2 - alpha v`, with d the distance of the centres, c the diagonal of the smallest box around
    both, `v = (4 / pi^2) (atan(w_b / h_b) - atan(w_a / h_a))^2` and `alpha = v / (1 - IoU + v)`, which carries no
    gradient (Zheng et al., "Distance-IoU Loss", 2020).

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy, broadcastable to `a`.
        eps: keeps divisions finite for boxes without area.

    Returns:
        (...), -1.5 to 1.
    """
    corners_a = ax1, ay1, ax2, ay2 = a.unbind(-1)
    corners_b = bx1, by1, bx2, by2 = b.unbind(-1)
    aw, ah = ax2 - ax1, ay2 - ay1 + eps
    bw, bh = bx2 - bx1, by2 - by1 + eps
    inter = intersection(corners_a, corners_b)
    iou = inter / (aw * ah + bw * bh - inter + eps)
    enclosing_w = torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1)
    enclosing_h = torch.maximum(ay2, by2) - torch.minimum(ay1, by1)
    diagonal = enclosing_w**2 + enclosing_h**2 + eps
    distance = ((bx1 + bx2 - ax1 - ax2) ** 2 + (by1 + by2 - ay1 - ay2) ** 2) / 4
    v = aspect_difference(aw, ah, bw, bh)
    return iou - (distance / diagonal + v * trade_off(v, iou, eps))
