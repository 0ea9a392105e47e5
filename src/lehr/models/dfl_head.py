"""The anchor-free head of YOLOv8: at each anchor point the distances to the four sides, and class logits.

Each distance is the expectation of a distribution over 16 bins (Li et al., "Generalized Focal Loss", 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn

from lehr.models.blocks import Conv
from lehr.models.detection import STRIDES, Head
from lehr.models.grid_cache import kept_on_cuda

BINS = 16
"""Bins of each side's distance distribution, in strides: distances of 0 to 15 strides."""
OBJECTS = 5
"""Objects that an image of 640 pixels is expected to hold, for the first biases."""


@dataclass(frozen=True, slots=True)
class DFLPrediction:
    """Raw predictions of every anchor point, all levels in a row, finest first.

    Attributes:
        distances: (batch, anchors, 4 * BINS) logits of the distance to the left, top, right and bottom side.
        logits: (batch, anchors, classes) class logits.
        points: (anchors, 2) anchor points, x and y, pixels.
        strides: (anchors, 1) stride of each point's level, pixels.
    """

    distances: Tensor
    logits: Tensor
    points: Tensor
    strides: Tensor

    def of_image(self, index: int) -> DFLPrediction:
        """Return the prediction of one image of the batch, as a batch of one."""
        part = slice(index, index + 1)
        return replace(self, distances=self.distances[part], logits=self.logits[part])

    def decode(self) -> tuple[Tensor, Tensor]:
        """Boxes float32 (batch, rows, 4), xyxy in pixels of the input, and scores float32 (batch, rows, classes)."""
        distances = expected_distances(self.distances.float())
        return boxes_from_distances(distances, self.points, self.strides), self.logits.float().sigmoid()


def anchor_points(
    sizes: list[tuple[int, int]], strides: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cell centres of all levels in a row.

    Args:
        sizes: height and width of each level, cells.
        strides: stride of each level, pixels.
        device: their device; on CUDA the same tensors each time.

    Returns:
        Points (anchors, 2) x, y in pixels, and strides (anchors, 1) in pixels, float32.
    """
    points, each_stride = kept_on_cuda(
        ("points", tuple(sizes), strides), lambda: _anchor_points(sizes, strides, device), device
    )
    return points, each_stride


def _anchor_points(
    sizes: list[tuple[int, int]], strides: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    points, each_stride = [], []
    for (height, width), stride in zip(sizes, strides, strict=True):
        ys = (torch.arange(height, device=device, dtype=torch.float32) + 0.5) * stride
        xs = (torch.arange(width, device=device, dtype=torch.float32) + 0.5) * stride
        grid_y, grid_x = torch.meshgrid(ys, xs, indexing="ij")
        points.append(torch.stack((grid_x, grid_y), -1).view(-1, 2))
        each_stride.append(torch.full((height * width, 1), float(stride), device=device))
    return torch.cat(points), torch.cat(each_stride)


def expected_distances(logits: Tensor) -> Tensor:
    """Expectation of the distance distributions: (..., 4 * BINS) logits to (..., 4) distances in strides, 0 to 15."""
    bins = torch.arange(BINS, device=logits.device, dtype=logits.dtype)
    expected: Tensor = logits.view(*logits.shape[:-1], 4, BINS).softmax(-1) @ bins
    return expected


def boxes_from_distances(distances: Tensor, points: Tensor, strides: Tensor) -> Tensor:
    """Boxes around anchor points.

    Args:
        distances: (..., anchors, 4) to the left, top, right and bottom side, in strides.
        points: (anchors, 2), pixels.
        strides: (anchors, 1), pixels.

    Returns:
        (..., anchors, 4) xyxy, pixels.
    """
    left_top, right_bottom = distances.chunk(2, -1)
    return torch.cat((points - left_top * strides, points + right_bottom * strides), -1)


class DFL(nn.Module):
    """The bins 0 to 15 as the frozen 1x1 convolution in published checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data[:] = torch.arange(BINS, dtype=torch.float32).view(1, BINS, 1, 1)


class DFLHead(Head):
    """Decoupled head: per level one branch for the box distributions and one for the classes."""

    loss = "lehr.losses.task_aligned:TaskAlignedLoss"
    class_branch = ("cv3.",)

    def __init__(self, classes: int, channels: tuple[int, int, int]) -> None:
        super().__init__()
        self.classes = classes
        box = max(16, channels[0] // 4, 4 * BINS)
        cls = max(channels[0], min(classes, 100))
        self.cv2 = nn.ModuleList(
            nn.Sequential(Conv(c, box, 3), Conv(box, box, 3), nn.Conv2d(box, 4 * BINS, 1)) for c in channels
        )
        self.cv3 = nn.ModuleList(
            nn.Sequential(Conv(c, cls, 3), Conv(cls, cls, 3), nn.Conv2d(cls, classes, 1)) for c in channels
        )
        self.dfl = DFL()
        self.start_biases()

    def start_biases(self, shares: Sequence[float] | None = None) -> None:
        """Start with boxes of a few cells and about 5 objects per image of 640 pixels (Lin et al., 2017)."""
        class_shares = torch.tensor(shares or [1 / self.classes] * self.classes)
        for box, cls, stride in zip(self.cv2, self.cv3, STRIDES, strict=True):
            assert isinstance(box, nn.Sequential) and isinstance(cls, nn.Sequential)
            for branch, bias in (
                (box, torch.ones(4 * BINS)),
                (cls, (OBJECTS * class_shares / (640 / stride) ** 2).log()),
            ):
                last = branch[-1]
                assert isinstance(last, nn.Conv2d) and last.bias is not None
                with torch.no_grad():
                    last.bias.copy_(bias)

    def class_rows(self, classes: int) -> dict[str, list[int]]:
        """The last layers of the class branches: a row per class."""
        layers = [f"cv3.{level}.2" for level in range(len(self.cv3))]
        return {f"{layer}.{kind}": list(range(classes)) for layer in layers for kind in ("weight", "bias")}

    def forward(self, features: list[Tensor]) -> DFLPrediction:
        """Three feature maps, finest first, to the predictions of all anchor points."""
        distances = _rows([box(x) for box, x in zip(self.cv2, features, strict=True)])
        logits = _rows([cls(x) for cls, x in zip(self.cv3, features, strict=True)])
        sizes = [(x.shape[2], x.shape[3]) for x in features]
        points, strides = anchor_points(sizes, STRIDES, features[0].device)
        return DFLPrediction(distances, logits, points, strides)


def _rows(levels: list[Tensor]) -> Tensor:
    """Feature maps (batch, channels, height, width) of all levels as rows (batch, anchors, channels).

    On a CPU channels are contiguous, as before: another order would round sums differently. Elsewhere rows are, which
    is the layout of channels-last convolutions and of the readers.
    """
    if levels[0].device.type == "cpu":
        return torch.cat([level.flatten(2) for level in levels], 2).transpose(1, 2)
    return torch.cat([level.permute(0, 2, 3, 1).flatten(1, 2) for level in levels], 1)
