"""YOLOv8: an anchor-free detector with C2f blocks, a two-way feature pyramid and a decoupled head.

Layers carry the numbers and names of the published checkpoints (`model.<layer>.`).
"""

from __future__ import annotations

from torch import Tensor, nn

from lehr.models.blocks import SPPF, C2f, Concat, Conv, Upsample
from lehr.models.detection import DetectionModel
from lehr.models.dfl_head import DFLHead, DFLPrediction
from lehr.models.scale import Scale


class YOLOv8(DetectionModel):
    """YOLOv8 detector.

    Args:
        variant: its name, e.g. "yolov8n".
        names: the class names.
        imgsz: side of the square that the model is trained for, pixels.
        scale: depth, width and most channels.
    """

    backbone_layers = 10
    convolves_images = True

    def __init__(self, variant: str, names: tuple[str, ...], imgsz: int, scale: Scale) -> None:
        super().__init__(variant, names, imgsz, scale)
        c, n = scale.channels, scale.repeats
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
                Upsample(),
                Concat(),
                C2f(c(1024) + c(512), c(512), n(3)),  # 12, stride 16
                Upsample(),
                Concat(),
                C2f(c(512) + c(256), c(256), n(3)),  # 15, stride 8, to the head
                Conv(c(256), c(256), 3, 2),
                Concat(),
                C2f(c(256) + c(512), c(512), n(3)),  # 18, stride 16, to the head
                Conv(c(512), c(512), 3, 2),
                Concat(),
                C2f(c(512) + c(1024), c(1024), n(3)),  # 21, stride 32, to the head
                DFLHead(len(names), (c(256), c(512), c(1024))),
            ]
        )

    def forward(self, images: Tensor) -> DFLPrediction:
        """Images (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32, to the head's predictions."""
        layer = self.model
        p3 = layer[4](layer[3](layer[2](layer[1](layer[0](images)))))
        p4 = layer[6](layer[5](p3))
        p5 = layer[9](layer[8](layer[7](p4)))
        top4 = layer[12](layer[11]([layer[10](p5), p4]))
        out3 = layer[15](layer[14]([layer[13](top4), p3]))
        out4 = layer[18](layer[17]([layer[16](out3), top4]))
        out5 = layer[21](layer[20]([layer[19](out4), p5]))
        prediction: DFLPrediction = layer[22]([out3, out4, out5])
        return prediction
