"""Losses of a predicted box against an object's, elementwise over broadcast shapes: one function each, chosen by name.

With d the distance of the centres, and w_c, h_c and c the width, height and diagonal of the smallest box around both:

- ciou, diou: Zheng et al., "Distance-IoU Loss", 2020. `1 - DIoU = 1 - IoU + d^2 / c^2`; CIoU see `ciou`.
- giou: Rezatofighi et al., "Generalized Intersection over Union", 2019.
- eiou: Zhang et al., "Focal and Efficient IOU Loss for Accurate Bounding Box Regression", 2021; without the focal
  factor.
- siou: Gevorgyan, "SIoU Loss: More Powerful Learning for Bounding Box Regression", 2022.
- wiou: Tong et al., "Wise-IoU: Bounding Box Regression Loss with Dynamic Focusing Mechanism", 2023, version 1. Version
  3 weights by a running mean over steps, which a run would have to keep.
- nwd: Wang et al., "A Normalized Gaussian Wasserstein Distance for Tiny Object Detection", 2021.

Assignment and score targets use CIoU under each of them, so that scores mean the same.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from lehr.losses.iou import ciou, intersection
from lehr.losses.without_effect import gain, without
from lehr.options.loss import BoxLossName
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

EPS = 1e-7
"""Keeps divisions and roots finite for boxes without area and for equal ones."""
SIOU_THETA = 4
"""Exponent of SIoU's shape cost; the paper found it near 4, between 2 and 6."""


class BoxPair(NamedTuple):
    """Measures of boxes and those at the same place, each (...).

    Attributes:
        iou: intersection over union.
        union: their area together.
        dx: distance of the centres along x.
        dy: along y.
        enclosing_w: width of the smallest box around both.
        enclosing_h: its height.
        widths: of the one and of the other.
        heights: likewise.
    """

    iou: Tensor
    union: Tensor
    dx: Tensor
    dy: Tensor
    enclosing_w: Tensor
    enclosing_h: Tensor
    widths: tuple[Tensor, Tensor]
    heights: tuple[Tensor, Tensor]

    @property
    def distance(self) -> Tensor:
        """Squared distance of the centres."""
        return self.dx**2 + self.dy**2

    @property
    def diagonal(self) -> Tensor:
        """Squared diagonal of the smallest box around both, above 0."""
        return self.enclosing_w**2 + self.enclosing_h**2 + EPS


def measure(a: Tensor, b: Tensor) -> BoxPair:
    """Measure boxes (..., 4) xyxy and those at the same place."""
    corners_a = ax1, ay1, ax2, ay2 = a.unbind(-1)
    corners_b = bx1, by1, bx2, by2 = b.unbind(-1)
    widths, heights = (ax2 - ax1, bx2 - bx1), (ay2 - ay1, by2 - by1)
    inter = intersection(corners_a, corners_b)
    union = widths[0] * heights[0] + widths[1] * heights[1] - inter
    return BoxPair(
        inter / (union + EPS),
        union,
        (ax1 + ax2 - bx1 - bx2) / 2,
        (ay1 + ay2 - by1 - by2) / 2,
        torch.maximum(ax2, bx2) - torch.minimum(ax1, bx1),
        torch.maximum(ay2, by2) - torch.minimum(ay1, by1),
        widths,
        heights,
    )


def ciou_loss(a: Tensor, b: Tensor) -> Tensor:
    """Compute `1 - CIoU`, 0 to 2.5.

    Args:
        a: (..., 4) xyxy.
        b: (..., 4) xyxy, broadcastable to `a`; as for all that follow.
    """
    return 1 - ciou(a, b)


def diou_loss(a: Tensor, b: Tensor) -> Tensor:
    """Compute `1 - IoU + d^2 / c^2`, 0 to 2."""
    pair = measure(a, b)
    return 1 - pair.iou + pair.distance / pair.diagonal


def giou_loss(a: Tensor, b: Tensor) -> Tensor:
    """Compute `1 - IoU + (C - U) / C`, 0 to 2; C is the area of the box around both, U that of their union."""
    pair = measure(a, b)
    enclosing = pair.enclosing_w * pair.enclosing_h
    return 1 - pair.iou + (enclosing - pair.union) / (enclosing + EPS)


def eiou_loss(a: Tensor, b: Tensor) -> Tensor:
    """Compute `1 - IoU + d^2 / c^2 + (w - w')^2 / w_c^2 + (h - h')^2 / h_c^2`, 0 to 3.25."""
    pair = measure(a, b)
    width = (pair.widths[0] - pair.widths[1]) ** 2 / (pair.enclosing_w**2 + EPS)
    height = (pair.heights[0] - pair.heights[1]) ** 2 / (pair.enclosing_h**2 + EPS)
    return 1 - pair.iou + pair.distance / pair.diagonal + width + height


def siou_loss(a: Tensor, b: Tensor) -> Tensor:
    """Compute `1 - IoU + (distance cost + shape cost) / 2`, 0 to 2.03.

    The distance cost is `(1 - exp(-g (dx/w_c)^2)) + (1 - exp(-g (dy/h_c)^2))` with `g = 2 - sin(2 angle)`, the angle
    being that between the line of the centres and an axis. The paper's `1 - 2 sin^2(arcsin(x) - pi/4)` is the same as
    `sin(2 angle)`, computed here without the arcsine, whose gradient has no bound. The shape cost is
    `(1 - exp(-|w - w'| / max(w, w')))^theta`, and the same of the heights.
    """
    pair = measure(a, b)
    return 1 - pair.iou + (distance_cost(pair) + shape_cost(pair)) / 2


def angle_cost(pair: BoxPair) -> Tensor:
    """Compute SIoU's `sin(2 angle)`, 0 along an axis to 1 between both."""
    return 2 * pair.dx.abs() * pair.dy.abs() / (pair.distance + EPS)


def distance_cost(pair: BoxPair) -> Tensor:
    """Compute SIoU's cost of centres that differ, 0 to 1.73."""
    gamma = 2 - angle_cost(pair)
    along_x = torch.exp(-gamma * pair.dx**2 / (pair.enclosing_w**2 + EPS))
    along_y = torch.exp(-gamma * pair.dy**2 / (pair.enclosing_h**2 + EPS))
    return (1 - along_x) + (1 - along_y)


def shape_cost(pair: BoxPair) -> Tensor:
    """Compute SIoU's cost of sides that differ, 0 to 0.32."""
    cost = torch.zeros_like(pair.iou)
    for one, other in (pair.widths, pair.heights):
        relative = (one - other).abs() / (torch.maximum(one, other) + EPS)
        cost = cost + (1 - torch.exp(-relative)) ** SIOU_THETA
    return cost


def wiou_loss(a: Tensor, b: Tensor) -> Tensor:
    """Compute `exp(d^2 / c^2) (1 - IoU)`, 0 to e, where c carries no gradient (version 1)."""
    pair = measure(a, b)
    return torch.exp(pair.distance / pair.diagonal.detach()) * (1 - pair.iou)


def nwd_loss(a: Tensor, b: Tensor, constant: float) -> Tensor:
    """Compute `1 - exp(-W / C)`, 0 to 1, with W the Wasserstein distance of the boxes as Gaussians.

    `W^2 = dx^2 + dy^2 + ((w - w')^2 + (h - h')^2) / 4`.

    Args:
        a: (..., 4) xyxy, pixels: unlike overlaps, this depends on the unit.
        b: (..., 4) xyxy, pixels, broadcastable to `a`.
        constant: C, pixels.
    """
    pair = measure(a, b)
    sides = (pair.widths[0] - pair.widths[1]) ** 2 + (pair.heights[0] - pair.heights[1]) ** 2
    return 1 - torch.exp(-(pair.distance + sides / 4 + EPS).sqrt() / constant)


OVERLAP_LOSSES: dict[BoxLossName, Callable[[Tensor, Tensor], Tensor]] = {
    "ciou": ciou_loss,
    "diou": diou_loss,
    "giou": giou_loss,
    "siou": siou_loss,
    "eiou": eiou_loss,
    "wiou": wiou_loss,
}
"""Losses that do not depend on the unit of the boxes."""
TITLES: dict[BoxLossName, str] = {
    **{"ciou": "CIoU", "diou": "DIoU", "giou": "GIoU", "siou": "SIoU", "eiou": "EIoU", "wiou": "Wise-IoU v1"},
    "nwd": "normalized Wasserstein distance",
}


@dataclass(frozen=True, slots=True)
class BoxLoss:
    """Box loss of a run.

    Attributes:
        kind: its name.
        nwd_constant: C of the normalized Wasserstein distance, pixels.
    """

    kind: BoxLossName = "ciou"
    nwd_constant: float = 12.8

    def __call__(self, a: Tensor, b: Tensor, strides: Tensor) -> Tensor:
        """Compute the loss of each pair of boxes, (...).

        Args:
            a: (..., 4) xyxy, pixels.
            b: (..., 4) xyxy, pixels.
            strides: (..., 1), pixels per cell, the unit of the overlaps.
        """
        if self.kind == "nwd":
            return nwd_loss(a, b, self.nwd_constant)
        return OVERLAP_LOSSES[self.kind](a / strides, b / strides)


def _without_effect(run: Run) -> dict[str, NoEffect]:
    kind = run.config.loss.box_loss
    if gain(run.config, "box") == 0:
        return without(("box_loss", "nwd_constant"), "--box is 0")
    return {} if kind == "nwd" else {"nwd_constant": NoEffect(f"--box-loss is {kind}")}


def _state(run: Run) -> State:
    loss = run.config.loss
    constant = f" with C of {loss.nwd_constant:g} pixels" if loss.box_loss == "nwd" else ""
    distances = f"; distances as distributions, gain {loss.dfl:g}" if "dfl" in run.config.family.options else ""
    return State(True, f"{TITLES[loss.box_loss]}{constant}, gain {gain(run.config, 'box'):g}{distances}")


TECHNIQUE = Technique(
    name="box losses",
    page="box-losses",
    section=Section.LOSS,
    order=30,
    options=("box", "dfl", "box_loss", "nwd_constant"),
    without_effect=_without_effect,
    why="training optimizes the overlap that is evaluated",
    state=_state,
    switches=tuple(
        Switch(kind, {"box_loss": kind}, {"box_loss": "ciou"}, one_of_several=True) for kind in TITLES if kind != "ciou"
    ),
    code=("losses/iou.py", "losses/task_aligned.py"),
)
