"""Quality of detections: precision against recall and confidence, by class, size and IoU, and calibration.

All detections that were kept count, so the area under a curve of precision and recall is the evaluator's average
precision over these (`map_max_det`, `map50_max_det`): COCO's mean over 101 recalls from 0 to 1 (Lin et al., 2014).
Precision, recall and F1 at a confidence are at an IoU of 0.5, as in all of Lehr's tables.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.analysis.calibration import Calibration, calibrate
from lehr.analysis.mistakes import Mistakes
from lehr.analysis.record import DetectionRecord
from lehr.evaluation.matching import ClassMatches, evaluation_of
from lehr.evaluation.metrics import CONFIDENCES, as_coco, curves_of, most_of_class, quiet_confidence
from lehr.sample import Sample

IOUS = tuple(round(0.5 + 0.05 * step, 2) for step in range(10))
RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO takes the precision."""
SMALL, MEDIUM = 32**2, 96**2
"""Area, square pixels, from which an object is no longer small, or medium."""
RANGES = {"all": (0, 1e10), "small": (0, SMALL), "medium": (SMALL, MEDIUM), "large": (MEDIUM, 1e10)}
"""COCO's ranges of areas."""


@dataclass(frozen=True, slots=True)
class SizeQuality:
    """Quality on the objects of a size; None if there is none.

    Attributes:
        size: small, medium or large, as COCO has it.
        instances: how many objects there are.
        map: average precision over IoU 0.50 to 0.95, the mean over the classes.
        map50: at IoU 0.50.
        recall: share of the objects that are found, the mean over these IoUs and the classes.
    """

    size: str
    instances: int
    map: float | None
    map50: float | None
    recall: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Quality:
    """Quality of detections on a split.

    Attributes:
        names: the class names.
        images: how many were evaluated.
        instances: int64 (classes,), objects that count.
        precision: float64 (IoUs, 101 recalls, classes), the best precision at a recall or above; nan for a class
            without objects.
        precision_at: float64 (classes, confidences), at `CONFIDENCES`; 0 without detections.
        recall_at: likewise.
        best: index of the confidence at which the mean F1 of the classes is best; without objects that of `lehr
            predict`.
        sizes: small, medium and large objects.
        calibration: scores against the share of detections that are right.
    """

    names: tuple[str, ...]
    images: int
    instances: NDArray[np.int64]
    precision: NDArray[np.float64]
    precision_at: NDArray[np.float64]
    recall_at: NDArray[np.float64]
    best: int
    sizes: tuple[SizeQuality, ...]
    calibration: Calibration

    @property
    def present(self) -> NDArray[np.int64]:
        """The classes that have objects."""
        return np.flatnonzero(self.instances)

    @property
    def confidence(self) -> float:
        """The confidence at which the mean F1 of the classes is best."""
        return float(CONFIDENCES[self.best])

    @property
    def map(self) -> float | None:
        """Average precision over IoU 0.50 to 0.95, the mean over the classes; None without objects."""
        return _mean(self.average_precision)

    @property
    def map50(self) -> float | None:
        """Average precision at an IoU of 0.5, the mean over the classes; None without objects."""
        return _mean(self.average_precision[0])

    def at_best(self) -> tuple[float, float, float] | None:
        """Return precision, recall and F1 at `confidence`, the means over the classes; None without objects."""
        if not len(self.present):
            return None
        columns = (self.precision_at, self.recall_at, self.f1_at)
        precision, recall, f1 = (float(values[self.present, self.best].mean()) for values in columns)
        return precision, recall, f1

    @property
    def average_precision(self) -> NDArray[np.float64]:
        """Average precision of each IoU and class, float64 (IoUs, classes); nan for a class without objects."""
        return np.asarray(self.precision.mean(1))

    @property
    def f1_at(self) -> NDArray[np.float64]:
        """F1 of each class at each confidence, float64 (classes, confidences)."""
        return 2 * self.precision_at * self.recall_at / np.maximum(self.precision_at + self.recall_at, 1e-12)

    def mean_precision(self, iou: int) -> NDArray[np.float64]:
        """Return the mean over the classes with objects of the precision at each recall, (101,).

        Args:
            iou: index into `IOUS`.
        """
        return np.asarray(self.precision[iou][:, self.present].mean(1))

    def best_confidences(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return the confidence of each class at which its F1 is best, and that F1, (classes,) each."""
        f1 = self.f1_at
        return CONFIDENCES[f1.argmax(1)], f1.max(1)

    def as_dict(self) -> dict[str, Any]:
        """Everything by name, as JSON can hold it; None if there is no number."""
        confidences, best = self.best_confidences()
        average, f1 = self.average_precision, self.f1_at
        classes = [
            {
                "name": name,
                "instances": int(self.instances[index]),
                "average_precision": _numbers(average[:, index]),
                "precision": _numbers(self.precision[0, :, index]),
                "confidence_of_best_f1": float(confidences[index]) if self.instances[index] else None,
                "best_f1": float(best[index]) if self.instances[index] else None,
                "at_confidence": {
                    "precision": _numbers(self.precision_at[index, ::10]),
                    "recall": _numbers(self.recall_at[index, ::10]),
                    "f1": _numbers(f1[index, ::10]),
                },
            }
            for index, name in enumerate(self.names)
        ]
        return {
            "images": self.images,
            "instances": int(self.instances.sum()),
            "map_max_det": self.map,
            "map50_max_det": self.map50,
            "confidence": self.confidence,
            **dict(zip(("precision", "recall", "f1"), self.at_best() or (None,) * 3, strict=True)),
            "ious": list(IOUS),
            "recalls": _numbers(RECALLS),
            "confidences": _numbers(CONFIDENCES[::10]),
            "classes": classes,
            "sizes": [dataclasses.asdict(size) for size in self.sizes],
            "calibration": self.calibration.as_dict(self.names),
        }


def measure_quality(record: DetectionRecord, every: Mistakes) -> Quality:
    """Measure the quality of detections.

    Args:
        record: the detections and the objects.
        every: `classify(record, 0.0)`, mistakes whatever their score.
    """
    samples, names = record.samples, record.names
    classes = np.concatenate([np.zeros(0, np.int64), *(sample.instance_classes for sample in samples)])
    instances = np.bincount(classes, minlength=len(names))
    precision, recall = _average_precision(record)
    matches = _matches(record, every)
    precision_at, recall_at = curves_of(matches, instances)
    f1 = 2 * precision_at * recall_at / np.maximum(precision_at + recall_at, 1e-12)
    present = instances > 0
    best = int(f1[present].mean(0).argmax()) if present.any() else quiet_confidence()
    sizes = _by_size(record, precision, recall)
    return Quality(
        names, len(samples), instances, precision[..., 0], precision_at, recall_at, best, sizes, calibrate(matches)
    )


def _average_precision(record: DetectionRecord) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision (IoUs, recalls, classes, sizes) and recall (IoUs, classes, sizes), nan if there is no object."""
    truth, found = as_coco(record.samples, record.names, record.detections)
    most = min(most_of_class(record.detections, len(record.names)), record.max_det)
    evaluation = evaluation_of(truth, found, max(most, 1), tuple(RANGES.items()))
    evaluation.evaluate()
    evaluation.accumulate()
    evaluated = evaluation.eval or {}
    precision, recall = (np.array(evaluated[name], np.float64)[..., -1] for name in ("precision", "recall"))
    precision[precision < 0], recall[recall < 0] = np.nan, np.nan
    return precision, recall


def _matches(record: DetectionRecord, every: Mistakes) -> list[ClassMatches]:
    """The detections of each class that count, and which of them are right."""
    right, kept = np.zeros(len(record.detections), np.bool_), np.ones(len(record.detections), np.bool_)
    right[every.right[:, 0]], kept[every.ignored] = True, False
    scores, classes = record.detections[kept, 5], record.detections[kept, 6].astype(np.int64)
    images, right = record.detections[kept, 0].astype(np.int64) + 1, right[kept]
    order = np.lexsort((-scores, classes))
    ends = np.cumsum(np.bincount(classes, minlength=len(record.names)))[:-1]
    parts = zip(*(np.split(values[order], ends) for values in (scores, images, right)), strict=True)
    return [ClassMatches(each, at, hits[None], np.zeros((1, len(hits)), np.bool_)) for each, at, hits in parts]


def _by_size(
    record: DetectionRecord, precision: NDArray[np.float64], recall: NDArray[np.float64]
) -> tuple[SizeQuality, ...]:
    """Quality on small, medium and large objects.

    Args:
        record: the objects.
        precision: (IoUs, recalls, classes, ranges), nan if there is none.
        recall: (IoUs, classes, ranges), likewise.
    """
    areas = np.concatenate([np.zeros(0), *map(_areas, record.samples)])
    ranks = np.searchsorted((SMALL, MEDIUM), areas, "right")
    return tuple(
        SizeQuality(
            size,
            int((ranks == index).sum()),
            _mean(precision[:, :, :, index + 1]),
            _mean(precision[0, :, :, index + 1]),
            _mean(recall[:, :, index + 1]),
        )
        for index, size in enumerate(list(RANGES)[1:])
    )


def _areas(sample: Sample) -> NDArray[np.float64]:
    """Areas of the objects of an image that count, square pixels."""
    boxes = sample.counted().boxes.astype(np.float64)
    return np.asarray((boxes[:, 2:] - boxes[:, :2]).prod(1))


def _mean(values: NDArray[np.float64]) -> float | None:
    """The mean of what is a number; None if nothing is."""
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None


def _numbers(values: NDArray[np.float64]) -> list[float | None]:
    """Numbers as JSON has them, with six digits behind the point."""
    return [None if np.isnan(value) else round(value, 6) for value in values.tolist()]
