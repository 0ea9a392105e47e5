"""Matching of detections with objects by the compiled evaluator, and a compact record of it, an image at a time.

A record holds what the average precision of any weighting of the images needs: of each class's detections, in order of
score, the image, and at which of COCO's ten IoUs each matches an object or is ignored; and the image of each object.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from hotcoco import COCO, COCOeval
from numpy.typing import NDArray

if TYPE_CHECKING:
    from torch import Tensor

IOUS = 10
"""COCO's IoU thresholds: 0.50, 0.55, ... 0.95."""


@dataclass(frozen=True, slots=True)
class ClassMatches:
    """The detections of a class, by descending score.

    Attributes:
        scores: float64 (n,).
        images: int64 (n,), the number of each one's image, from 1.
        hits: bool (IoUs, n), whether it matches an object.
        ignored: bool (IoUs, n), whether it counts neither as right nor as wrong.
    """

    scores: NDArray[np.float64]
    images: NDArray[np.int64]
    hits: NDArray[np.bool_]
    ignored: NDArray[np.bool_]

    def counted(self) -> ClassMatches:
        """Return the detections that are not ignored at the lowest IoU."""
        kept = ~self.ignored[0]
        return ClassMatches(self.scores[kept], self.images[kept], self.hits[:, kept], self.ignored[:, kept])

    def false_positives(self, confidence: float) -> NDArray[np.int64]:
        """Return the image of each detection from a confidence on that matches no object at the lowest IoU."""
        wrong: NDArray[np.int64] = self.images[~self.hits[0] & (self.scores >= confidence)]
        return wrong


def match(truth: COCO, found: COCO, classes: int, most: int, ious: Sequence[float] = ()) -> list[ClassMatches]:
    """Match the detections of each class with its objects.

    Args:
        truth: the objects.
        found: the detections.
        classes: how many there are.
        most: the most detections of one class in one image.
        ious: the overlaps; COCO's ten where none are given.
    """
    evaluation = of_all_sizes(truth, found, max(most, 1), ious)
    evaluation.evaluate()
    count = len(ious) or IOUS
    items: list[list[Mapping[str, Any]]] = [[] for _ in range(classes)]
    for item in evaluation.eval_imgs:
        if item is not None and len(item["dtScores"]):
            items[item["category_id"] - 1].append(item)
    return [_of_class(each, count) for each in items]


def of_all_sizes(truth: COCO, found: COCO, max_det: int, ious: Sequence[float] = ()) -> COCOeval:
    """Prepare an evaluation that does not look at sizes.

    Args:
        truth: the objects.
        found: the detections.
        max_det: detections of a class in an image that count.
        ious: the overlaps; COCO's ten where none are given.
    """
    return evaluation_of(truth, found, max_det, ious=ious)


def evaluation_of(
    truth: COCO,
    found: COCO,
    max_det: int,
    areas: Sequence[tuple[str, tuple[float, float]]] = (("all", (0, 1e10)),),
    ious: Sequence[float] = (),
) -> COCOeval:
    """Prepare an evaluation.

    Args:
        truth: the objects.
        found: the detections.
        max_det: detections of a class in an image that count.
        areas: ranges of the objects' areas, square pixels, by name.
        ious: the overlaps; COCO's ten where none are given.
    """
    evaluation = COCOeval(truth, found, "bbox")
    parameters = evaluation.params
    parameters.area_rng, parameters.area_rng_lbl = [list(area) for _, area in areas], [name for name, _ in areas]
    parameters.max_dets = [max_det]
    if ious:
        parameters.iou_thrs = list(ious)
    evaluation.params = parameters
    return evaluation


def _of_class(items: Sequence[Mapping[str, Any]], ious: int) -> ClassMatches:
    """Put the detections of a class in all images in the order of their scores; equal ones in that of the images."""
    scores = np.concatenate([np.zeros(0), *(np.asarray(item["dtScores"], np.float64) for item in items)])
    images = np.repeat([item["image_id"] for item in items], [len(item["dtScores"]) for item in items])
    none = np.zeros((ious, 0), np.bool_)
    hits, ignored = (
        np.concatenate([none, *(np.asarray(item[name], np.bool_).reshape(ious, -1) for item in items)], 1)
        for name in ("dtMatched", "dtIgnore")
    )
    order = np.argsort(-scores, kind="stable")
    hits = hits & ~ignored
    return ClassMatches(scores[order], images.astype(np.int64)[order], hits[:, order], ignored[:, order])


@dataclass(frozen=True, slots=True)
class MatchRecord:
    """Matches of an evaluation, image by image: what a bootstrap over the images needs, 8 bytes a detection.

    Detections stand by class and, within it, by descending score. Those of a class behind its last match are omitted,
    since they cannot change its average precision, however the images are weighted.

    Attributes:
        images: how many images were evaluated.
        detections: int32 (n,), the index of each detection's image.
        hits: int16 (n,), bit k is set where it matches an object at the IoU 0.5 + 0.05 k.
        ignored: int16 (n,), bit k is set where it counts neither as right nor as wrong there.
        ends: int64 (classes,), where each class's detections end.
        objects: int32 (m,), the index of each object's image, by class; without those that are ignored.
        object_ends: int64 (classes,), where each class's objects end.
    """

    images: int
    detections: NDArray[np.int32]
    hits: NDArray[np.int16]
    ignored: NDArray[np.int16]
    ends: NDArray[np.int64]
    objects: NDArray[np.int32]
    object_ends: NDArray[np.int64]

    def state_dict(self) -> dict[str, int | Tensor]:
        """Everything, as numbers and tensors."""
        import torch

        return {
            name: value if isinstance(value := getattr(self, name), int) else torch.from_numpy(value)
            for name in MatchRecord.__slots__
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> MatchRecord:
        """Return the record that `state_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        given = ((name, state[name]) for name in cls.__slots__)
        values: dict[str, Any] = {name: value.numpy() if hasattr(value, "numpy") else value for name, value in given}
        record = cls(**values)
        record._check()
        return record

    def _check(self) -> None:
        """Check that indices are those of images and classes.

        Raises:
            ValueError: they are not.
        """
        kinds = (("detections", np.int32), ("hits", np.int16), ("ignored", np.int16), ("ends", np.int64))
        for name, kind in (*kinds, ("objects", np.int32), ("object_ends", np.int64)):
            values = getattr(self, name)
            if not isinstance(values, np.ndarray) or values.dtype != kind or values.ndim != 1:
                raise ValueError(f"the {name} of a record are not of its kind")
        if type(self.images) is not int or len(self.ends) != len(self.object_ends):
            raise ValueError("a record is of other images or classes than it says")
        if not len(self.detections) == len(self.hits) == len(self.ignored):
            raise ValueError("a record has other detections than it says")
        for values, ends in ((self.detections, self.ends), (self.objects, self.object_ends)):
            if len(values) and not 0 <= values.min() <= values.max() < self.images:
                raise ValueError("a record names images that it does not have")
            steps = np.diff(ends, prepend=0)
            if (len(values) and not len(ends)) or (steps < 0).any() or (len(ends) and ends[-1] != len(values)):
                raise ValueError("the classes of a record end where they begin")


def record_of(matches: Sequence[ClassMatches], images: int, objects: NDArray[np.int64]) -> MatchRecord:
    """Make the record of an evaluation.

    Args:
        matches: of each class, at COCO's ten IoUs.
        images: how many were evaluated.
        objects: int64 (m, 2), image index and class of each object that is not ignored.
    """
    places: list[NDArray[np.int64]] = [np.zeros(0, np.int64)]
    bits: list[NDArray[np.int64]] = [np.zeros((2, 0), np.int64)]
    values = 1 << np.arange(IOUS)
    for each in matches:
        last = int(np.flatnonzero(each.hits.any(0)).max(initial=-1)) + 1
        places.append(each.images[:last] - 1)
        bits.append(np.stack((values @ each.hits[:, :last], values @ each.ignored[:, :last])))
    hits, ignored = np.concatenate(bits, 1).astype(np.int16)
    order = np.argsort(objects[:, 1], kind="stable")
    return MatchRecord(
        images,
        np.concatenate(places).astype(np.int32),
        hits,
        ignored,
        np.cumsum([len(each) for each in places[1:]], dtype=np.int64),
        objects[order, 0].astype(np.int32),
        np.cumsum(np.bincount(objects[:, 1], minlength=len(matches)), dtype=np.int64),
    )
