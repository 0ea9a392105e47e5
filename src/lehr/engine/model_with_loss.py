"""Model and loss as one module: run eagerly or compiled."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lehr.engine.step_graphs import padded_count
from lehr.losses.loss import Loss
from lehr.models.detection import DetectionModel
from lehr.techniques.compiled_steps import BY_GRAPHS, MODES
from lehr.techniques.precision import Precision, autocast

Sums = Callable[[Tensor, Tensor, Tensor], tuple[Tensor, Tensor]]
"""Function from images, boxes and classes to the sums and counts of the loss."""


def no_mark(stage: str) -> None:
    """Do nothing."""


class ModelWithLoss(nn.Module):
    """Model and loss as one module, so that what spreads a module over devices spreads both.

    Args:
        model: on its device, channels-last.
        loss: its loss.
        device: where it is.

    Attributes:
        mark: called with the name of each stage once it is queued on the device.
        enabled: whether compiled code is used, if there is any.
    """

    def __init__(self, model: DetectionModel, loss: Loss, device: torch.device) -> None:
        super().__init__()
        self.model = model
        self.loss = loss
        self.device = device
        self.mark: Callable[[str], None] = no_mark
        self.enabled = True
        self._mode = "off"
        self._backend = "inductor"
        self._images = 0
        self._varying: tuple[int, ...] = ()
        self._compiled: dict[Precision, Sums] = {}

    def compile_for(self, mode: str, images: int, sizes_vary: bool, backend: str) -> None:
        """As `Compute.compile`."""
        self._mode, self._images, self._backend = mode, images, backend
        self._varying = (2, 3) if sizes_vary else ()
        self._compiled.clear()

    def forward(self, images: Tensor, boxes: Tensor, classes: Tensor, precision: Precision) -> tuple[Tensor, Tensor]:
        """Sums and counts of the loss, (1, n) each: one row per device if there are several.

        Args:
            images: (batch, 3, height, width), 0 to 1, float32 or as `input_dtype` says.
            boxes: (batch, objects, 4) xyxy, pixels.
            classes: (batch, objects); -1 for padding.
            precision: in which the model computes.
        """
        if self.compiles(len(images)):
            least = padded_count(boxes.shape[1]) if self._mode == BY_GRAPHS else 2
            boxes, classes = _padded(boxes, classes, least)
            for tensor, sides in ((images, self._varying), (boxes, (1,)), (classes, (1,))):
                for side in sides:
                    torch._dynamo.maybe_mark_dynamic(tensor, side)
            sums, counts = self._code(precision)(images, boxes, classes)
            self.mark("forward and loss")
        else:
            with autocast(images.device, precision):
                prediction = self.model(images)
            self.mark("forward")
            sums, counts = self.loss.sums(prediction, boxes, classes)
        return sums.unsqueeze(0), counts.unsqueeze(0)

    def compiles(self, images: int, mode: str | None = None) -> bool:
        """Return whether batches of this many images are computed by compiled code.

        Args:
            images: of the batch.
            mode: by code of this mode; None for any.
        """
        return self._mode != "off" and mode in (None, self._mode) and self.enabled and images == self._images

    def _code(self, precision: Precision) -> Sums:
        """The compiled code of a precision."""
        if precision not in self._compiled:
            kind, dtype, mixed = self.device.type, precision.dtype, precision is not Precision.FLOAT32

            def sums(images: Tensor, boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
                with torch.autocast(kind, dtype=dtype if mixed else None, enabled=mixed):
                    prediction = self.model(images)
                return self.loss.sums(prediction, boxes, classes)

            self._compiled[precision] = torch.compile(
                sums, fullgraph=True, backend=self._backend, mode=MODES.get(self._mode)
            )
        return self._compiled[precision]


def _padded(boxes: Tensor, classes: Tensor, least: int) -> tuple[Tensor, Tensor]:
    """Pad objects to a fixed count per image.

    To two at least, since counts of 0 and 1 would each be compiled separately; to one of a few counts if each becomes a
    graph.
    """
    missing = max(0, least - boxes.shape[1])
    # Copies, so that marking their shapes as dynamic affects only them.
    return F.pad(boxes, (0, 0, 0, missing)), F.pad(classes, (0, missing), value=-1)
