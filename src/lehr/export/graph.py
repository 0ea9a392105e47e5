"""The graph that every format is made of: images in, boxes and scores of all rows out, captured by torch.export."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.export import Dim, ExportedProgram

from lehr.export.names import IMAGES
from lehr.export.options import ExportOptions
from lehr.models.detection import DetectionModel
from lehr.models.fuse import fuse
from lehr.models.scale import STRIDE
from lehr.options.data import MAX_IMGSZ
from lehr.weights.export_metadata import MAX_BATCH


class ExportGraph(nn.Module):
    """A detector with its decoding: float32 images in, float32 boxes and scores out, whatever it computes in.

    Args:
        detector: in eval mode.
        half: compute in float16.
    """

    def __init__(self, detector: DetectionModel, half: bool = False) -> None:
        super().__init__()
        self.detector = detector.half() if half else detector.float()
        self.half_precision = half

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Images (batch, 3, height, width), RGB, 0 to 1, to boxes (batch, rows, 4), xyxy in pixels, and scores."""
        prediction = self.detector(images.half() if self.half_precision else images)
        boxes, scores = prediction.decode()
        return boxes, scores


def capture(model: DetectionModel, options: ExportOptions, half: bool | None = None) -> ExportedProgram:
    """Capture the graph of a model, its BatchNorm folded.

    Args:
        model: in eval mode; not changed.
        options: of the export.
        half: compute in float16; None for what the options say.
    """
    half = options.half if half is None else half
    graph = ExportGraph(fuse(model).cpu(), half).eval()
    height, width = options.size
    batch = options.batch
    shapes = None
    if options.dynamic:
        # Numbers of 1 are taken as fixed, and equal ones as the same; their values are of no consequence.
        batch, height, width = 2, 6 * STRIDE, 10 * STRIDE
        most = MAX_IMGSZ // STRIDE
        shapes = {
            IMAGES: {
                0: Dim("batch", min=1, max=MAX_BATCH),
                2: STRIDE * Dim("rows_of_cells", min=1, max=most),
                3: STRIDE * Dim("columns_of_cells", min=1, max=most),
            }
        }
    images = torch.zeros(batch, 3, height, width)
    with torch.no_grad():
        return torch.export.export(graph, (images,), dynamic_shapes=shapes, strict=False)
