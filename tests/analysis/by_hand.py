"""Mistakes and confusions the slow obvious way: one detection after the other, by the words of the definitions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from lehr.analysis.record import DetectionRecord
from lehr.sample import Sample


def iou_of(a: Iterable[float], b: Iterable[float], *, crowd: bool = False) -> float:
    ax1, ay1, ax2, ay2 = map(float, a)
    bx1, by1, bx2, by2 = map(float, b)
    inside = max(0.0, min(ax2, bx2) - max(ax1, bx1)) * max(0.0, min(ay2, by2) - max(ay1, by1))
    area = (ax2 - ax1) * (ay2 - ay1)
    return inside / (area if crowd else area + (bx2 - bx1) * (by2 - by1) - inside)


@dataclass
class Found:
    """What became of the detections and objects of a split."""

    mistakes: set[tuple[str, int, int, int, int]] = field(default_factory=set)
    """Kind, image, row of the detection, index of the object, row of the detection instead; -1 for none."""
    right: set[tuple[int, int]] = field(default_factory=set)
    ignored: set[int] = field(default_factory=set)


def classify_by_hand(record: DetectionRecord, confidence: float, iou: float = 0.5, background: float = 0.1) -> Found:
    found = Found()
    for image, sample in enumerate(record.samples):
        rows = [row for row, each in enumerate(record.detections) if each[0] == image and each[5] >= confidence]
        rows.sort(key=lambda row: -record.detections[row][5])
        _of_image(record, image, sample, rows, iou, background, found)
    return found


def _of_image(
    record: DetectionRecord, image: int, sample: Sample, rows: list[int], iou: float, background: float, found: Found
) -> None:
    hard = [] if sample.difficult is None else np.flatnonzero(sample.difficult).tolist()
    objects = [index for index in range(len(sample.classes)) if index not in hard]
    taken: dict[int, int] = {}
    wrong = []
    for row in rows:
        box, class_id = record.detections[row][1:5], record.detections[row][6]
        own = [index for index in objects if sample.classes[index] == class_id and index not in taken]
        best = max(own, key=lambda index: iou_of(box, sample.boxes[index]), default=None)
        if best is not None and iou_of(box, sample.boxes[best]) >= iou:
            taken[best] = row
            found.right.add((row, best))
            continue
        regions = [(sample.boxes[index], sample.classes[index], False) for index in hard]
        regions += list(zip(sample.ignored.boxes, sample.ignored.classes, sample.ignored.crowd.tolist(), strict=True))
        if any(c == class_id and iou_of(box, region, crowd=crowd) >= iou for region, c, crowd in regions):
            found.ignored.add(row)
        else:
            wrong.append(row)
    concerned = set()
    for row in wrong:
        box, class_id = record.detections[row][1:5], record.detections[row][6]
        own = {i: iou_of(box, sample.boxes[i]) for i in objects if sample.classes[i] == class_id}
        other = {i: iou_of(box, sample.boxes[i]) for i in objects if sample.classes[i] != class_id}
        own_best, other_best = max(own, key=own.get, default=-1), max(other, key=other.get, default=-1)  # type: ignore[arg-type]
        own_iou, other_iou = own.get(own_best, 0.0), other.get(other_best, 0.0)
        if background <= own_iou < iou:
            found.mistakes.add(("localisation", image, row, own_best, -1))
            concerned.add(own_best)
        elif other_iou >= iou:
            found.mistakes.add(("class", image, row, other_best, -1))
            concerned.add(other_best)
        elif own_iou >= iou:
            found.mistakes.add(("duplicate", image, row, own_best, taken[own_best]))
        elif max(own_iou, other_iou) <= background:
            found.mistakes.add(("background", image, row, -1, -1))
        else:
            found.mistakes.add(("both", image, row, other_best, -1))
    for index in objects:
        if index not in taken and index not in concerned:
            found.mistakes.add(("missed", image, -1, index, -1))


def confuse_by_hand(record: DetectionRecord, confidence: float, iou: float = 0.5) -> np.ndarray:
    """Counts (classes + 1, classes + 1), truth by detection: any class, the best detection first."""
    ignored = classify_by_hand(record, confidence, iou).ignored
    none = len(record.names)
    counts = np.zeros((none + 1, none + 1), int)
    for image, sample in enumerate(record.samples):
        rows = [row for row, each in enumerate(record.detections) if each[0] == image and each[5] >= confidence]
        hard = np.zeros(len(sample.classes), bool) if sample.difficult is None else sample.difficult
        free = np.flatnonzero(~hard).tolist()
        for row in sorted(set(rows) - ignored, key=lambda row: (-record.detections[row][5], row)):
            box, class_id = record.detections[row][1:5], int(record.detections[row][6])
            best = max(free, key=lambda index: iou_of(box, sample.boxes[index]), default=None)
            if best is not None and iou_of(box, sample.boxes[best]) >= iou:
                free.remove(best)
                counts[sample.classes[best], class_id] += 1
            else:
                counts[none, class_id] += 1
        for index in free:
            counts[sample.classes[index], none] += 1
    return counts
