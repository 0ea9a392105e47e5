"""Test-time augmentation: several views of an image, whose detections are suppressed together.

Each view shows the image at another scale, one of them mirrored. All boxes come back to the image's pixels, and one
non-maximum suppression keeps the best of them, as YOLOv5's `--augment` does, at an IoU of 0.5 at most; a mean of boxes
or of scores (weighted boxes fusion, Solovyev et al., 2021) is not taken. docs/tiles.md has what was measured of both.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from lehr.evaluation.nms import remaining_iou
from lehr.models.network import Network
from lehr.models.scale import rounded_size

VIEWS_IOU = 0.5
"""Overlap from which detections of several views are the same object at most: boxes of views differ by a few pixels."""


@dataclass(frozen=True, slots=True)
class View:
    """A view of an image.

    Attributes:
        scale: of its sides, above 0.
        mirrored: whether left and right are exchanged.
    """

    scale: float
    mirrored: bool


VIEWS = (View(1.0, False), View(0.83, True), View(1.2, False))
FIXED_VIEWS = (View(1.0, False), View(1.0, True), View(0.83, False))
"""Views for a network of a fixed size, into which no larger image fits."""


def iou_of_views(network: Network, iou: float, agnostic: bool = False, *, tta: bool) -> float:
    """Overlap from which detections are repetitions, as `remaining_iou`, and at most `VIEWS_IOU` among several views.

    Args:
        network: found them.
        iou: overlap that is asked for.
        agnostic: whether boxes of different classes are to suppress each other.
        tta: whether they are of several views, which no network has compared with one another.
    """
    return min(iou, VIEWS_IOU) if tta else remaining_iou(network, iou, agnostic)


def infer(network: Network, images: Tensor, tta: bool = False) -> tuple[Tensor, Tensor]:
    """Boxes and scores of a batch, of one view or of all.

    Args:
        network: finds them.
        images: (batch, 3, height, width), RGB, 0 to 1.
        tta: look at all views, whose rows follow one another.

    Returns:
        (batch, rows, 4) xyxy in pixels of the images, and (batch, rows, classes).
    """
    if not tta:
        return network(images).decode()
    views = VIEWS if network.fixed_size is None else FIXED_VIEWS
    found = [_of_view(network, images, view) for view in views]
    boxes, scores = zip(*found, strict=True)
    return torch.cat(boxes, 1), torch.cat(scores, 1)


def _of_view(network: Network, images: Tensor, view: View) -> tuple[Tensor, Tensor]:
    """Boxes in pixels of the images, and scores, of one view of them."""
    width = images.shape[-1]
    shown, (scale_x, scale_y) = _drawn(images, view, network)
    boxes, scores = network(shown).decode()
    boxes = boxes / boxes.new_tensor([scale_x, scale_y, scale_x, scale_y])
    if view.mirrored:
        left, top, right, bottom = boxes.unbind(-1)
        boxes = torch.stack((width - right, top, width - left, bottom), -1)
    return boxes, scores


def _drawn(images: Tensor, view: View, network: Network) -> tuple[Tensor, tuple[float, float]]:
    """The images as a view shows them, the rest as the network pads, and what x and y were multiplied by."""
    height, width = images.shape[-2:]
    seen = images.flip(-1) if view.mirrored else images
    if view.scale == 1:
        return seen, (1.0, 1.0)
    size = max(1, round(height * view.scale)), max(1, round(width * view.scale))
    seen = interpolate(seen.float(), size, mode="bilinear", antialias=True).to(images.dtype)
    full = network.fixed_size or (rounded_size(size[0]), rounded_size(size[1]))
    beside = (0, full[1] - size[1], 0, full[0] - size[0])
    return pad(seen, beside, value=network.padding / 255), (size[1] / width, size[0] / height)
