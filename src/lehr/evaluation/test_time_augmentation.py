"""Test-time augmentation: several views of an image, whose detections are suppressed together.

Each view shows the image at another scale, one of them mirrored. All boxes come back to the image's pixels, and one
non-maximum suppression keeps the best of them, as YOLOv5's `--augment` does; a mean of boxes or of scores (weighted
boxes fusion, Solovyev et al., 2021) is not taken. docs/tiles.md has measurements of both, and of other scales.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import interpolate, pad

from lehr.augment.letterbox import GREY
from lehr.models.network import Network
from lehr.models.scale import rounded_size


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


def infer(network: Network, images: Tensor, tta: bool = False) -> tuple[Tensor, Tensor]:
    """Boxes and scores of a batch, of one view or of all.

    Args:
        network: finds them.
        images: (batch, 3, height, width), RGB, 0 to 1.
        tta: look at all views, whose rows stand behind one another.

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
    shown, (scale_x, scale_y) = _drawn(images, view, network.fixed_size)
    boxes, scores = network(shown).decode()
    boxes = boxes / boxes.new_tensor([scale_x, scale_y, scale_x, scale_y])
    if view.mirrored:
        left, top, right, bottom = boxes.unbind(-1)
        boxes = torch.stack((width - right, top, width - left, bottom), -1)
    return boxes, scores


def _drawn(images: Tensor, view: View, fixed_size: tuple[int, int] | None) -> tuple[Tensor, tuple[float, float]]:
    """The images as a view shows them, the rest grey, and what x and y were multiplied by."""
    height, width = images.shape[-2:]
    seen = images.flip(-1) if view.mirrored else images
    if view.scale == 1:
        return seen, (1.0, 1.0)
    size = max(1, round(height * view.scale)), max(1, round(width * view.scale))
    seen = interpolate(seen, size, mode="bilinear", antialias=True)
    full = fixed_size or (rounded_size(size[0]), rounded_size(size[1]))
    grey = GREY / 255
    return pad(seen, (0, full[1] - size[1], 0, full[0] - size[0]), value=grey), (size[1] / width, size[0] / height)
