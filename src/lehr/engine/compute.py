"""From a batch to the parts of its loss, as a run computes them: in its precision, compiled or step by step."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from lehr.data.batch import Batch
from lehr.data.shapes import cache_folder
from lehr.losses.loss import Loss
from lehr.models.detection import DetectionModel
from lehr.techniques.multi_scale import resized
from lehr.techniques.precision import Precision, autocast

Parts = Callable[[Tensor, Tensor, Tensor], Tensor]
"""From images, boxes and classes to the parts of the loss."""

MODES = {"default": None, "max": "max-autotune-no-cudagraphs"}
"""What torch.compile calls the choices of `--compile`."""


def no_mark(stage: str) -> None:
    """Measures nothing."""


class Compute:
    """Computes the loss of batches.

    Args:
        model: on its device, channels-last.
        loss: its loss.
        device: where it is.

    Attributes:
        mark: told the name of each stage when it has been asked of the device.
        enabled: whether compiled code is used, where there is any.
    """

    def __init__(self, model: DetectionModel, loss: Loss, device: torch.device) -> None:
        self.model = model
        self.loss = loss
        self.device = device
        self.mark: Callable[[str], None] = no_mark
        self.enabled = True
        self._mode = "off"
        self._backend = "inductor"
        self._images = 0
        self._varying: tuple[int, ...] = ()
        self._compiled: dict[Precision, Parts] = {}

    def compile(self, mode: str, images: int, *, sizes_vary: bool = False, backend: str = "inductor") -> None:
        """Has whole batches computed by compiled code from here on; it is made when the first of them comes.

        One graph without breaks, for all counts of objects, and for all sizes where they vary. Smaller batches, such
        as the last of an epoch, are computed step by step, since they would need code of their own.

        Args:
            mode: off, default or max.
            images: of a whole batch.
            sizes_vary: make code that fits every image size, as multi-scale training and rectangles need.
            backend: torch.compile's.
        """
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder() / "compiled"))
        logging.getLogger("torch.utils.cpp_extension").setLevel(logging.ERROR)  # it warns where there is no CUDA
        self._mode, self._images, self._backend = mode, images, backend
        self._varying = (2, 3) if sizes_vary else ()
        self._compiled.clear()

    def parts(self, batch: Batch, size: int | None, precision: Precision) -> Tensor:
        """The parts of a batch's loss, (parts,), with their graph; does not wait for the device.

        Args:
            batch: on the device, drawn.
            size: longest side that the images are resized to, pixels; None leaves them as they are.
            precision: in which the model computes.
        """
        images, boxes = as_input(batch, size)
        if self._mode != "off" and self.enabled and len(images) == self._images:
            boxes, classes = _at_least_two(boxes, batch.classes)
            for tensor, sides in ((images, self._varying), (boxes, (1,)), (classes, (1,))):
                for side in sides:
                    torch._dynamo.maybe_mark_dynamic(tensor, side)
            parts = self._code(precision)(images, boxes, classes)
            self.mark("forward and loss")
            return parts
        with autocast(self.device, precision):
            prediction = self.model(images)
        self.mark("forward")
        parts = self.loss(prediction, boxes, batch.classes)
        self.mark("loss")
        return parts

    def _code(self, precision: Precision) -> Parts:
        """The compiled code of a precision."""
        if precision not in self._compiled:
            kind, dtype, mixed = self.device.type, precision.dtype, precision is not Precision.FLOAT32

            def parts(images: Tensor, boxes: Tensor, classes: Tensor) -> Tensor:
                with torch.autocast(kind, dtype=dtype if mixed else None, enabled=mixed):
                    prediction = self.model(images)
                return self.loss(prediction, boxes, classes)

            self._compiled[precision] = torch.compile(
                parts, fullgraph=True, backend=self._backend, mode=MODES.get(self._mode)
            )
        return self._compiled[precision]


def as_input(batch: Batch, size: int | None = None) -> tuple[Tensor, Tensor]:
    """What the model sees of a batch: images float32 (batch, 3, height, width), 0 to 1, and its boxes, pixels.

    Args:
        batch: on the device, drawn.
        size: longest side that the images are resized to, pixels; None leaves them as they are.
    """
    images, boxes = batch.normalized(), batch.boxes
    return (images, boxes) if size is None else resized(images, boxes, size)


def _at_least_two(boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
    """Objects padded to two an image: no object and one object would each be compiled for themselves."""
    missing = max(0, 2 - boxes.shape[1])
    # Copies, so that what is said of their shapes is said of them alone.
    return F.pad(boxes, (0, 0, 0, missing)), F.pad(classes, (0, missing), value=-1)
