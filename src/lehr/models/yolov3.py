"""YOLOv3-SPP: Darknet-53 with spatial pyramid pooling and a top-down pyramid (Redmon & Farhadi, 2018; He et al., 2015).

Layers carry the numbers and names of the published checkpoints (`model.<layer>.`).
"""

from __future__ import annotations

from torch import Tensor, nn

from lehr.models.anchor_head import AnchorHead, AnchorPrediction
from lehr.models.blocks import SPP, Bottleneck, Concat, Conv, Upsample
from lehr.models.detection import DetectionModel
from lehr.models.scale import Scale


def bottlenecks(channels: int, repeats: int, shortcut: bool = True) -> nn.Module:
    """Darknet's residual blocks in a row: 1x1 to half, then 3x3; a single one has no separate number."""
    blocks = [Bottleneck(channels, channels, shortcut, (1, 3)) for _ in range(repeats)]
    return blocks[0] if repeats == 1 else nn.Sequential(*blocks)


class YOLOv3(DetectionModel):
    """YOLOv3-SPP detector.

    Args:
        variant: its name, "yolov3-spp".
        names: the class names.
        imgsz: side of the square that the model is trained for, pixels.
        scale: depth and width.
        anchors: anchors per level.
    """

    backbone_layers = 11
    convolves_images = True

    def __init__(self, variant: str, names: tuple[str, ...], imgsz: int, scale: Scale, anchors: int = 3) -> None:
        super().__init__(variant, names, imgsz, scale)
        c, n = scale.channels, scale.repeats
        self.model = nn.ModuleList(
            [
                Conv(3, c(32), 3),  # 0
                Conv(c(32), c(64), 3, 2),  # 1, stride 2
                bottlenecks(c(64), 1),
                Conv(c(64), c(128), 3, 2),  # 3, stride 4
                bottlenecks(c(128), n(2)),
                Conv(c(128), c(256), 3, 2),  # 5, stride 8
                bottlenecks(c(256), n(8)),
                Conv(c(256), c(512), 3, 2),  # 7, stride 16
                bottlenecks(c(512), n(8)),
                Conv(c(512), c(1024), 3, 2),  # 9, stride 32
                bottlenecks(c(1024), n(4)),
                bottlenecks(c(1024), 1, False),  # 11
                SPP(c(1024), c(512)),
                Conv(c(512), c(1024), 3),
                Conv(c(1024), c(512)),  # 14, on the way up
                Conv(c(512), c(1024), 3),  # 15, stride 32, to the head
                Conv(c(512), c(256)),
                Upsample(),
                Concat(),
                Bottleneck(c(256) + c(512), c(512), False, (1, 3)),  # 19
                bottlenecks(c(512), 1, False),
                Conv(c(512), c(256)),  # 21, on the way up
                Conv(c(256), c(512), 3),  # 22, stride 16, to the head
                Conv(c(256), c(128)),
                Upsample(),
                Concat(),
                Bottleneck(c(128) + c(256), c(256), False, (1, 3)),  # 26
                bottlenecks(c(256), n(2), False),  # 27, stride 8, to the head
                AnchorHead(len(names), (c(256), c(512), c(1024)), anchors),
            ]
        )

    def forward(self, images: Tensor) -> AnchorPrediction:
        """Images (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32, to the head's predictions."""
        layer = self.model
        x = images
        for index in range(7):
            x = layer[index](x)
        p3 = x
        p4 = layer[8](layer[7](p3))
        x = p4
        for index in range(9, 15):
            x = layer[index](x)
        out5 = layer[15](x)
        x = layer[18]([layer[17](layer[16](x)), p4])
        x = layer[21](layer[20](layer[19](x)))
        out4 = layer[22](x)
        x = layer[25]([layer[24](layer[23](x)), p3])
        out3 = layer[27](layer[26](x))
        prediction: AnchorPrediction = layer[28]([out3, out4, out5])
        return prediction
