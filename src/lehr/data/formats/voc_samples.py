"""From annotations to samples: boxes placed on the images as displayed, and checked, all at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.formats.coco_sizes import Sizes, place_boxes
from lehr.data.formats.voc_objects import VocLabels, bounding_boxes
from lehr.data.objects import check_objects
from lehr.data.probing import probe_with_header
from lehr.data.threads import read_many
from lehr.runtime.counted import counted
from lehr.sample import Fault, Sample, Severity

FULL_TURN = 6.2832
"""Radians; an angle above it is in degrees."""


@dataclass(frozen=True, slots=True)
class _Objects:
    """The objects of all images, as columns.

    Attributes:
        images: int64 (n,), index of the image.
        boxes: float64 (n, 4), xyxy, pixels of the images as labelled.
        classes: int64 (n,).
        difficult: bool (n,).
        lines: int64 (n,), from 1; 0 if unknown.
    """

    images: NDArray[np.int64]
    boxes: NDArray[np.float64]
    classes: NDArray[np.int64]
    difficult: NDArray[np.bool_]
    lines: NDArray[np.int64]


def make_samples(
    folder: Path,
    images: Sequence[Path],
    contents: Sequence[VocLabels],
    headers: Mapping[Path, tuple[int, int, int]],
    label_of: Sequence[Path | None],
    names: tuple[str, ...],
) -> tuple[dict[Path, Sample], list[Fault]]:
    """Samples by image, and what is wrong; an image whose labels cannot be placed has none.

    Args:
        folder: the data set, for messages.
        images: the images.
        contents: the labels of each.
        headers: width and height of the stored pixels, and orientation.
        label_of: the label file of each.
        names: all class names that occur.
    """
    objects = _columns(contents, names)
    faults = _surround(folder, contents, objects)
    table = np.array([headers[image] for image in images], np.float64).reshape(-1, 3)
    stated = np.array([labels.size for labels in contents], np.float64).reshape(-1, 2)
    sizes = Sizes(stated, table[:, :2], table[:, 2].astype(np.int64))
    placed = place_boxes(folder, list(images), sizes, objects.boxes, objects.images)
    kept = np.flatnonzero(~placed.refused[objects.images])
    checked = check_objects(
        placed.xyxy[kept],
        objects.classes[kept],
        images=objects.images[kept],
        sizes=sizes.shown,
        paths=[label or image for label, image in zip(label_of, images, strict=True)],
        lines=objects.lines[kept],
    )
    faults += [*placed.faults, *(fault for _, fault in checked.faults)]
    kept = kept[checked.kept]
    difficult = objects.difficult[kept]
    faults += _difficult_note(folder, difficult)
    ends = np.searchsorted(objects.images[kept], np.arange(len(images) + 1)).tolist()
    samples = {}
    for i, (width, height) in enumerate(sizes.shown.tolist()):
        if placed.refused[i]:
            continue
        own = slice(ends[i], ends[i + 1])
        boxes, classes, label = checked.boxes[own], checked.classes[own], label_of[i]
        hard = difficult[own] if ends[i] < ends[i + 1] and difficult[own].any() else None
        samples[images[i]] = Sample(images[i], int(width), int(height), boxes, classes, label, hard)
    return samples, faults


def _columns(contents: Sequence[VocLabels], names: tuple[str, ...]) -> _Objects:
    number = {name: index for index, name in enumerate(names)}
    return _Objects(
        np.repeat(np.arange(len(contents)), [len(labels.names) for labels in contents]),
        np.array([box for labels in contents for box in labels.boxes], np.float64).reshape(-1, 4),
        np.array([number[name] for labels in contents for name in labels.names], np.int64),
        np.array([flag for labels in contents for flag in labels.difficult], np.bool_),
        np.array([line for labels in contents for line in labels.lines], np.int64),
    )


def _difficult_note(folder: Path, difficult: NDArray[np.bool_]) -> list[Fault]:
    count = int(difficult.sum())
    if not count:
        return []
    message = (
        f"{count} of {counted(len(difficult), 'object is', 'objects are')} marked as difficult: they are "
        f"trained on, but for --difficult "
        "ignore, and an evaluation ignores them"
    )
    return [Fault("difficult", folder, message, severity=Severity.NOTE)]


def _surround(folder: Path, contents: Sequence[VocLabels], objects: _Objects) -> list[Fault]:
    """Put the boxes around turned ones in their place."""
    starts = np.searchsorted(objects.images, np.arange(len(contents)))
    turned = [(int(starts[i]) + each.index, each) for i, labels in enumerate(contents) for each in labels.rotated]
    if not turned:
        return []
    rotated = [each for _, each in turned]
    degrees = any(not each.degrees and abs(each.angle) > FULL_TURN for each in rotated)
    objects.boxes[[index for index, _ in turned]] = bounding_boxes(rotated, degrees)
    unit = "degrees" if degrees or all(each.degrees for each in rotated) else "radians"
    message = (
        f"has {counted(len(turned), 'box that is', 'boxes that are')} turned (angles in {unit}): upright boxes "
        f"around them are used. Label them "
        "upright where they would become too large"
    )
    return [Fault("rotated-box", folder, message, severity=Severity.WARNING)]


def read_headers(images: Sequence[Path]) -> tuple[dict[Path, tuple[int, int, int]], list[Fault]]:
    """Width and height of the stored pixels, and orientation, of the images that can be used."""
    headers: dict[Path, tuple[int, int, int]] = {}
    faults: list[Fault] = []
    for image, (header, found) in zip(images, read_many(probe_with_header, images), strict=True):
        faults += found
        if header is not None:
            headers[image] = (header.width, header.height, header.orientation)
    return headers, faults
