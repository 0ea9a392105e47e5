"""A network as evaluation and prediction see it: a model of torch, or an export in its own runtime."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:  # without torch, which images are prepared for alone do not need
    import torch
    from torch import Tensor

    from lehr.models.detection import Prediction


@dataclass(frozen=True, slots=True)
class Suppression:
    """Non-maximum suppression that a network does itself.

    Attributes:
        conf: lowest score of a detection.
        iou: overlap from which a detection is a repetition.
        max_det: most detections an image.
        agnostic: whether boxes of different classes suppress each other.
    """

    conf: float
    iou: float
    max_det: int
    agnostic: bool = False


PADDING = 114
"""Grey of what is around a letterboxed image, 0 to 255: the mean of common photographs."""


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
        """Longest side of the images that it is meant for, pixels."""

    @property
    def device(self) -> torch.device:
        """Device that it is given its images on, and answers on."""

    @property
    def dtype(self) -> torch.dtype:
        """Type of the images that it takes."""

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width of all images that it takes, pixels; None for any multiples of 32."""

    @property
    def fixed_batch(self) -> int | None:
        """Images that it computes at once, to which fewer are padded and more are split; None for any number."""

    @property
    def padding(self) -> int:
        """Grey of what is around the letterboxed images that it takes, 0 to 255."""

    @property
    def suppression(self) -> Suppression | None:
        """Suppression that it does itself: its boxes are final detections then, and have one score each."""

    def __call__(self, images: Tensor) -> Prediction:
        """Predict a batch, of any number of images."""
