"""An export as a network: images in, boxes and scores out, as by a model of torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from lehr.backends.runtime import Runtime
from lehr.errors import InputError
from lehr.models.network import Suppression
from lehr.weights.export_metadata import SCALE, ExportMetadata

COLUMNS = 7
"""Of detections: image, x1, y1, x2, y2, score, class."""


@dataclass(frozen=True, slots=True)
class ExportPrediction:
    """Boxes and scores as an export gives them.

    Attributes:
        boxes: float32 (batch, rows, 4), xyxy in pixels of the input.
        scores: float32 (batch, rows, classes).
    """

    boxes: Tensor
    scores: Tensor

    def decode(self) -> tuple[Tensor, Tensor]:
        """Boxes and scores."""
        return self.boxes, self.scores


@dataclass(frozen=True, slots=True)
class ExportedNetwork:
    """An export in its runtime.

    Attributes:
        path: the file or folder.
        format: its name, e.g. "onnx".
        metadata: what it says of itself, checked.
        runtime: what computes it.
    """

    path: Path
    format: str
    metadata: ExportMetadata
    runtime: Runtime

    @property
    def variant(self) -> str:
        """The model's name."""
        return self.metadata.variant

    @property
    def names(self) -> tuple[str, ...]:
        """The class names."""
        return self.metadata.names

    @property
    def imgsz(self) -> int:
        """Longest side of the images that it is meant for, pixels."""
        return max(self.metadata.size or (self.metadata.imgsz,))

    @property
    def device(self) -> torch.device:
        """Device that it is given its images on."""
        return self.runtime.device

    @property
    def dtype(self) -> torch.dtype:
        """float32, in whatever precision it computes."""
        return torch.float32

    @property
    def fixed_size(self) -> tuple[int, int] | None:
        """Height and width of all images that it takes, pixels."""
        return self.metadata.size

    @property
    def fixed_batch(self) -> int | None:
        """Images that its graph computes at once."""
        return self.metadata.batch

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on it, one per line."""
        own = self.metadata
        size = "images of any size" if own.size is None else f"images of {own.size[1]} x {own.size[0]} pixels"
        line = f"{self.path}: {self.variant} in {self.runtime.title}, {own.precision}, {size}."
        return (line,)

    @property
    def padding(self) -> int:
        """Grey of what is around a letterboxed image, 0 to 255."""
        return self.metadata.padding

    @property
    def suppression(self) -> Suppression | None:
        """The suppression within its graph."""
        own = self.metadata.nms
        return None if own is None else Suppression(own.conf, own.iou, own.max_det, own.agnostic)

    def __call__(self, images: Tensor) -> ExportPrediction:
        """Predict a batch, of any number of images.

        Raises:
            InputError: its graph does not give what an export of Lehr gives.
        """
        images = self.prepared(images)
        fixed = self.fixed_batch
        if fixed is None:
            return self._predict(images)
        parts = [self._predict_padded(images[i : i + fixed], fixed) for i in range(0, len(images), fixed)]
        return ExportPrediction(_stacked([part.boxes for part in parts]), _stacked([part.scores for part in parts]))

    def prepared(self, images: Tensor) -> Tensor:
        """Images of 0 to 1 in the range that the graph takes."""
        return images if self.metadata.scale == SCALE else images * (255 * self.metadata.scale)

    def _predict_padded(self, images: Tensor, batch: int) -> ExportPrediction:
        """Predict at most as many images as the graph takes, among others that are black."""
        count = len(images)
        found = self._predict(F.pad(images, (0, 0, 0, 0, 0, 0, 0, batch - count)))
        return ExportPrediction(found.boxes[:count], found.scores[:count])

    def _predict(self, images: Tensor) -> ExportPrediction:
        outputs = self.runtime(images.contiguous())
        try:
            if self.metadata.nms is None:
                boxes, scores = outputs
                return self._checked(boxes, scores, len(images))
            (detections,) = outputs
            return self._rows(detections, len(images))
        except (ValueError, IndexError, RuntimeError) as error:
            raise self._surprise(outputs, str(error)) from None

    def _checked(self, boxes: Tensor, scores: Tensor, batch: int) -> ExportPrediction:
        """Boxes and scores, if they have the shapes that they must have."""
        rows = boxes.shape[1]
        if boxes.shape != (batch, rows, 4) or scores.shape != (batch, rows, len(self.names)):
            raise ValueError(f"boxes {list(boxes.shape)} and scores {list(scores.shape)}")
        return ExportPrediction(boxes.float(), scores.float())

    def _rows(self, detections: Tensor, batch: int) -> ExportPrediction:
        """Detections of all images (found, 7) as rows of each, best first, each with the score of its one class."""
        if detections.ndim != 2 or detections.shape[1] != COLUMNS:
            raise ValueError(f"detections {list(detections.shape)}")
        image, classes = detections[:, 0].long(), detections[:, 6].long()
        counts = torch.bincount(image, minlength=batch)
        rows = max(1, int(counts.max()))
        rank = torch.arange(len(image), device=image.device) - (counts.cumsum(0) - counts)[image]
        boxes = detections.new_zeros(batch, rows, 4)
        scores = detections.new_zeros(batch, rows, len(self.names))
        boxes[image, rank] = detections[:, 1:5]
        scores[image, rank, classes] = detections[:, 5]
        return ExportPrediction(boxes.float(), scores.float())

    def _surprise(self, outputs: Sequence[Tensor], why: str) -> InputError:
        shapes = ", ".join(str(list(output.shape)) for output in outputs)
        return InputError(
            f"{self.path}: gives outputs of the shapes {shapes}, which are none of {len(self.names)} classes as its "
            f"metadata say ({why}). Export it again."
        )

    def moved(self, path: Path) -> ExportedNetwork:
        """The same, where it lies elsewhere by now."""
        return replace(self, path=path)


def _stacked(parts: Sequence[Tensor]) -> Tensor:
    """Parts of a batch (images, rows, columns) as one, padded to the most rows."""
    rows = max(part.shape[1] for part in parts)
    return torch.cat([F.pad(part, (0, 0, 0, rows - part.shape[1])) for part in parts])
