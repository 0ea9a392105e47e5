"""YOLOv5: an anchor-based detector with C3 blocks and a two-way feature pyramid.

Layers carry the numbers and names of the published checkpoints (`model.<layer>.`).
"""

from __future__ import annotations

from torch import Tensor, nn

from lehr.models.anchor_head import AnchorHead, AnchorPrediction
from lehr.models.blocks import C3, SPPF, Concat, Conv, Upsample
from lehr.models.detection import DetectionModel
from lehr.models.scale import Scale


class YOLOv5(DetectionModel):
    """YOLOv5 detector.

    Args:
        variant: its name, e.g. "yolov5n".
        names: the class names.
        imgsz: side of the square that the model is trained for, pixels.
        scale: depth and width.
        anchors: anchors per level.
    """

    backbone_layers = 10
    convolves_images = True

    def __init__(self, variant: str, names: tuple[str, ...], imgsz: int, scale: Scale, anchors: int = 3) -> None:
        super().__init__(variant, names, imgsz, scale)
        c, n = scale.channels, scale.repeats
        self.model = nn.ModuleList(
            [
                Conv(3, c(64), 6, 2, 2),  # 0, stride 2
                Conv(c(64), c(128), 3, 2),  # 1, stride 4
                C3(c(128), c(128), n(3)),
                Conv(c(128), c(256), 3, 2),  # 3, stride 8
                C3(c(256), c(256), n(6)),
                Conv(c(256), c(512), 3, 2),  # 5, stride 16
                C3(c(512), c(512), n(9)),
                Conv(c(512), c(1024), 3, 2),  # 7, stride 32
                C3(c(1024), c(1024), n(3)),
                SPPF(c(1024), c(1024)),  # 9
                Conv(c(1024), c(512)),  # 10, on the way up and, for layer 22, down
                Upsample(),
                Concat(),
                C3(2 * c(512), c(512), n(3), False),  # 13, stride 16
                Conv(c(512), c(256)),  # 14
                Upsample(),
                Concat(),
                C3(2 * c(256), c(256), n(3), False),  # 17, stride 8, to the head
                Conv(c(256), c(256), 3, 2),
                Concat(),
                C3(2 * c(256), c(512), n(3), False),  # 20, stride 16, to the head
                Conv(c(512), c(512), 3, 2),
                Concat(),
                C3(2 * c(512), c(1024), n(3), False),  # 23, stride 32, to the head
                AnchorHead(len(names), (c(256), c(512), c(1024)), anchors),
            ]
        )

    def forward(self, images: Tensor) -> AnchorPrediction:
        """Images (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32, to the head's predictions."""
        layer = self.model
        p3 = layer[4](layer[3](layer[2](layer[1](layer[0](images)))))
        p4 = layer[6](layer[5](p3))
        top5 = layer[10](layer[9](layer[8](layer[7](p4))))
        top4 = layer[14](layer[13](layer[12]([layer[11](top5), p4])))
        out3 = layer[17](layer[16]([layer[15](top4), p3]))
        out4 = layer[20](layer[19]([layer[18](out3), top4]))
        out5 = layer[23](layer[22]([layer[21](out4), top5]))
        prediction: AnchorPrediction = layer[24]([out3, out4, out5])
        return prediction
