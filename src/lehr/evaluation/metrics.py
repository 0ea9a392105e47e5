"""From detections to numbers: COCO's twelve by a compiled evaluator, and precision, recall and F1.

The twelve numbers are those of the COCO evaluation (Lin et al., 2014): average precision over IoU 0.50 to 0.95, at
0.50 and 0.75, by object size, and average recall. Of each class COCO counts the 100 best detections in an image, so in
denser images they stay below 1 however good the detector is; `map_max_det` and `map50_max_det` are the same averages
over all detections that suppression keeps, and fitness is made of these. Precision, recall and F1 are at IoU 0.5 and at
the one confidence that gives the best mean F1 over the classes.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

from lehr.detections.familiar_names import missing_attribute
from lehr.evaluation.ground_truth import ground_truth
from lehr.evaluation.matching import ClassMatches, MatchRecord, match, of_all_sizes, record_of
from lehr.evaluation.presentation import OF_METRICS, describe_metrics, metrics_table
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample

CONFIDENCES = np.linspace(0, 1, 1001)
"""Confidences at which precision and recall are compared."""
COCO_MAX_DET = 100
"""Detections of a class in an image that COCO's average precision counts."""
QUIET_CONFIDENCE = 0.25
"""Confidence from which false positives count where no object says which is best: that of `lehr predict`."""


@dataclass(frozen=True, slots=True)
class ClassMetrics:
    """Numbers of one class; None if the split has no object of it."""

    map: float | None
    map50: float | None
    map_max_det: float | None
    map50_max_det: float | None
    precision: float | None
    recall: float | None
    f1: float | None
    instances: int
    false_positives: int | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Metrics:
    """Numbers of an evaluation, each 0 to 1; None if there is no object to measure on.

    Where the split has no object at all, precision is 0 if there is a false positive, and else None.

    Attributes:
        map: average precision over IoU 0.50 to 0.95, of the 100 best detections of each class in an image.
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
        map_max_det: as `map`, of all detections that were kept.
        map50_max_det: as `map50`, of all detections that were kept.
        max_det: most detections kept of an image.
        precision: mean over the classes at `confidence`, IoU 0.5.
        recall: likewise.
        f1: likewise.
        confidence: where the mean F1 is best; `QUIET_CONFIDENCE` if there is no object.
        images: images evaluated.
        instances: objects in them, without those that are ignored.
        classes: the numbers of each class, by name.
        false_positives: detections from `confidence` on that match no object at IoU 0.5; None in results from before.
        images_with_false_positives: images that have one.
        false_positives_per_image: the mean over all images.
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
    map_max_det: float | None
    map50_max_det: float | None
    max_det: int
    precision: float | None
    recall: float | None
    f1: float | None
    confidence: float
    images: int
    instances: int
    classes: dict[str, ClassMetrics]
    false_positives: int | None = None
    images_with_false_positives: int | None = None
    false_positives_per_image: float | None = None

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> Metrics:
        """Metrics from what `dataclasses.asdict` made of them, of runs too that had only COCO's averages."""
        classes = {name: ClassMetrics(**_with_max_det(values)) for name, values in numbers["classes"].items()}
        return cls(**{"max_det": COCO_MAX_DET, **_with_max_det(numbers), "classes": classes})

    @property
    def fitness(self) -> float:
        """Fitness that `best` maximizes: 0.1 mAP50 + 0.9 mAP50-95 of all that was kept; 0 if there is no object."""
        return 0.1 * (self.map50_max_det or 0.0) + 0.9 * (self.map_max_det or 0.0)

    @property
    def measured_fitness(self) -> float | None:
        """The same; None if there is no object."""
        return self.fitness if self.instances else None

    def __repr__(self) -> str:
        return f"Metrics({describe_metrics(self)})"

    def _repr_html_(self) -> str:
        return metrics_table(describe_metrics(self), self)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            raise missing_attribute(type(self), name, OF_METRICS)


def _with_max_det(numbers: Mapping[str, Any]) -> dict[str, Any]:
    """Numbers with COCO's averages in place of those of all that was kept, where these are missing."""
    return {"map_max_det": numbers["map"], "map50_max_det": numbers["map50"], **numbers}


def evaluate_detections(
    samples: Sequence[Sample], names: Sequence[str], detections: NDArray[np.float64], max_det: int = 300
) -> Metrics:
    """The numbers of detections on a split.

    Args:
        samples: the split; their boxes are the truth, but for difficult objects, which are ignored, as are ignored
            regions: they are not instances, and a detection that matches only them counts neither as right nor wrong.
        names: class names.
        detections: (n, 7) rows of image index in `samples`, x1, y1, x2, y2 in its pixels, score, class.
        max_det: most detections kept of an image.
    """
    return measure(samples, names, detections, max_det)[0]


def measure(
    samples: Sequence[Sample],
    names: Sequence[str],
    detections: NDArray[np.float64],
    max_det: int = 300,
    record: bool = False,
) -> tuple[Metrics, MatchRecord | None]:
    """The numbers of detections on a split, and if that is asked for what they say of each image.

    Args:
        samples: as in `evaluate_detections`.
        names: class names.
        detections: (n, 7), as there.
        max_det: most detections kept of an image.
        record: keep how the detections of each image match; matching at ten IoUs takes longer than at one.
    """
    truth, found = as_coco(samples, names, detections)
    full = _evaluate(truth, found)
    average = average_precisions(full)
    twelve = [None if value < 0 else float(value) for value in full.stats]
    average_kept, kept = average, twelve[:2]
    most = most_of_class(detections, len(names))
    if min(most, max_det) > COCO_MAX_DET:  # else COCO's cap cuts nothing off, and nothing is matched again
        average_kept = average_precisions(_evaluate_kept(truth, found, max_det))
        kept = [_mean(average_kept), _mean(average_kept[:1])]
    instances = np.concatenate([np.zeros(0, np.int64), *(sample.instance_classes for sample in samples)])
    counts = np.bincount(instances, minlength=len(names))
    every = match(truth, found, len(names), most, ious=() if record else [0.5])
    matches = [each.counted() for each in every]
    precision, recall = curves_of(matches, counts)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    present = counts > 0
    best = int(f1[present].mean(0).argmax()) if present.any() else quiet_confidence()
    wrong = [each.false_positives(float(CONFIDENCES[best])) for each in matches]
    total, images = sum(map(len, wrong)), len(np.unique(np.concatenate([np.zeros(0, np.int64), *wrong])))
    at_best = np.stack((precision, recall, f1))[:, :, best]  # (3, classes)
    means = [float(values[present].mean()) if present.any() else None for values in at_best]
    metrics = Metrics(
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
        map_max_det=kept[0],
        map50_max_det=kept[1],
        max_det=max_det,
        precision=means[0] if present.any() or not total else 0.0,
        recall=means[1],
        f1=means[2],
        confidence=float(CONFIDENCES[best]),
        images=len(samples),
        instances=int(counts.sum()),
        classes=_by_class(names, counts, average, average_kept, at_best, [len(each) for each in wrong]),
        false_positives=total,
        images_with_false_positives=images,
        false_positives_per_image=total / len(samples) if samples else 0.0,
    )
    images_of = np.repeat(np.arange(len(samples)), [len(sample.instance_classes) for sample in samples])
    kept_record = record_of(every, len(samples), np.stack((images_of, instances), 1)) if record else None
    return metrics, kept_record


def quiet_confidence() -> int:
    """Return the index of the confidence from which false positives count where no object says which is best."""
    return int(np.searchsorted(CONFIDENCES, QUIET_CONFIDENCE))


def _by_class(
    names: Sequence[str],
    counts: NDArray[np.int64],
    average: NDArray[np.float64],
    average_kept: NDArray[np.float64],
    at_best: NDArray[np.float64],
    false_positives: Sequence[int],
) -> dict[str, ClassMetrics]:
    """Numbers of each class, by name.

    Args:
        names: class names.
        counts: objects of each class.
        average: COCO's precision (IoUs, recalls, classes).
        average_kept: the same of all detections that were kept.
        at_best: precision, recall and F1 (3, classes) at the best confidence.
        false_positives: of each class, there.
    """
    classes = {}
    for class_id, name in enumerate(names):
        averages = [
            values for each in (average, average_kept) for values in (each[:, :, class_id], each[0, :, class_id])
        ]
        numbers = [*(values.mean() for values in averages), *at_best[:, class_id]]
        coco, coco50, kept, kept50, precision, recall, f1 = (
            float(number) if counts[class_id] > 0 else None for number in numbers
        )
        classes[name] = ClassMetrics(
            coco, coco50, kept, kept50, precision, recall, f1, int(counts[class_id]), false_positives[class_id]
        )
    return classes


def as_coco(samples: Sequence[Sample], names: Sequence[str], detections: NDArray[np.float64]) -> tuple[COCO, COCO]:
    """Truth and detections in the evaluator's form; image and class numbers from 1."""
    images = [{"id": i, "width": sample.width, "height": sample.height} for i, sample in enumerate(samples, 1)]
    categories = [{"id": i, "name": one_line(name)} for i, name in enumerate(names, 1)]  # which takes no half letters
    known = ground_truth(samples, detections)
    truth = COCO.from_arrays(
        images,
        categories,
        known.images + 1,
        known.classes + 1,
        _xywh(known.boxes),
        area=known.areas,
        iscrowd=known.crowd,
    )
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


def _evaluate_kept(truth: COCO, found: COCO, max_det: int) -> COCOeval:
    """The average precision of objects of all sizes, with as many detections of a class in an image as are kept."""
    evaluation = of_all_sizes(truth, found, max_det)
    evaluation.evaluate()
    evaluation.accumulate()
    return evaluation


def average_precisions(evaluation: COCOeval) -> NDArray[np.float64]:
    """Precision (IoUs, recalls, classes) of objects of all sizes, with most detections; -1 for classes without any."""
    evaluated = evaluation.eval or {}
    return np.asarray(evaluated["precision"])[:, :, :, 0, -1]


def _mean(average: NDArray[np.float64]) -> float | None:
    """The mean over the classes that have objects; None if none has."""
    measured = average[average > -1]
    return float(measured.mean()) if len(measured) else None


def most_of_class(detections: NDArray[np.float64], classes: int) -> int:
    """The most detections of one class in one image."""
    groups = detections[:, 0].astype(np.int64) * classes + detections[:, 6].astype(np.int64)
    return int(np.bincount(groups).max()) if len(groups) else 0


def curves_of(
    matches: Sequence[ClassMatches], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Precision and recall (classes, confidences) at IoU 0.5, every detection counted that is not ignored.

    Without detections both are 0.

    Args:
        matches: the detections of each class.
        counts: objects of each class.
    """
    precision = np.zeros((len(counts), len(CONFIDENCES)))
    recall = np.zeros((len(counts), len(CONFIDENCES)))
    for class_id, each in enumerate(matches):
        if not len(each.scores):
            continue
        hits = np.concatenate(([0], np.cumsum(each.hits[0])))
        above = len(each.scores) - np.searchsorted(each.scores[::-1], CONFIDENCES, side="left")
        precision[class_id] = hits[above] / np.maximum(above, 1)
        recall[class_id] = hits[above] / max(int(counts[class_id]), 1)
    return precision, recall
