"""YOLOv8: an anchor-free detector with C2f blocks, a two-way feature pyramid and a decoupled head.

Layers carry the numbers and names of the published checkpoints (`model.<layer>.`). Boxes are distances to the four
sides, each the expectation of a distribution over 16 bins (Li et al., "Generalized Focal Loss", 2020).
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from lehr.models.blocks import SPPF, C2f, Concat, Conv, scaled_channels, scaled_repeats

STRIDES = (8, 16, 32)
BINS = 16
"""Bins of each side's distance distribution, in strides: distances of 0 to 15 strides."""


@dataclass(frozen=True, slots=True)
class Scale:
    """How a scale differs from the base model: depth and width multiples and the most channels before widening."""

    depth: float
    width: float
    most_channels: int


SCALES = {
    "n": Scale(0.33, 0.25, 1024),
    "s": Scale(0.33, 0.50, 1024),
    "m": Scale(0.67, 0.75, 768),
    "l": Scale(1.00, 1.00, 512),
    "x": Scale(1.00, 1.25, 512),
}


@dataclass(frozen=True, slots=True)
class Prediction:
    """What the head says of every anchor point, all levels in a row, finest first.

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


def anchor_points(
    sizes: list[tuple[int, int]], strides: tuple[int, ...], device: torch.device
) -> tuple[Tensor, Tensor]:
    """Cell centres of all levels in a row.

    Args:
        sizes: height and width of each level, cells.
        strides: stride of each level, pixels.
        device: where to make them.

    Returns:
        Points (anchors, 2) x, y in pixels, and strides (anchors, 1) in pixels, float32.
    """
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
    """The bins 0 to 15 as the frozen 1x1 convolution that published checkpoints carry."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(BINS, 1, 1, bias=False).requires_grad_(False)
        self.conv.weight.data[:] = torch.arange(BINS, dtype=torch.float32).view(1, BINS, 1, 1)


class Detect(nn.Module):
    """Decoupled head: per level one branch for the box distributions and one for the classes."""

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

    def start_biases(self) -> None:
        """Start with boxes of a few cells and with about 5 objects an image of 640 pixels (Lin et al., 2017)."""
        for box, cls, stride in zip(self.cv2, self.cv3, STRIDES, strict=True):
            assert isinstance(box, nn.Sequential) and isinstance(cls, nn.Sequential)
            for branch, bias in ((box, 1.0), (cls, math.log(5 / self.classes / (640 / stride) ** 2))):
                last = branch[-1]
                assert isinstance(last, nn.Conv2d) and last.bias is not None
                nn.init.constant_(last.bias, bias)

    def forward(self, features: list[Tensor]) -> Prediction:
        """Three feature maps, finest first, to the predictions of all anchor points."""
        distances = [box(x).flatten(2) for box, x in zip(self.cv2, features, strict=True)]
        logits = [cls(x).flatten(2) for cls, x in zip(self.cv3, features, strict=True)]
        sizes = [(x.shape[2], x.shape[3]) for x in features]
        points, strides = anchor_points(sizes, STRIDES, features[0].device)
        return Prediction(
            torch.cat(distances, 2).transpose(1, 2), torch.cat(logits, 2).transpose(1, 2), points, strides
        )


class YOLOv8(nn.Module):
    """YOLOv8 detector.

    Args:
        scale: one of n, s, m, l, x.
        names: the class names; their count is the number of classes.
        imgsz: side of the square that the model is trained for, pixels; kept for users of the weights.
    """

    strides = STRIDES

    def __init__(self, scale: str, names: tuple[str, ...], imgsz: int = 640) -> None:
        super().__init__()
        self.variant = f"yolov8{scale}"
        self.names = names
        self.imgsz = imgsz
        spec = SCALES[scale]

        def c(channels: int) -> int:
            return scaled_channels(channels, spec.width, spec.most_channels)

        def n(repeats: int) -> int:
            return scaled_repeats(repeats, spec.depth)

        self.model = nn.ModuleList(
            [
                Conv(3, c(64), 3, 2),  # 0, stride 2
                Conv(c(64), c(128), 3, 2),  # 1, stride 4
                C2f(c(128), c(128), n(3), True),
                Conv(c(128), c(256), 3, 2),  # 3, stride 8
                C2f(c(256), c(256), n(6), True),
                Conv(c(256), c(512), 3, 2),  # 5, stride 16
                C2f(c(512), c(512), n(6), True),
                Conv(c(512), c(1024), 3, 2),  # 7, stride 32
                C2f(c(1024), c(1024), n(3), True),
                SPPF(c(1024), c(1024)),  # 9
                nn.Upsample(scale_factor=2, mode="nearest"),
                Concat(),
                C2f(c(1024) + c(512), c(512), n(3)),  # 12, stride 16
                nn.Upsample(scale_factor=2, mode="nearest"),
                Concat(),
                C2f(c(512) + c(256), c(256), n(3)),  # 15, stride 8, to the head
                Conv(c(256), c(256), 3, 2),
                Concat(),
                C2f(c(256) + c(512), c(512), n(3)),  # 18, stride 16, to the head
                Conv(c(512), c(512), 3, 2),
                Concat(),
                C2f(c(512) + c(1024), c(1024), n(3)),  # 21, stride 32, to the head
                Detect(len(names), (c(256), c(512), c(1024))),
            ]
        )

    def forward(self, images: Tensor) -> Prediction:
        """Images (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32, to the head's predictions."""
        layer = self.model
        p3 = layer[4](layer[3](layer[2](layer[1](layer[0](images)))))
        p4 = layer[6](layer[5](p3))
        p5 = layer[9](layer[8](layer[7](p4)))
        top4 = layer[12](layer[11]([layer[10](p5), p4]))
        out3 = layer[15](layer[14]([layer[13](top4), p3]))
        out4 = layer[18](layer[17]([layer[16](out3), top4]))
        out5 = layer[21](layer[20]([layer[19](out4), p5]))
        prediction: Prediction = layer[22]([out3, out4, out5])
        return prediction


def decode(prediction: Prediction) -> tuple[Tensor, Tensor]:
    """Boxes and class scores of every anchor point.

    Returns:
        Boxes float32 (batch, anchors, 4), xyxy in pixels of the input, and scores float32 (batch, anchors, classes),
        0 to 1.
    """
    distances = expected_distances(prediction.distances.float())
    boxes = boxes_from_distances(distances, prediction.points, prediction.strides)
    return boxes, prediction.logits.float().sigmoid()
