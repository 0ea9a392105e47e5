"""The anchor-based head of YOLOv3 and YOLOv5: at each cell and anchor a box, an objectness and class logits.

`xy = (2 sigmoid - 0.5 + cell) stride` and `wh = (2 sigmoid)^2 anchor`: the centre reaches half a cell beyond its cell,
the sides up to four times the anchor's (Redmon & Farhadi, "YOLOv3", 2018; the bounded forms are YOLOv5's).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lehr.models.detection import NO_CLASS, STRIDES, Head
from lehr.models.grid_cache import kept_on_cuda

DEFAULT_ANCHORS = (
    ((10.0, 13.0), (16.0, 30.0), (33.0, 23.0)),
    ((30.0, 61.0), (62.0, 45.0), (59.0, 119.0)),
    ((116.0, 90.0), (156.0, 198.0), (373.0, 326.0)),
)
"""Width and height of the anchors of each level, pixels, made for COCO at 640 pixels."""
BOX, OBJECTNESS, CLASSES = slice(0, 4), 4, slice(5, None)
"""Columns of a prediction row."""
OBJECTS = 8
"""Expected number of objects in an image of 640 pixels, for the initial biases."""


@dataclass(frozen=True, slots=True)
class AnchorPrediction:
    """Raw predictions of every anchor, rows in the order level, anchor, cell row, cell column.

    Attributes:
        logits: (batch, rows, 5 + classes): box, objectness, classes.
        cells: (rows, 2) x and y of each row's cell, cells.
        sizes: (rows, 2) width and height of each row's anchor, pixels.
        strides: (rows, 1) pixels per cell.
        anchors: (levels, anchors per level, 2) width and height, pixels.
        grids: height and width of each level, cells.
    """

    logits: Tensor
    cells: Tensor
    sizes: Tensor
    strides: Tensor
    anchors: Tensor
    grids: tuple[tuple[int, int], ...]

    def of_image(self, index: int) -> AnchorPrediction:
        """Return the prediction of one image of the batch, as a batch of one."""
        return replace(self, logits=self.logits[index : index + 1])

    def decode(self) -> tuple[Tensor, Tensor]:
        """Boxes float32 (batch, rows, 4), xyxy in pixels of the input, and scores float32 (batch, rows, classes)."""
        logits = self.logits.float()
        boxes = boxes_from_logits(logits[..., BOX], self.cells, self.sizes, self.strides)
        probabilities = logits[..., OBJECTNESS:].sigmoid()
        return boxes, probabilities[..., :1] * probabilities[..., 1:]


def boxes_from_logits(logits: Tensor, cells: Tensor, sizes: Tensor, strides: Tensor) -> Tensor:
    """Boxes of anchors.

    Args:
        logits: (..., 4) of the centre's x and y, the width and the height.
        cells: (..., 2) x and y, cells.
        sizes: (..., 2) of the anchors, pixels.
        strides: (..., 1), pixels.

    Returns:
        (..., 4) xyxy, pixels.
    """
    twice = logits.sigmoid() * 2
    centres = (twice[..., :2] - 0.5 + cells) * strides
    halves = twice[..., 2:] ** 2 * sizes / 2
    return torch.cat((centres - halves, centres + halves), -1)


class AnchorHead(Head):
    """A 1x1 convolution per level.

    Args:
        classes: number of classes.
        channels: channels of each level.
        anchors: anchors per level.
    """

    loss = "lehr.losses.anchor_based:AnchorBasedLoss"
    anchors: Tensor
    _strides: Tensor

    def __init__(self, classes: int, channels: tuple[int, int, int], anchors: int = 3) -> None:
        super().__init__()
        self.classes = classes
        # In cells, as in published checkpoints.
        self.register_buffer("anchors", torch.zeros(len(STRIDES), anchors, 2))
        self.register_buffer("_strides", torch.tensor(STRIDES, dtype=torch.float32).view(-1, 1, 1), persistent=False)
        self.set_anchors(default_anchors(anchors))
        self.m = nn.ModuleList(nn.Conv2d(c, anchors * (5 + classes), 1) for c in channels)
        self.start_biases()

    @property
    def pixel_anchors(self) -> Tensor:
        """The anchors (levels, anchors per level, 2), width and height in pixels."""
        return self.anchors * self._strides

    def set_anchors(self, anchors: Tensor) -> None:
        """Take anchors (levels, anchors per level, 2), width and height in pixels."""
        self.anchors.copy_(anchors.to(self.anchors) / self._strides)

    def start_biases(self, shares: Sequence[float] | None = None) -> None:
        """Start with about 8 objects per image of 640 pixels, and with uncertain classes (Lin et al., 2017)."""
        alike = [0.6 / (self.classes - 0.99999)] * self.classes
        class_bias = torch.tensor(alike if shares is None else shares, dtype=torch.float32).log()
        for conv, stride in zip(self.m, STRIDES, strict=True):
            assert isinstance(conv, nn.Conv2d) and conv.bias is not None
            with torch.no_grad():
                rows = conv.bias.view(-1, 5 + self.classes)
                rows[:, OBJECTNESS] = math.log(OBJECTS / (640 / stride) ** 2)
                rows[:, CLASSES] = class_bias

    def class_rows(self, classes: int) -> dict[str, list[int]]:
        """The convolutions: for each anchor four rows of the box and one of objectness, then a row per class."""
        rows = [*[NO_CLASS] * CLASSES.start, *range(classes)] * self.anchors.shape[1]
        return {f"m.{level}.{kind}": rows for level in range(len(self.m)) for kind in ("weight", "bias")}

    def forward(self, features: list[Tensor]) -> AnchorPrediction:
        """Three feature maps, finest first, to the predictions of all anchors."""
        anchors = self.pixel_anchors
        rows = [self._rows(conv(x)) for conv, x in zip(self.m, features, strict=True)]
        grids = tuple((x.shape[2], x.shape[3]) for x in features)
        cells, sizes, strides = anchor_rows(grids, anchors)
        return AnchorPrediction(torch.cat(rows, 1), cells, sizes, strides, anchors, grids)

    def _rows(self, x: Tensor) -> Tensor:
        batch, _, height, width = x.shape
        return x.view(batch, -1, 5 + self.classes, height, width).permute(0, 1, 3, 4, 2).flatten(1, 3)


def default_anchors(a_level: int = 3) -> Tensor:
    """The default anchors (levels, a_level, 2), pixels; counts other than 3 are spaced evenly.

    Args:
        a_level: anchors per level.
    """
    anchors = torch.tensor(DEFAULT_ANCHORS)
    if a_level == anchors.shape[1]:
        return anchors
    ordered = anchors.flatten(0, 1).log()
    position = torch.linspace(0, len(ordered) - 1, len(STRIDES) * a_level)
    low = position.floor().long().clamp(max=len(ordered) - 2)
    between: Tensor = torch.lerp(ordered[low], ordered[low + 1], (position - low).unsqueeze(1)).exp()
    return between.view(len(STRIDES), a_level, 2)


def anchor_rows(grids: Sequence[tuple[int, int]], anchors: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Cell (rows, 2), anchor size (rows, 2) in pixels and stride (rows, 1) in pixels of all rows.

    Args:
        grids: height and width of each level, cells.
        anchors: (levels, anchors per level, 2), pixels.
    """
    cells, index, strides = kept_on_cuda(
        ("rows", tuple(grids), anchors.shape[1], anchors.dtype),
        lambda: _grid_rows(grids, anchors.shape[1], anchors.device, anchors.dtype),
        anchors.device,
    )
    return cells, anchors.flatten(0, 1)[index], strides


def _grid_rows(
    grids: Sequence[tuple[int, int]], a_level: int, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor, Tensor]:
    """Cell (rows, 2), number of the anchor (rows,) counted over all levels, and stride (rows, 1) of all rows."""
    cells, index, strides = [], [], []
    for level, ((height, width), stride) in enumerate(zip(grids, STRIDES, strict=True)):
        ys, xs = torch.meshgrid(
            torch.arange(height, device=device, dtype=dtype),
            torch.arange(width, device=device, dtype=dtype),
            indexing="ij",
        )
        cells.append(torch.stack((xs, ys), -1).expand(a_level, height, width, 2).reshape(-1, 2))
        number = torch.arange(level * a_level, (level + 1) * a_level, device=device)
        index.append(number.view(-1, 1).expand(-1, height * width).flatten())
        strides.append(torch.full((a_level * height * width, 1), float(stride), device=device))
    return torch.cat(cells), torch.cat(index), torch.cat(strides)
