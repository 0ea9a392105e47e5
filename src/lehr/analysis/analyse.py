"""Everything that the detections of a split say: quality, confusion, mistakes, and what fixing them would give."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lehr.analysis.confusion import Confusion, confuse
from lehr.analysis.gains import Gains, measure_gains
from lehr.analysis.mistakes import KINDS, Mistake, Mistakes, classify
from lehr.analysis.quality import Quality, measure_quality
from lehr.analysis.record import DetectionRecord
from lehr.sample import Sample


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """Analysis of the detections of a split.

    Attributes:
        record: the detections and the objects.
        quality: curves, sizes, calibration.
        mistakes: at the confidence of the best mean F1, IoU 0.5.
        confusion: at the same.
        gains: average precision that fixing mistakes would add; None without objects.
    """

    record: DetectionRecord
    quality: Quality
    mistakes: Mistakes
    confusion: Confusion
    gains: Gains | None

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, as JSON can hold it."""
        counts = self.mistakes.counts_by_class(len(self.record.names)).tolist()
        by_class = {
            name: dict(zip(map(str, KINDS), row, strict=True))
            for name, row in zip(self.record.names, counts, strict=True)
        }
        return {
            "quality": self.quality.as_dict(),
            "confusion": self.confusion.as_dict(),
            "mistakes": {
                "confidence": self.mistakes.confidence,
                "iou": self.mistakes.iou,
                "background": self.mistakes.background,
                "counts": {str(kind): count for kind, count in self.mistakes.counts().items()},
                "classes": by_class,
                "each": [self._as_dict(self.mistakes[index]) for index in range(len(self.mistakes))],
            },
            "gains": None if self.gains is None else self.gains.as_dict(),
        }

    def _as_dict(self, mistake: Mistake) -> dict[str, Any]:
        """A mistake by name."""
        image = self.record.samples[mistake.image]
        return {
            "image": str(image.path),
            "kind": str(mistake.kind),
            "class": self.record.names[mistake.class_id],
            "score": mistake.score,
            "xyxy": [round(side, 2) for side in mistake.box],
            "iou": round(mistake.iou, 4),
            "object": None if mistake.object is None else self._object(image, mistake.object),
        }

    def _object(self, image: Sample, index: int) -> dict[str, Any]:
        """An object of an image by name."""
        xyxy = [round(side, 2) for side in image.boxes[index].tolist()]
        return {"class": self.record.names[int(image.classes[index])], "xyxy": xyxy}


def analyse(record: DetectionRecord) -> Analysis:
    """Analyse the detections of a split.

    Args:
        record: the detections and the objects.
    """
    every = classify(record, 0.0).without_mistakes()  # of a million with next to no confidence
    quality = measure_quality(record, every)
    gains = measure_gains(record, every.ignored, every.iou, every.background)
    mistakes = classify(record, quality.confidence)
    return Analysis(record, quality, mistakes, confuse(record, mistakes), gains)
