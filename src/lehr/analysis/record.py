"""The detections of a model on a split, together with the objects there: curves, mistakes and suspects are made from
these."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from lehr.sample import Sample

if TYPE_CHECKING:  # a page of a run does without what evaluates models, which takes 180 MiB
    from lehr.evaluation.evaluator import Evaluation


@dataclass(frozen=True, slots=True, eq=False)
class DetectionRecord:
    """Objects and detections of a split.

    Attributes:
        names: the class names.
        samples: the images that were evaluated and their objects, in the order of the split.
        detections: float64 (n, 7): index of the image, x1, y1, x2, y2 in the image's own pixels, score, class.
        max_det: most detections per image.
        epoch: the epoch of the weights, from 1 as in results.csv, 0 for the start of a run; None for weights of a file.
    """

    names: tuple[str, ...]
    samples: tuple[Sample, ...]
    detections: NDArray[np.float64]
    max_det: int = 300
    epoch: int | None = None

    def above(self, confidence: float) -> DetectionRecord:
        """Return the record with the detections of a score or above.

        Args:
            confidence: the lowest score, 0 to 1.
        """
        kept = self.detections[self.detections[:, 5] >= confidence]
        return DetectionRecord(self.names, self.samples, kept, self.max_det, self.epoch)


def make_record(evaluation: Evaluation, epoch: int | None = None) -> DetectionRecord:
    """Make the record of an evaluation, e.g. `make_record(Detector.load(weights).val(data, split="val"))`.

    Args:
        evaluation: of rank 0, which alone has the detections of all processes.
        epoch: that of the weights, from 1; None for weights of a file.

    Raises:
        ValueError: the evaluation is that of another rank.
    """
    if evaluation.detections is None:
        raise ValueError("rank 0 alone has the detections of an evaluation")
    metrics = evaluation.metrics
    return DetectionRecord(tuple(metrics.classes), evaluation.samples, evaluation.detections, metrics.max_det, epoch)
