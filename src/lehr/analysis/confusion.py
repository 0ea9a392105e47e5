"""Confusion matrix: which class was detected where which one is, by the compiled evaluator.

In each image the detections from a confidence on, the best first, take the free object that they overlap most, of
whatever class. Those without an object are in the last row, objects without a detection in the last column. What the
evaluation ignores is not counted.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from hotcoco import COCOeval
from numpy.typing import NDArray

from lehr.analysis.mistakes import Mistakes
from lehr.analysis.record import DetectionRecord
from lehr.evaluation.metrics import as_coco


@dataclass(frozen=True, slots=True, eq=False)
class Confusion:
    """A confusion matrix.

    Attributes:
        names: the class names.
        counts: int64 (classes + 1, classes + 1), class of the object by class of the detection; the last row are
            detections without an object, the last column objects without a detection.
        confidence: lowest score of the detections.
        iou: overlap from which a detection takes an object.
    """

    names: tuple[str, ...]
    counts: NDArray[np.int64]
    confidence: float
    iou: float

    @property
    def shares(self) -> NDArray[np.float64]:
        """Counts as shares of their rows, 0 to 1; nan in a row of nothing."""
        with np.errstate(invalid="ignore"):
            return np.asarray(self.counts / self.counts.sum(1, keepdims=True))

    def confused(self) -> list[tuple[int, int, int]]:
        """Return object's class, detection's class and count of the classes taken for one another, most first."""
        counts = self.counts[:-1, :-1].copy()
        np.fill_diagonal(counts, 0)
        rows, columns = np.nonzero(counts)
        order = np.argsort(-counts[rows, columns], kind="stable")
        return [(int(rows[i]), int(columns[i]), int(counts[rows[i], columns[i]])) for i in order]

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, as JSON can hold it."""
        return {"confidence": self.confidence, "iou": self.iou, "counts": self.counts.tolist()}


def confuse(record: DetectionRecord, mistakes: Mistakes) -> Confusion:
    """Count which class was detected where which one is.

    Args:
        record: the detections and the objects.
        mistakes: of the record, whose confidence and IoU hold here too.
    """
    counted = without_ignored(record, mistakes.ignored).above(mistakes.confidence)
    evaluation = COCOeval(*as_coco(counted.samples, counted.names, counted.detections), "bbox")
    found = evaluation.confusion_matrix(iou_thr=mistakes.iou, max_det=max(len(counted.detections), 1))
    return Confusion(record.names, np.asarray(found["matrix"], np.int64), mistakes.confidence, mistakes.iou)


def without_ignored(record: DetectionRecord, ignored: NDArray[np.int64]) -> DetectionRecord:
    """Return the record without difficult objects, ignored regions, and the detections that belong to these.

    Args:
        record: the detections and the objects.
        ignored: int64 (k,), rows of these detections.
    """
    samples = tuple(sample.counted() for sample in record.samples)
    detections = np.delete(record.detections, ignored, 0) if len(ignored) else record.detections
    return DetectionRecord(record.names, samples, detections, record.max_det, record.epoch)
