"""Statistics of a data set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from lehr.sample import Dataset, Sample

SMALL, MEDIUM = 32**2, 96**2
"""COCO's bounds between small, medium and large objects, square pixels."""


@dataclass(frozen=True, slots=True)
class SplitStats:
    """Statistics of one split.

    Attributes:
        images: images.
        background: images without an object.
        objects: objects of each class, by name.
        images_with: images with each class, by name.
        small: objects below 32x32 pixels.
        medium: objects from there to 96x96 pixels.
        large: objects above.
        median_size: median width and height of an image, pixels.
        median_box: median width and height of an object, pixels.
        max_objects: most objects in one image.
        difficult: objects among them that an evaluation ignores.
        crowds: regions that are not objects, and that an evaluation ignores.
    """

    images: int
    background: int
    objects: dict[str, int]
    images_with: dict[str, int]
    small: int
    medium: int
    large: int
    median_size: tuple[float, float]
    median_box: tuple[float, float]
    max_objects: int
    difficult: int
    crowds: int

    @property
    def instances(self) -> int:
        """Objects of all classes."""
        return sum(self.objects.values())


def describe(dataset: Dataset) -> dict[str, SplitStats]:
    """Compute the statistics of every split."""
    return {split: _describe_split(samples, dataset.names) for split, samples in dataset.splits.items()}


def _describe_split(samples: Sequence[Sample], names: tuple[str, ...]) -> SplitStats:
    counts = np.zeros(len(names), np.int64)
    images_with = np.zeros(len(names), np.int64)
    for sample in samples:
        image_counts = np.bincount(sample.classes, minlength=len(names))
        counts += image_counts
        images_with += image_counts > 0
    boxes = np.concatenate([np.zeros((0, 4), np.float32), *(sample.boxes for sample in samples)])
    sides = boxes[:, 2:] - boxes[:, :2]
    areas = sides.prod(1)
    sizes = np.array([(sample.width, sample.height) for sample in samples], np.float64).reshape(-1, 2)
    return SplitStats(
        images=len(samples),
        background=sum(not len(sample.classes) for sample in samples),
        objects={name: int(count) for name, count in zip(names, counts, strict=True)},
        images_with={name: int(count) for name, count in zip(names, images_with, strict=True)},
        small=int((areas < SMALL).sum()),
        medium=int(((areas >= SMALL) & (areas < MEDIUM)).sum()),
        large=int((areas >= MEDIUM).sum()),
        median_size=_median(sizes),
        median_box=_median(sides.astype(np.float64)),
        max_objects=max((len(sample.classes) for sample in samples), default=0),
        difficult=sum(len(sample.classes) - len(sample.instance_classes) for sample in samples),
        crowds=sum(len(sample.ignored.classes) for sample in samples),
    )


def _median(pairs: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> tuple[float, float]:
    if not len(pairs):
        return 0.0, 0.0
    first, second = np.median(pairs, 0).tolist()
    return float(first), float(second)
