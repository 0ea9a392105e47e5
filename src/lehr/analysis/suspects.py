"""Suspected label errors, from the detections of a model: objects missing, of the wrong class, misplaced, or spurious.

The kinds are those of ObjectLab (Tkachenko et al., "ObjectLab: Automated diagnosis of mislabeled images in object
detection data", 2023). Each suspect's score is the probability that its label is wrong under a model of label noise
that is fitted to the detections themselves (`label_noise.py`), so that one list ranks all kinds: a class that the model
often gets wrong, or often finds where none is labelled, makes its disagreements less suspicious.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from lehr.analysis.label_noise import NoiseModel, fit_noise
from lehr.analysis.record import DetectionRecord
from lehr.sample import Sample

ON_OBJECT = 0.5
"""IoU from which a detection is on an object, as in VOC."""
NEAR_OBJECT = 0.1
"""IoU from which a detection is near one."""
SAME_PLACE = 0.5
"""IoU from which two detections are of one place, whatever their classes."""
FEW = 40
"""Cases below which a class has no noise model of its own."""
SEEN = 0.01
"""Lowest score of a detection that counts for a place of its own; an object may be seen by less."""
SPURIOUS = 0.005
"""Share of the labelled objects that are assumed not to exist before anything is seen."""
LEAST = 0.05
"""Lowest score of a suspect that is listed."""


class SuspectKind(StrEnum):
    """Kind of a suspected label error."""

    MISSING = "missing object"
    CLASS = "wrong class"
    PLACE = "misplaced box"
    SPURIOUS = "spurious object"


@dataclass(frozen=True, slots=True)
class Suspect:
    """A suspected label error.

    Attributes:
        image: index of the image in the record.
        kind: what seems wrong.
        score: the probability that the label is wrong, 0 to 1.
        box: xyxy, pixels of the image: the labelled box, or of a missing object the detected one.
        class_id: the labelled class; None for a missing object.
        found_box: what was detected there; None for nothing.
        found_class: its class; None for nothing.
        confidence: its score, 0 to 1; 0 for nothing.
    """

    image: int
    kind: SuspectKind
    score: float
    box: tuple[float, float, float, float]
    class_id: int | None
    found_box: tuple[float, float, float, float] | None = None
    found_class: int | None = None
    confidence: float = 0.0

    def reason(self, names: tuple[str, ...]) -> str:
        """Say in a sentence what was found, and what the label says.

        Args:
            names: the class names.
        """
        found = "" if self.found_class is None else f"{names[self.found_class]} at {self.confidence:.2f}"
        labelled = "" if self.class_id is None else names[self.class_id]
        if self.kind is SuspectKind.MISSING:
            return f"detected as {found}; nothing is labelled there"
        if self.kind is SuspectKind.CLASS:
            return f"labelled {labelled}; detected as {found}"
        if self.kind is SuspectKind.PLACE:
            return f"labelled {labelled}; detected next to it as {found}"
        seen = f"at most {found} is detected there" if found else "nothing is detected there"
        return f"labelled {labelled}; {seen}"


def find_suspects(record: DetectionRecord, most: int | None = None) -> list[Suspect]:
    """List suspected label errors, the likeliest first.

    Args:
        record: detections down to a low confidence (0.001), as an evaluation has them.
        most: how many at most; None for all.
    """
    images = [_Image(index, sample, rows) for index, (sample, rows) in enumerate(_by_image(record))]
    if not images:
        return []
    found = [
        *_missing(images, len(record.names)),
        *_spurious(images),
        *_wrong_classes(images, len(record.names)),
        *_misplaced(images, len(record.names)),
    ]
    best: dict[tuple[int, tuple[float, ...]], Suspect] = {}
    for suspect in found:
        key = suspect.image, suspect.box
        if suspect.score >= LEAST and (key not in best or suspect.score > best[key].score):
            best[key] = suspect
    ranked = sorted(best.values(), key=lambda each: (-each.score, -each.confidence, each.image, each.box))
    return ranked[:most]


class _Image:
    """Detections and objects of an image, put together.

    Attributes:
        index: the image's.
        sample: its objects.
        boxes: (d, 4), a detection for each place, the most confident there, whatever its class; best first.
        scores: (d,).
        classes: (d,).
        nearest: (d,), the object of the highest IoU; -1 for none at all.
        overlap: (d,), that IoU.
        seen: (n,), of each object the highest score on it, of any class; 0 if nothing is.
        owner: (n,), of each object the most confident detection on it; -1 for none.
        ignored: (d,), detections in a region that an evaluation ignores.
        judged: (n,), objects that may be suspected: those an evaluation counts.
    """

    def __init__(self, index: int, sample: Sample, rows: NDArray[np.float64]) -> None:
        self.index, self.sample = index, sample
        rows = rows[np.argsort(-rows[:, 5], kind="stable")]
        overlaps = box_ious(rows[:, 1:5], sample.boxes.astype(np.float64))
        self.seen = np.where(overlaps >= ON_OBJECT, rows[:, 5:6], 0.0).max(0, initial=0.0)
        places = _of_each_place(rows[rows[:, 5] >= SEEN, 1:5])
        self.boxes, self.scores, self.classes = rows[places, 1:5], rows[places, 5], rows[places, 6].astype(np.int64)
        ious = overlaps[places]
        count, objects = ious.shape
        self.nearest = ious.argmax(1) if objects else np.full(count, -1)
        self.overlap = ious.max(1, initial=0.0)
        self.owner = np.full(objects, -1)
        for place in np.flatnonzero(self.overlap >= ON_OBJECT).tolist():
            if self.owner[self.nearest[place]] < 0:
                self.owner[self.nearest[place]] = place
        self.ignored = _inside(self.boxes, sample.ignored.boxes.astype(np.float64)) >= ON_OBJECT
        self.judged = np.ones(objects, np.bool_) if sample.difficult is None else ~sample.difficult

    def box(self, at: int) -> tuple[float, float, float, float]:
        """The labelled box of an object."""
        return _corners(self.sample.boxes[at])


def _missing(images: list[_Image], classes: int) -> Iterator[Suspect]:
    """Confident detections where no object is labelled."""
    on = [image.overlap >= ON_OBJECT for image in images]
    kept = [~image.ignored for image in images]
    models = _by_class(
        np.concatenate([image.classes[at] for image, at in zip(images, kept, strict=True)]),
        np.concatenate([image.scores[at] for image, at in zip(images, kept, strict=True)]),
        np.concatenate([agree[at] for agree, at in zip(on, kept, strict=True)]),
        classes,
    )
    free = []
    for image, is_on in zip(images, on, strict=True):
        beside = (image.overlap >= NEAR_OBJECT) & ~is_on
        if len(image.owner):
            beside &= image.owner[image.nearest] < 0  # of an object that nothing else is on
        free.append(np.flatnonzero(~is_on & ~image.ignored & ~beside))
    numbers = np.concatenate([image.classes[at] for image, at in zip(images, free, strict=True)])
    scores = np.concatenate([image.scores[at] for image, at in zip(images, free, strict=True)])
    wrong = np.zeros(len(numbers))
    for class_id in np.unique(numbers).tolist():
        own = numbers == class_id
        wrong[own] = models(class_id).wrongly_denied(scores[own])
    ends = np.cumsum([len(at) for at in free])
    for index in np.flatnonzero(wrong >= LEAST).tolist():
        which = int(np.searchsorted(ends, index, side="right"))
        image, at = images[which], int(free[which][index - ends[which]])
        box, class_id = _corners(image.boxes[at]), int(image.classes[at])
        score, confidence = float(wrong[index]), float(image.scores[at])
        yield Suspect(image.index, SuspectKind.MISSING, score, box, None, box, class_id, confidence)


def _spurious(images: list[_Image]) -> Iterator[Suspect]:
    """Objects of which the model sees next to nothing, the more suspicious the rarer that is in their class.

    Of a class's objects, a share `f` is seen as little; if a share `SPURIOUS` of all objects is spurious, and those are
    among them, one of them is with probability `SPURIOUS / (SPURIOUS + f)`.
    """
    numbers = np.concatenate([image.sample.classes[image.judged] for image in images])
    seen = np.concatenate([image.seen[image.judged] for image in images])
    for image in images:
        for at in np.flatnonzero((image.owner < 0) & image.judged).tolist():
            class_id = int(image.sample.classes[at])
            own = numbers == class_id
            share = (int((seen[own] <= image.seen[at]).sum()) + 1) / (int(own.sum()) + 2)
            score = SPURIOUS / (SPURIOUS + share)
            yield Suspect(image.index, SuspectKind.SPURIOUS, score, image.box(at), class_id)


def _wrong_classes(images: list[_Image], classes: int) -> Iterator[Suspect]:
    """Objects on which a detection of another class is."""
    owners = [image.owner[(image.owner >= 0) & image.judged] for image in images]
    labelled = [image.sample.classes[(image.owner >= 0) & image.judged] for image in images]
    found = [image.classes[at] for image, at in zip(images, owners, strict=True)]
    models = _by_class(
        np.concatenate([np.zeros(0, np.int64), *found]),
        np.concatenate([np.zeros(0), *(image.scores[at] for image, at in zip(images, owners, strict=True))]),
        np.concatenate([np.zeros(0, np.bool_), *(a == b for a, b in zip(found, labelled, strict=True))]),
        classes,
    )
    for image in images:
        for at in np.flatnonzero((image.owner >= 0) & image.judged).tolist():
            place, class_id = image.owner[at], int(image.sample.classes[at])
            other = int(image.classes[place])
            if other != class_id:
                score = float(models(other).wrongly_denied(image.scores[place : place + 1])[0])
                box, confidence = _corners(image.boxes[place]), float(image.scores[place])
                yield Suspect(image.index, SuspectKind.CLASS, score, image.box(at), class_id, box, other, confidence)


def _misplaced(images: list[_Image], classes: int) -> Iterator[Suspect]:
    """Objects next to which a detection of their class is, and none on them."""
    cases: list[tuple[_Image, int, int]] = []
    numbers, scores, placed = [], [], []
    for image in images:
        for at in np.flatnonzero(image.judged).tolist():
            class_id = int(image.sample.classes[at])
            beside = np.flatnonzero(
                (image.nearest == at) & (image.overlap >= NEAR_OBJECT) & (image.classes == class_id)
            )
            place = int(image.owner[at]) if image.owner[at] >= 0 else int(beside[0]) if len(beside) else -1
            if place < 0:
                continue
            numbers.append(int(image.classes[place]))
            scores.append(float(image.scores[place]))
            placed.append(bool(image.owner[at] >= 0))
            if image.owner[at] < 0:
                cases.append((image, at, place))
    models = _by_class(np.array(numbers, np.int64), np.array(scores, np.float64), np.array(placed, np.bool_), classes)
    for image, at, place in cases:
        class_id = int(image.sample.classes[at])
        score = float(models(class_id).wrongly_denied(image.scores[place : place + 1])[0])
        found = _corners(image.boxes[place])
        confidence = float(image.scores[place])
        yield Suspect(image.index, SuspectKind.PLACE, score, image.box(at), class_id, found, class_id, confidence)


def _by_class(
    numbers: NDArray[np.int64],
    scores: NDArray[np.float64],
    labels: NDArray[np.bool_],
    classes: int,
) -> Callable[[int], NoiseModel]:
    """Fit a noise model for each class that has enough cases of both answers; one of all cases stands in for others."""
    pooled = fit_noise(scores, labels)
    models = {}
    for class_id in range(classes):
        own = numbers == class_id
        if int(labels[own].sum()) >= FEW:
            models[class_id] = fit_noise(scores[own], labels[own])
    return lambda class_id: models.get(class_id, pooled)


def _by_image(record: DetectionRecord) -> Iterator[tuple[Sample, NDArray[np.float64]]]:
    """Samples, each with its detections."""
    order = np.argsort(record.detections[:, 0], kind="stable")
    rows = record.detections[order]
    ends = np.searchsorted(rows[:, 0], np.arange(len(record.samples) + 1))
    for sample, start, end in zip(record.samples, ends[:-1].tolist(), ends[1:].tolist(), strict=True):
        yield sample, rows[start:end]


def _of_each_place(boxes: NDArray[np.float64]) -> NDArray[np.int64]:
    """Indices of boxes that no better one overlaps, whatever its class; they come best first."""
    ious = box_ious(boxes, boxes)
    kept = np.ones(len(boxes), np.bool_)
    for at in range(len(boxes)):
        if kept[at]:
            kept[at + 1 :] &= ious[at, at + 1 :] < SAME_PLACE
    return np.flatnonzero(kept)


def box_ious(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the IoU of each box with each other one.

    Args:
        boxes: (n, 4), xyxy.
        others: (m, 4), xyxy.

    Returns:
        float64 (n, m); 0 if both have no area.
    """
    shared = _shared(boxes, others)
    union = _area(boxes)[:, None] + _area(others)[None] - shared
    return np.asarray(np.divide(shared, union, out=np.zeros_like(shared), where=union > 0))


def _inside(boxes: NDArray[np.float64], regions: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of each box (n, 4) inside the region that holds most of it, (n,)."""
    area = np.maximum(_area(boxes), 1e-9)
    return np.asarray(_shared(boxes, regions).max(1, initial=0.0) / area)


def _shared(boxes: NDArray[np.float64], others: NDArray[np.float64]) -> NDArray[np.float64]:
    low = np.maximum(boxes[:, None, :2], others[None, :, :2])
    high = np.minimum(boxes[:, None, 2:], others[None, :, 2:])
    sides = np.maximum(high - low, 0.0)
    return np.asarray(sides[..., 0] * sides[..., 1])


def _area(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(np.maximum(boxes[:, 2] - boxes[:, 0], 0) * np.maximum(boxes[:, 3] - boxes[:, 1], 0))


def _corners(box: NDArray[np.floating]) -> tuple[float, float, float, float]:
    x1, y1, x2, y2 = (float(value) for value in box)
    return x1, y1, x2, y2
