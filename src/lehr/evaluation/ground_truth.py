"""The truth that detections are compared with: the objects of a split, and what is ignored in it.

A crowd region is COCO's (Lin et al., 2014): a detection belongs to it by the share of the detection that is inside,
and any number may. A difficult object is VOC's (Everingham et al., 2010): a detection belongs to it by IoU, and any
number may. A detection that matches no object but belongs to either is neither right nor wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.sample import Ignored, Sample

MIN_IOU = 0.5 - 1e-6
"""Below the lowest IoU that is evaluated, by more than rounding."""
NO_SIZE = 1e11
"""Area beyond all of COCO's ranges of sizes, square pixels: the evaluator ignores an object of it."""


@dataclass(frozen=True, slots=True)
class GroundTruth:
    """The objects of a split and its ignored regions, as columns.

    Attributes:
        images: int64 (n,), index of the image in the split.
        classes: int64 (n,).
        boxes: float64 (n, 4), xyxy, pixels.
        areas: float64 (n,), square pixels; `NO_SIZE` for what is ignored by IoU.
        crowd: bool (n,), crowd regions.
    """

    images: NDArray[np.int64]
    classes: NDArray[np.int64]
    boxes: NDArray[np.float64]
    areas: NDArray[np.float64]
    crowd: NDArray[np.bool_]


def ground_truth(samples: Sequence[Sample], detections: NDArray[np.float64]) -> GroundTruth:
    """Put together what detections are compared with.

    The evaluator matches an ignored object once. So that all detections that belong to it are ignored, it is repeated
    there as often as there are detections of its class near it.

    Args:
        samples: the split.
        detections: (n, 7) rows of image index in `samples`, x1, y1, x2, y2 in its pixels, score, class.
    """
    images = np.repeat(np.arange(len(samples)), [len(sample.classes) for sample in samples])
    classes = np.concatenate([np.zeros(0, np.int64), *(sample.classes for sample in samples)])
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(sample.boxes for sample in samples)]).astype(np.float64)
    areas = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    objects = GroundTruth(images, classes, boxes, areas, np.zeros(len(classes), np.bool_))
    if all(sample.difficult is None and not len(sample.ignored.classes) for sample in samples):
        return objects
    difficult = np.concatenate([_difficult(sample) for sample in samples])
    ignored = _ignored(samples)
    crowds, singles = _chosen(ignored, ignored.crowd), _chosen(ignored, ~ignored.crowd)
    singles = _joined(_chosen(objects, difficult), singles)
    singles = _chosen(singles, np.repeat(np.arange(len(singles.images)), _near(singles, detections)))
    singles.areas.fill(NO_SIZE)
    return _joined(_chosen(objects, ~difficult), crowds, singles)


def _difficult(sample: Sample) -> NDArray[np.bool_]:
    return np.zeros(len(sample.classes), np.bool_) if sample.difficult is None else sample.difficult


def _ignored(samples: Sequence[Sample]) -> GroundTruth:
    """The ignored regions of a split."""
    regions: list[Ignored] = [sample.ignored for sample in samples]
    boxes = np.concatenate([region.boxes for region in regions]).astype(np.float64)
    return GroundTruth(
        np.repeat(np.arange(len(samples)), [len(region.classes) for region in regions]),
        np.concatenate([region.classes for region in regions]),
        boxes,
        (boxes[:, 2:] - boxes[:, :2]).prod(1),
        np.concatenate([region.crowd for region in regions]),
    )


def _chosen(truth: GroundTruth, rows: NDArray[np.bool_] | NDArray[np.int64]) -> GroundTruth:
    """Rows of the truth, by mask or by index."""
    return GroundTruth(truth.images[rows], truth.classes[rows], truth.boxes[rows], truth.areas[rows], truth.crowd[rows])


def _joined(*parts: GroundTruth) -> GroundTruth:
    return GroundTruth(
        np.concatenate([part.images for part in parts]),
        np.concatenate([part.classes for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.areas for part in parts]),
        np.concatenate([part.crowd for part in parts]),
    )


def _near(truth: GroundTruth, detections: NDArray[np.float64]) -> NDArray[np.int64]:
    """Count the detections of the same image and class that overlap each object by the lowest IoU or more, (n,)."""
    classes = int(max(truth.classes.max(initial=0), detections[:, 6].max(initial=0))) + 1
    group = detections[:, 0].astype(np.int64) * classes + detections[:, 6].astype(np.int64)
    order = np.argsort(group, kind="stable")
    boxes, group = detections[order, 1:5], group[order]
    own = truth.images * classes + truth.classes
    starts, ends = np.searchsorted(group, own, "left"), np.searchsorted(group, own, "right")
    counts = np.zeros(len(own), np.int64)
    for index, (start, end) in enumerate(zip(starts.tolist(), ends.tolist(), strict=True)):
        counts[index] = (_iou(boxes[start:end], truth.boxes[index]) >= MIN_IOU).sum()
    return counts


def _iou(boxes: NDArray[np.float64], box: NDArray[np.float64]) -> NDArray[np.float64]:
    """IoU (n,) of boxes (n, 4) with one box (4,), xyxy."""
    sides = np.clip(np.minimum(boxes[:, 2:], box[2:]) - np.maximum(boxes[:, :2], box[:2]), 0, None)
    intersection = sides.prod(1)
    union = (boxes[:, 2:] - boxes[:, :2]).prod(1) + (box[2:] - box[:2]).prod() - intersection
    return np.asarray(intersection / np.maximum(union, 1e-12), np.float64)
