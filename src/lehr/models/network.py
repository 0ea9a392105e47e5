"""A network as evaluation and prediction see it: a model of torch, or an export in its own runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # without torch, which preparing images does not need
    import torch
    from torch import Tensor

    from lehr.models.detection import Prediction


@dataclass(frozen=True, slots=True)
class Suppression:
    """Non-maximum suppression inside a network.

    Attributes:
        conf: lowest score of a detection.
        iou: overlap above which a detection is a duplicate.
        max_det: most detections per image.
        agnostic: whether boxes of different classes suppress each other.
    """

    conf: float
    iou: float
    max_det: int
    agnostic: bool = False


PADDING = 114
"""Grey level around a letterboxed image, 0 to 255: the mean of common photographs."""


class Network(Protocol):
    """A detector that finds objects: images (batch, 3, height, width), RGB, 0 to 1, to predictions."""

    @property
    def variant(self) -> str:
        """The model's name, e.g. "yolov8n"."""

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""

    @property
    def imgsz(self) -> int:
        """Intended longest side of images, pixels."""

    @property
    def device(self) -> torch.device:
        """Device of its inputs and outputs."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of its input images."""

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Required height and width of images, pixels; None for any multiples of 32."""

    @property
    def fixed_batch(self) -> int | None:
        """Batch size, to which fewer images are padded and more are split; None for any number."""

    @property
    def padding(self) -> int:
        """Grey level around its letterboxed input images, 0 to 255."""

    @property
    def suppression(self) -> Suppression | None:
        """Suppression inside the network: its boxes are then final detections with one score each."""

    def __call__(self, images: Tensor) -> Prediction:
        """Predict a batch, of any number of images."""
