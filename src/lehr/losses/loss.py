"""What every loss is to the trainer."""

from __future__ import annotations

from typing import Any, Protocol

from torch import Tensor


class Loss(Protocol):
    """From a head's answer and the objects to the parts that are minimized together.

    Attributes:
        parts: the parts' names, in order.
    """

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts' names, in order."""

    def __call__(self, prediction: Any, boxes: Tensor, classes: Tensor) -> Tensor:
        """Each part times its gain and the batch size; (parts,).

        Args:
            prediction: what the model's head answered.
            boxes: (batch, objects, 4) xyxy, pixels.
            classes: (batch, objects); -1 for padding.
        """
