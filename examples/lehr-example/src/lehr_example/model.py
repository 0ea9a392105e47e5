"""The model of the family `toy`: a plain backbone, no pyramid, and the head and loss of YOLOv8."""

from __future__ import annotations

from torch import Tensor, nn

from lehr.models.blocks import C2f, Conv
from lehr.models.detection import DetectionModel
from lehr.models.dfl_head import DFLHead, DFLPrediction
from lehr.models.scale import Scale


class Toy(DetectionModel):
    """A detector of five downsampling convolutions.

    A head of your own derives from `lehr.models.detection.Head`, and names its loss, a subclass of
    `lehr.losses.loss.Loss`, in the class attribute `loss`.

    Args:
        variant: its name, e.g. "toy-n".
        names: the class names.
        imgsz: side of the square that the model is trained for, pixels.
        scale: depth and width.
    """

    backbone_layers = 4

    def __init__(self, variant: str, names: tuple[str, ...], imgsz: int, scale: Scale) -> None:
        super().__init__(variant, names, imgsz, scale)
        c, n = scale.channels, scale.repeats
        self.model = nn.ModuleList(
            [
                nn.Sequential(Conv(3, c(16), 3, 2), Conv(c(16), c(32), 3, 2)),  # 0, stride 4
                nn.Sequential(Conv(c(32), c(64), 3, 2), C2f(c(64), c(64), n(1), True)),  # 1, stride 8, to the head
                nn.Sequential(Conv(c(64), c(64), 3, 2), C2f(c(64), c(64), n(1), True)),  # 2, stride 16, to the head
                nn.Sequential(Conv(c(64), c(64), 3, 2), C2f(c(64), c(64), n(1), True)),  # 3, stride 32, to the head
                DFLHead(len(names), (c(64), c(64), c(64))),
            ]
        )

    def forward(self, images: Tensor) -> DFLPrediction:
        """Images (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32, to the head's predictions."""
        layer = self.model
        p3 = layer[1](layer[0](images))
        p4 = layer[2](p3)
        prediction: DFLPrediction = layer[4]([p3, p4, layer[3](p4)])
        return prediction
