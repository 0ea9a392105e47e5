"""From detections to numbers: COCO's twelve by a compiled evaluator, and precision, recall and F1.

The twelve numbers are those of the COCO evaluation (Lin et al., 2014): average precision over IoU 0.50 to 0.95, at
0.50 and 0.75, by object size, and average recall. Precision, recall and F1 are at IoU 0.5 and at the one confidence
that gives the best mean F1 over the classes.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from lehr.sample import Sample

CONFIDENCES = np.linspace(0, 1, 1001)
"""Confidences at which precision and recall are compared."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Numbers of one class; None where the split has no object of it."""

    map: float | None
    map50: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    instances: int


@dataclass(frozen=True, slots=True)
class Metrics:
    """Numbers of an evaluation, each 0 to 1; None where there is no object to measure on.

    Attributes:
        map: average precision over IoU 0.50 to 0.95.
        map50: at IoU 0.50.
        map75: at IoU 0.75.
        map_small: of objects below 32x32 pixels.
        map_medium: of objects from there to 96x96 pixels.
        map_large: of objects above.
        recall_1: average recall with 1 detection an image.
        recall_10: with 10.
        recall_100: with 100.
        recall_small: with 100, of small objects.
        recall_medium: of medium objects.
        recall_large: of large objects.
        precision: mean over the classes at `confidence`, IoU 0.5.
        recall: likewise.
        f1: likewise.
        confidence: where the mean F1 is best.
        images: images evaluated.
        instances: objects in them.
        classes: the numbers of each class, by name.
    """

    map: float | None
    map50: float | None
    map75: float | None
    map_small: float | None
    map_medium: float | None
    map_large: float | None
    recall_1: float | None
    recall_10: float | None
    recall_100: float | None
    recall_small: float | None
    recall_medium: float | None
    recall_large: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    confidence: float
    images: int
    instances: int
    classes: dict[str, ClassMetrics]

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Metrics:
        """Metrics from what `dataclasses.asdict` made of them."""
        classes = {name: ClassMetrics(**values) for name, values in numbers["classes"].items()}
        return cls(**{**numbers, "classes": classes})

    @property
    def fitness(self) -> float:
        """Fitness that `best` maximizes: `0.1 mAP50 + 0.9 mAP50-95`; 0 where nothing can be measured."""
        return 0.1 * (self.map50 or 0.0) + 0.9 * (self.map or 0.0)


def evaluate_detections(samples: Sequence[Sample], names: Sequence[str], detections: NDArray[np.float64]) -> Metrics:
    """The numbers of detections on a split.

    Args:
        samples: the split; their boxes are the truth.
        names: class names.
        detections: (n, 7) rows of image index in `samples`, x1, y1, x2, y2 in its pixels, score, class.
    """
    truth, found = _as_coco(samples, names, detections)
    full = _evaluate(truth, found)
    evaluated = full.eval or {}
    average = np.asarray(evaluated["precision"])[:, :, :, 0, -1]  # (IoUs, recalls, classes), -1 where no objects
    counts = np.bincount(np.concatenate([np.zeros(0, np.int64), *(s.classes for s in samples)]), minlength=len(names))
    precision, recall = _curves(truth, found, counts)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    present = counts > 0
    best = int(f1[present].mean(0).argmax()) if present.any() else 0
    classes = {}
    for class_id, name in enumerate(names):
        there = bool(present[class_id])
        classes[name] = ClassMetrics(
            float(average[:, :, class_id].mean()) if there else None,
            float(average[0, :, class_id].mean()) if there else None,
            float(precision[class_id, best]) if there else None,
            float(recall[class_id, best]) if there else None,
            float(f1[class_id, best]) if there else None,
            int(counts[class_id]),
        )
    twelve = [None if value < 0 else float(value) for value in full.stats]
    means = [float(curve[present, best].mean()) if present.any() else None for curve in (precision, recall, f1)]
    return Metrics(
        map=twelve[0],
        map50=twelve[1],
        map75=twelve[2],
        map_small=twelve[3],
        map_medium=twelve[4],
        map_large=twelve[5],
        recall_1=twelve[6],
        recall_10=twelve[7],
        recall_100=twelve[8],
        recall_small=twelve[9],
        recall_medium=twelve[10],
        recall_large=twelve[11],
        precision=means[0],
        recall=means[1],
        f1=means[2],
        confidence=float(CONFIDENCES[best]),
        images=len(samples),
        instances=int(counts.sum()),
        classes=classes,
    )


def _as_coco(samples: Sequence[Sample], names: Sequence[str], detections: NDArray[np.float64]) -> tuple[COCO, COCO]:
    """Truth and detections in the evaluator's form; image and class numbers from 1."""
    images = [{"id": i, "width": sample.width, "height": sample.height} for i, sample in enumerate(samples, 1)]
    categories = [{"id": i, "name": name} for i, name in enumerate(names, 1)]
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(sample.boxes for sample in samples)]).astype(np.float64)
    classes = np.concatenate([np.zeros(0, np.int64), *(sample.classes for sample in samples)])
    of_image = np.repeat(np.arange(1, len(samples) + 1), [len(sample.classes) for sample in samples])
    truth = COCO.from_arrays(images, categories, of_image, classes + 1, _xywh(boxes))
    rows = np.concatenate(
        (detections[:, :1] + 1, _xywh(detections[:, 1:5]), detections[:, 5:6], detections[:, 6:7] + 1), 1
    )
    return truth, truth.load_res(rows)


def _xywh(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.concatenate((boxes[:, :2], boxes[:, 2:] - boxes[:, :2]), 1)


def _evaluate(truth: COCO, found: COCO) -> COCOeval:
    evaluation = COCOeval(truth, found, "bbox")
    with contextlib.redirect_stdout(io.StringIO()):  # it prints its table
        evaluation.run()
    return evaluation


def _curves(truth: COCO, found: COCO, counts: NDArray[np.int64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall (classes, confidences) at IoU 0.5, every detection counted."""
    evaluation = COCOeval(truth, found, "bbox")
    parameters = evaluation.params
    parameters.iou_thrs = [0.5]
    parameters.area_rng, parameters.area_rng_lbl = [[0, 1e10]], ["all"]
    parameters.max_dets = [1000]
    evaluation.params = parameters
    evaluation.evaluate()
    classes = len(counts)
    scores: list[list[NDArray[np.float64]]] = [[] for _ in range(classes)]
    matched: list[list[NDArray[np.bool_]]] = [[] for _ in range(classes)]
    for item in evaluation.eval_imgs:
        if item is not None:
            scores[item["category_id"] - 1].append(np.asarray(item["dtScores"], np.float64))
            matched[item["category_id"] - 1].append(np.asarray(item["dtMatched"], np.bool_).reshape(-1))
    precision = np.ones((classes, len(CONFIDENCES)))
    recall = np.zeros((classes, len(CONFIDENCES)))
    for class_id in range(classes):
        if not scores[class_id]:
            continue
        score, hit = np.concatenate(scores[class_id]), np.concatenate(matched[class_id])
        order = np.argsort(-score, kind="stable")
        hits = np.concatenate(([0], np.cumsum(hit[order])))
        above = len(score) - np.searchsorted(score[order][::-1], CONFIDENCES, side="left")
        precision[class_id] = np.where(above > 0, hits[above] / np.maximum(above, 1), 1.0)
        recall[class_id] = hits[above] / max(int(counts[class_id]), 1)
    return precision, recall
