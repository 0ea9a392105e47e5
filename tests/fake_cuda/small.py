"""Models of a layer of each kind, for checks of what does not depend on how many there are."""

from __future__ import annotations

from typing import Any

from tests.fake_cuda.cases import FIRST, OTHERS, SMALL
from torch import Tensor, nn

from lehr.models.anchor_head import AnchorHead
from lehr.models.blocks import C3, SPPF, C2f, Concat, Conv, Upsample
from lehr.models.detection import DetectionModel
from lehr.models.dfl_head import DFLHead
from lehr.models.family import Family, find_family, register_family
from lehr.models.scale import Scale

WIDTH = 32
"""Channels of every layer."""


class Small(DetectionModel):
    """A detector with the head and blocks of YOLOv8 or of YOLOv5, by its name."""

    backbone_layers = 5
    convolves_images = True

    def __init__(self, variant: str, names: tuple[str, ...], imgsz: int, scale: Scale, anchors: int = 3) -> None:
        super().__init__(variant, names, imgsz, scale)
        of_yolov8, widths = variant == SMALL[FIRST], (WIDTH, WIDTH, WIDTH)
        block = C2f if of_yolov8 else C3
        self.model = nn.ModuleList(
            [
                nn.Sequential(Conv(3, WIDTH, 3, 2), Conv(WIDTH, WIDTH, 3, 2)),  # 0, stride 4
                Conv(WIDTH, WIDTH, 3, 2),  # 1, stride 8
                Conv(WIDTH, WIDTH, 3, 2),  # 2, stride 16
                Conv(WIDTH, WIDTH, 3, 2),  # 3, stride 32
                SPPF(WIDTH, WIDTH),  # 4
                Upsample(),
                Concat(),
                block(2 * WIDTH, WIDTH, 1),  # 7, stride 16
                DFLHead(len(names), widths) if of_yolov8 else AnchorHead(len(names), widths, anchors),
            ]
        )

    def forward(self, images: Tensor) -> Any:
        """Images (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32, to the head's predictions."""
        layer = self.model
        p3 = layer[1](layer[0](images))
        p4 = layer[2](p3)
        p5 = layer[4](layer[3](p4))
        return layer[8]([p3, layer[7](layer[6]([layer[5](p5), p4])), p5])


for model in (FIRST, OTHERS[0]):
    like = find_family(model)
    register_family(Family(SMALL[model], {"": Scale(1.0, 1.0)}, Small, like.gains, like.anchors, like.options))
