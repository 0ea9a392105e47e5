"""Base of every family: class names, scale, layers with the published numbers, head and predictions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
from torch import Tensor, nn

from lehr.models.network import PADDING
from lehr.models.scale import Scale

if TYPE_CHECKING:
    from lehr.losses.loss import Loss
    from lehr.models.network import Suppression

STRIDES = (8, 16, 32)
"""Pixels per cell of the three levels, finest first."""
NO_CLASS = -1
"""Class index for rows of a head that belong to no class."""


class Prediction(Protocol):
    """Raw predictions of a batch; rows are anchor points, or anchors at points, all levels in a row."""

    def decode(self) -> tuple[Tensor, Tensor]:
        """Boxes float32 (batch, rows, 4), xyxy in pixels of the input, and scores float32 (batch, rows, classes)."""


class Head(nn.Module):
    """Last layer: from feature maps to predictions.

    Attributes:
        classes: number of classes.
        loss: class of its loss, or its location, e.g. "package.module:Loss".
        class_branch: prefixes of the names of tensors used only for class scores, including hidden layers; empty if
            classes and boxes share all layers.
    """

    classes: int
    loss: ClassVar[str | type[Loss]]
    class_branch: ClassVar[tuple[str, ...]] = ()

    def start_biases(self, shares: Sequence[float] | None = None) -> None:
        """Set the initial biases of a training.

        Args:
            shares: each class's share of the objects, adding up to 1; None for equal shares.
        """
        raise NotImplementedError

    def class_rows(self, classes: int) -> dict[str, list[int]]:
        """Name the tensors whose rows belong to classes, so that weights of other classes can be matched by name.

        Args:
            classes: number of classes, this head's or another's of the same kind.

        Returns:
            By the tensor's name in the head, the class index of each row; `NO_CLASS` for a row of no class. Empty if
            the head does not declare it.
        """
        return {}


class DetectionModel(nn.Module):
    """A detector of any family: images (batch, 3, height, width), RGB, 0 to 1, sides multiples of 32, to predictions.

    Args:
        variant: the model's name, e.g. "yolov8n".
        names: the class names; their count is the number of classes.
        imgsz: side of the square that the model is trained for, pixels; kept for users of the weights.
        scale: depth and width.

    Attributes:
        strides: pixels a cell of each level.
        model: the layers by their published numbers; the last is the head.
        backbone_layers: how many of the first layers are the backbone; 0 if the family does not declare it.
        convolves_images: whether the images only go into a convolution, so that in mixed precision they may have its
            type.
    """

    strides = STRIDES
    backbone_layers: ClassVar[int] = 0
    convolves_images: ClassVar[bool] = False
    model: nn.ModuleList

    def __init__(self, variant: str, names: tuple[str, ...], imgsz: int, scale: Scale) -> None:
        super().__init__()
        self.variant = variant
        self.names = names
        self.imgsz = imgsz
        self.scale = scale

    @property
    def head(self) -> Head:
        """The last layer."""
        head = self.model[-1]
        assert isinstance(head, Head)
        return head

    @property
    def device(self) -> torch.device:
        """Device of its weights."""
        return next(self.parameters()).device

    @property
    def dtype(self) -> torch.dtype:
        """Type of its weights."""
        return next(self.parameters()).dtype

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """None: it accepts any multiple of the stride."""
        return None

    @property
    def fixed_batch(self) -> int | None:
        """None: it accepts any number of images."""
        return None

    @property
    def padding(self) -> int:
        """Grey level around its images, 0 to 255, as in training."""
        return PADDING

    @property
    def suppression(self) -> Suppression | None:
        """None: its predictions are not yet suppressed."""
        return None
