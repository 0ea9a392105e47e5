"""Mistakes of a detector, one by one: false positives and missed objects, each with its kind and what it concerns.

The kinds are those of TIDE (Bolya et al., "TIDE: A General Toolbox for Identifying Object Detection Errors", ECCV
2020), asked in the order of its authors' package. From the confidence on, detections take an object of their class
each, the best first; one that gets none is, by its overlaps with the objects of its image,

1. localisation: with one of its class from `background` to below `iou`;
2. class: with one of another class `iou` or more;
3. duplicate: with one of its class `iou` or more, which a better detection has;
4. background: at most `background` with all;
5. both: anything else, so the overlap with one of another class lies between the two.

An object that no detection took is missed, unless a mistake of localisation or class concerns it: it would be found if
that were fixed. What belongs to difficult objects and ignored regions is not a mistake, as in all of Lehr's numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.analysis.pairs import Regions, match_greedily, overlaps, pair, regions_of, shares
from lehr.analysis.record import DetectionRecord


class Kind(StrEnum):
    """Kind of a mistake."""

    LOCALISATION = "localisation"
    CLASS = "class"
    BOTH = "both"
    DUPLICATE = "duplicate"
    BACKGROUND = "background"
    MISSED = "missed"


KINDS = tuple(Kind)
MEANINGS: Mapping[Kind, str] = {
    Kind.LOCALISATION: "right class, but the box fits too badly",
    Kind.CLASS: "the box fits, but the class is another",
    Kind.BOTH: "another class, and the box fits badly",
    Kind.DUPLICATE: "an object that a better detection has already found",
    Kind.BACKGROUND: "nothing labelled is there",
    Kind.MISSED: "an object without a detection",
}
"""Each kind in words."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """One mistake.

    Attributes:
        kind: its kind.
        image: index of the image in the record's samples.
        box: xyxy, pixels: of the detection, or of the missed object.
        class_id: class of the detection, or of the missed object.
        score: of the detection; None for a missed object.
        detection: row of the record's detections; None for a missed object.
        object: index among the boxes of the sample of the object that it concerns; None for background.
        instead: row of the detection that has the object, of a duplicate; else None.
        iou: overlap with the object; 0 if there is none.
    """

    kind: Kind
    image: int
    box: tuple[float, float, float, float]
    class_id: int
    score: float | None
    detection: int | None
    object: int | None
    instead: int | None
    iou: float


@dataclass(frozen=True, slots=True, eq=False)
class Mistakes:
    """Mistakes of a detector on a split as columns, by image: false positives by descending score, then missed objects.

    Attributes:
        confidence: lowest score of the detections.
        iou: overlap from which a detection is right.
        background: overlap up to which there is nothing.
        kinds: int8 (n,), index into `KINDS`.
        images: int64 (n,), index of the image.
        boxes: float64 (n, 4), xyxy, pixels: of the detection, or of the missed object.
        classes: int64 (n,), likewise.
        scores: float64 (n,); nan for missed objects.
        detections: int64 (n,), row of the record's detections; -1 for missed objects.
        objects: int64 (n,), index among the boxes of the sample of the object that it concerns; -1 for background.
        instead: int64 (n,), row of the detection that has the object, of a duplicate; else -1.
        ious: float64 (n,), overlap with the object.
        right: int64 (m, 2), rows of the right detections, and the index of each one's object among those of its image.
        ignored: int64 (k,), rows of the detections that count neither as right nor as wrong.
    """

    confidence: float
    iou: float
    background: float
    kinds: NDArray[np.int8]
    images: NDArray[np.int64]
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    scores: NDArray[np.float64]
    detections: NDArray[np.int64]
    objects: NDArray[np.int64]
    instead: NDArray[np.int64]
    ious: NDArray[np.float64]
    right: NDArray[np.int64]
    ignored: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.kinds)

    def without_mistakes(self) -> Mistakes:
        """Return what was right and what is ignored alone, so that the memory of the mistakes is free again."""
        return replace(self, **{name: getattr(self, name)[:0].copy() for name in COLUMNS[:-2]})

    def of_image(self, image: int) -> list[Mistake]:
        """Return the mistakes of an image."""
        start, end = np.searchsorted(self.images, (image, image + 1)).tolist()
        return [self[index] for index in range(start, end)]

    def __getitem__(self, index: int) -> Mistake:
        detection, concerned, instead = (
            None if (value := int(column[index])) < 0 else value
            for column in (self.detections, self.objects, self.instead)
        )
        x1, y1, x2, y2 = self.boxes[index].tolist()
        score = None if detection is None else float(self.scores[index])
        return Mistake(
            KINDS[self.kinds[index]],
            int(self.images[index]),
            (x1, y1, x2, y2),
            int(self.classes[index]),
            score,
            detection,
            concerned,
            instead,
            float(self.ious[index]),
        )

    def counts(self) -> dict[Kind, int]:
        """Return how many there are of each kind."""
        return dict(zip(KINDS, np.bincount(self.kinds, minlength=len(KINDS)).tolist(), strict=True))

    def counts_by_class(self, classes: int) -> NDArray[np.int64]:
        """Return how many there are of each class and kind, int64 (classes, kinds)."""
        numbers = self.classes * len(KINDS) + self.kinds
        return np.bincount(numbers, minlength=classes * len(KINDS)).reshape(classes, len(KINDS)).astype(np.int64)


def classify(record: DetectionRecord, confidence: float, iou: float = 0.5, background: float = 0.1) -> Mistakes:
    """Classify each false positive and each missed object.

    Args:
        record: the detections and the objects.
        confidence: lowest score of the detections that are looked at, 0 to 1.
        iou: overlap from which a detection is right, above 0.
        background: overlap up to which there is nothing, 0 to `iou`.
    """
    rows = np.flatnonzero(record.detections[:, 5] >= confidence)
    found = record.detections[rows]
    order = np.lexsort((-found[:, 5], found[:, 0]))
    rows = rows[order]
    images = record.detections[rows, 0].astype(np.int64)
    objects, regions = regions_of(record.samples)
    parts = [
        _of_share(record, rows[own], objects.chosen(some), regions.chosen(ignored), iou, background)
        for own, some, ignored in shares(len(record.samples), images, objects.images, regions.images)
    ]
    columns = {name: _stacked([part.pop(name) for part in parts], name) for name in COLUMNS}
    return Mistakes(confidence, iou, background, **columns)


COLUMNS = Mistakes.__slots__[3:]
WIDTHS = {"boxes": (4,), "right": (2,)}
FLOATS = ("boxes", "scores", "ious")


def _stacked(parts: Sequence[NDArray[Any]], name: str) -> NDArray[Any]:
    """The parts of a column of `Mistakes`, one behind the other."""
    kind = np.int8 if name == "kinds" else np.float64 if name in FLOATS else np.int64
    return np.concatenate([np.zeros((0, *WIDTHS.get(name, ())), kind), *parts]).astype(kind, copy=False)


def _of_share(
    record: DetectionRecord,
    rows: NDArray[np.int64],
    objects: Regions,
    regions: Regions,
    iou: float,
    background: float,
) -> dict[str, NDArray[Any]]:
    """Classify what was found on some images.

    Args:
        record: the detections.
        rows: of the detections on these images, by image and descending score.
        objects: those of these images that count.
        regions: those that are ignored.
        iou: overlap from which a detection is right.
        background: overlap up to which there is nothing.
    """
    found = record.detections[rows]
    images, classes = found[:, 0].astype(np.int64), found[:, 6].astype(np.int64)
    pairs = pair(images, objects.images)
    ious = overlaps(found[pairs.detections, 1:5], objects.boxes[pairs.regions])
    same = classes[pairs.detections] == objects.classes[pairs.regions]
    candidates = np.where(same & (ious >= iou), ious, 0.0)
    taken, takers = match_greedily(pairs, candidates, np.arange(len(rows)), len(objects.images))
    apart = (taken < 0) & _belongs(found, regions, iou)
    wrong = np.flatnonzero((taken < 0) & ~apart)

    own, own_object = (values[wrong] for values in pairs.best(np.where(same, ious, 0.0)))
    other, other_object = (values[wrong] for values in pairs.best(np.where(same, 0.0, ious)))
    conditions = {
        Kind.LOCALISATION: (own >= background) & (own < iou) & (own > 0),
        Kind.CLASS: other >= iou,
        Kind.DUPLICATE: own >= iou,
        Kind.BACKGROUND: np.maximum(own, other) <= background,
    }
    kinds = np.select(list(conditions.values()), [KINDS.index(kind) for kind in conditions], KINDS.index(Kind.BOTH))
    of_own = np.isin(kinds, (KINDS.index(Kind.LOCALISATION), KINDS.index(Kind.DUPLICATE)))
    concerned = np.where(of_own, own_object, other_object)
    concerned[kinds == KINDS.index(Kind.BACKGROUND)] = -1
    double = kinds == KINDS.index(Kind.DUPLICATE)
    instead = np.where(double, rows[takers[np.where(double, concerned, 0)]] if len(takers) else -1, -1)

    missed = takers < 0
    mendable = np.isin(kinds, (KINDS.index(Kind.LOCALISATION), KINDS.index(Kind.CLASS)))
    missed[concerned[mendable]] = False
    lost = np.flatnonzero(missed)
    nothing = np.full(len(lost), -1)
    columns: dict[str, tuple[NDArray[Any], NDArray[Any]]] = {
        "kinds": (kinds.astype(np.int8), np.full(len(lost), KINDS.index(Kind.MISSED), np.int8)),
        "images": (images[wrong], objects.images[lost]),
        "boxes": (found[wrong, 1:5], objects.boxes[lost]),
        "classes": (classes[wrong], objects.classes[lost]),
        "scores": (found[wrong, 5], np.full(len(lost), np.nan)),
        "detections": (rows[wrong], nothing),
        "objects": (_index(objects, concerned), objects.indices[lost]),
        "instead": (instead, nothing),
        "ious": (np.where(of_own, own, np.where(concerned < 0, np.maximum(own, other), other)), np.zeros(len(lost))),
    }
    order = np.argsort(np.concatenate(columns["images"]), kind="stable")
    right = np.flatnonzero(taken >= 0)
    return {
        **{name: np.concatenate(values)[order] for name, values in columns.items()},
        "right": np.stack((rows[right], _index(objects, taken[right])), 1),
        "ignored": rows[apart],
    }


def _index(objects: Regions, numbers: NDArray[np.int64]) -> NDArray[np.int64]:
    """The index in its image of each object; -1 for -1."""
    if not len(objects.indices):
        return np.full(len(numbers), -1)
    return np.where(numbers < 0, -1, objects.indices[numbers])


def _belongs(found: NDArray[np.float64], regions: Regions, iou: float) -> NDArray[np.bool_]:
    """Return which detections belong to an ignored region of their class, bool (n,).

    Args:
        found: detections (n, 7), by image.
        regions: the ignored regions of these images.
        iou: overlap from which they belong.
    """
    pairs = pair(found[:, 0].astype(np.int64), regions.images)
    inside = overlaps(found[pairs.detections, 1:5], regions.boxes[pairs.regions], regions.crowd[pairs.regions])
    same = found[pairs.detections, 6].astype(np.int64) == regions.classes[pairs.regions]
    belongs = np.zeros(len(found), np.bool_)
    belongs[pairs.detections[same & (inside >= iou)]] = True
    return belongs
