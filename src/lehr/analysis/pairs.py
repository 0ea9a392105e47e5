"""Boxes of the same image, pair by pair: overlaps and greedy matching of any number of images at once.

No loop is over boxes. Images are taken a share at a time, so that memory stays bounded however many there are.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.sample import Sample

PAIRS_AT_ONCE = 400_000
"""Pairs of boxes that are held at once, 150 bytes each."""


@dataclass(frozen=True, slots=True, eq=False)
class Regions:
    """Objects or regions of a split, image by image.

    Attributes:
        images: int64 (n,), index of each one's image, ascending.
        indices: int64 (n,), its index in the image.
        boxes: float64 (n, 4), xyxy, pixels.
        classes: int64 (n,).
        crowd: bool (n,), compared by the share of a detection that is inside.
    """

    images: NDArray[np.int64]
    indices: NDArray[np.int64]
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]

    def chosen(self, rows: NDArray[np.bool_] | slice) -> Regions:
        """Return some of them, in their order."""
        return Regions(self.images[rows], self.indices[rows], self.boxes[rows], self.classes[rows], self.crowd[rows])


def regions_of(samples: Sequence[Sample]) -> tuple[Regions, Regions]:
    """Return the objects that an evaluation counts, and the difficult objects and regions that it ignores.

    The index of an ignored region in its image is -1.
    """
    difficult = [
        np.zeros(len(sample.classes), np.bool_) if sample.difficult is None else sample.difficult for sample in samples
    ]
    objects = _joined([(sample.boxes, sample.classes) for sample in samples])
    hard = np.concatenate([np.zeros(0, np.bool_), *difficult])
    ignored = _joined([(sample.ignored.boxes, sample.ignored.classes) for sample in samples])
    crowd = np.concatenate([np.zeros(0, np.bool_), *(sample.ignored.crowd for sample in samples)])
    parts = (
        objects.chosen(hard),
        Regions(ignored.images, np.full_like(ignored.indices, -1), ignored.boxes, ignored.classes, crowd),
    )
    both = [np.concatenate([getattr(part, name) for part in parts]) for name in Regions.__slots__]
    order = np.argsort(both[0], kind="stable")
    return objects.chosen(~hard), Regions(*(values[order] for values in both))


def _joined(parts: Sequence[tuple[NDArray[np.float32], NDArray[np.int64]]]) -> Regions:
    counts = np.array([len(classes) for _, classes in parts], np.int64)
    images = np.repeat(np.arange(len(parts)), counts)
    total = len(images)
    indices = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
    boxes = np.concatenate([np.zeros((0, 4)), *(boxes for boxes, _ in parts)]).astype(np.float64)
    classes = np.concatenate([np.zeros(0, np.int64), *(classes for _, classes in parts)])
    return Regions(images, indices, boxes, classes, np.zeros(total, np.bool_))


def shares(images: int, *columns: NDArray[np.int64]) -> Iterator[tuple[slice, ...]]:
    """Cut columns of image indices into shares of whole images with a bounded number of pairs.

    Args:
        images: how many there are.
        columns: the image of each box, ascending; pairs are between those of the first and of the others.

    Yields:
        A slice for each column.
    """
    counts = [np.bincount(column, minlength=images) for column in columns]
    pairs = np.cumsum(counts[0] * np.maximum(sum(counts[1:]), 1))
    start = 0
    while start < images:
        done = pairs[start - 1] if start else 0
        end = max(start + 1, int(np.searchsorted(pairs, done + PAIRS_AT_ONCE, "right")))
        ends = [np.searchsorted(column, (start, end)) for column in columns]
        yield tuple(slice(int(first), int(last)) for first, last in ends)
        start = end


@dataclass(frozen=True, slots=True, eq=False)
class Pairs:
    """Pairs of detections with the regions of their image, by detection.

    Attributes:
        detections: int64 (p,), ascending.
        regions: int64 (p,).
        counts: int64 (detections,), the pairs of each detection.
    """

    detections: NDArray[np.int64]
    regions: NDArray[np.int64]
    counts: NDArray[np.int64]

    def best(self, values: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
        """Return the largest value of each detection's pairs (0 without), and its region (-1 if that is 0).

        Args:
            values: (p,), 0 or more; of equal ones the first counts.
        """
        top = np.zeros(len(self.counts))
        where = np.full(len(self.counts), -1, np.int64)
        if not len(values):
            return top, where
        some = np.flatnonzero(self.counts)
        starts = (np.cumsum(self.counts) - self.counts)[some]
        top[some] = np.maximum.reduceat(values, starts)
        places = np.where(values == np.repeat(top, self.counts), np.arange(len(values)), len(values))
        where[some] = self.regions[np.minimum.reduceat(places, starts)]
        where[top == 0] = -1
        return top, where


def pair(detections: NDArray[np.int64], regions: NDArray[np.int64]) -> Pairs:
    """Pair detections with the regions of the same image.

    Args:
        detections: image of each detection, ascending.
        regions: image of each region, ascending.
    """
    first, last = (np.searchsorted(regions, detections, side) for side in ("left", "right"))
    counts = (last - first).astype(np.int64)
    own = np.repeat(np.arange(len(detections)), counts)
    offsets = np.arange(len(own)) - np.repeat(np.cumsum(counts) - counts, counts)
    return Pairs(own, first[own] + offsets, counts)


def overlaps(
    boxes: NDArray[np.float64], regions: NDArray[np.float64], crowd: NDArray[np.bool_] | None = None
) -> NDArray[np.float64]:
    """Return the IoU (n,) of boxes and regions, row by row; with crowd regions the share of the box that is inside.

    Args:
        boxes: float64 (n, 4), xyxy.
        regions: float64 (n, 4).
        crowd: bool (n,), which of them are crowd regions; None for none.
    """
    sides = np.minimum(boxes[:, 2:], regions[:, 2:]) - np.maximum(boxes[:, :2], regions[:, :2])
    inside = np.clip(sides, 0, None).prod(1)
    area = (boxes[:, 2:] - boxes[:, :2]).prod(1)
    union = area + (regions[:, 2:] - regions[:, :2]).prod(1) - inside
    if crowd is not None:
        union = np.where(crowd, area, union)
    return np.asarray(inside / np.maximum(union, 1e-12), np.float64)


def match_greedily(
    pairs: Pairs, values: NDArray[np.float64], order: NDArray[np.int64], regions: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Let detections take a region each, the best detection first, each the free one of largest overlap.

    In each round those detections choose that no better one still competes with for what they want; so all images
    advance at once, and the outcome is that of one detection after the other.

    Args:
        pairs: of detections and regions.
        values: (p,), the overlap where the detection may take the region, else 0.
        order: (detections,), place of each detection among all, 0 the best.
        regions: how many there are.

    Returns:
        The region of each detection, and the detection of each region; -1 for none.
    """
    region_of, detection_of = np.full(len(pairs.counts), -1, np.int64), np.full(regions, -1, np.int64)
    open_ = np.flatnonzero(values > 0)
    detections, wanted, values = pairs.detections[open_], pairs.regions[open_], values[open_]
    while len(detections):
        places = order[detections]
        first = np.full(regions, len(order), np.int64)
        np.minimum.at(first, wanted, places)
        # The last pair of a detection is that of its largest overlap.
        by_detection = np.lexsort((values, detections))
        last = np.append(detections[by_detection][1:] != detections[by_detection][:-1], True)
        choices = by_detection[last]
        choices = choices[first[wanted[choices]] == places[choices]]
        region_of[detections[choices]], detection_of[wanted[choices]] = wanted[choices], detections[choices]
        left = (region_of[detections] < 0) & (detection_of[wanted] < 0)
        detections, wanted, values = detections[left], wanted[left], values[left]
    return region_of, detection_of
