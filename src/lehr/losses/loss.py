"""Interface of a loss to the trainer.

A loss is computed in two halves, so that a batch can be spread over devices: each computes its own sums and counts, and
the loss of the whole batch follows from the totals.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar, Self

import torch
from torch import Tensor

from lehr.options import LossOptions


class Loss(ABC):
    """Function from a head's output and the objects to the parts of the loss.

    Attributes:
        parts: the parts' names, in order.
    """

    __slots__ = ()
    parts: ClassVar[tuple[str, ...]]

    @classmethod
    @abstractmethod
    def from_options(
        cls,
        options: LossOptions,
        gains: Mapping[str, float],
        *,
        classes: int,
        imgsz: int,
        class_weights: Tensor | None = None,
    ) -> Self:
        """Build the loss of a run.

        Args:
            options: the variations, and the given gains.
            gains: `box` and `cls`: those of the options, or the family's where these are unset.
            classes: number of classes.
            imgsz: side of the training square, pixels.
            class_weights: (classes,), a factor for the objects of each class, on the model's device; None for none.
        """

    def __call__(self, prediction: Any, boxes: Tensor, classes: Tensor) -> Tensor:
        """Compute each part times its gain and the batch size; (parts,).

        Args:
            prediction: output of the model's head.
            boxes: (batch, objects, 4) xyxy, pixels.
            classes: (batch, objects); -1 for padding.
        """
        sums, counts = self.sums(prediction, boxes, classes)
        return self.combined(sums, counts, len(boxes))

    @abstractmethod
    def sums(self, prediction: Any, boxes: Tensor, classes: Tensor) -> tuple[Tensor, Tensor]:
        """Compute sums over the images, before they are combined.

        Args:
            prediction: output of the model's head.
            boxes: (batch, objects, 4) xyxy, pixels.
            classes: (batch, objects); -1 for padding.

        Returns:
            Sums (n,), each times its gain, with their graph; and their divisors, (n,) or (1,), without.
        """

    @abstractmethod
    def combined(self, sums: Tensor, counts: Tensor, images: int) -> Tensor:
        """Combine sums into the parts, (parts,); linear in the sums, so that those of parts of a batch can be added.

        Args:
            sums: (n,), of some images or of all.
            counts: (n,) or (1,), of all images of the batch.
            images: images of the batch.
        """


def supports_dynamic_shapes(device: torch.device) -> bool:
    """Return whether shapes may depend on the data, so that only pairs that count are computed: eagerly, on a CPU.

    Elsewhere the host would wait for the device; and a compiled step has no shapes that depend on the data.
    """
    return device.type == "cpu" and not torch.compiler.is_compiling()
