"""Samples from the boxes of a COCO JSON, with the checks that objects of every layout pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.formats.coco_boxes import CROWD, OBJECT
from lehr.data.objects import TOLERANCE, checked_objects
from lehr.sample import NOTHING_IGNORED, Fault, Ignored, Sample


def samples_of(
    json_path: Path,
    paths: Sequence[Path],
    sizes: NDArray[np.float64],
    of: NDArray[np.int64],
    xyxy: NDArray[np.float64],
    classes: NDArray[np.int64],
    use: NDArray[np.int8],
) -> tuple[list[Sample], list[Fault]]:
    """Make samples; boxes are checked all at once, and image by image only where one is in doubt.

    Args:
        json_path: where they are from.
        paths: (m,) image files.
        sizes: (m, 2), their width and height as displayed, pixels.
        of: int64 (n,), the image of each box.
        xyxy: (n, 4), pixels of the image as displayed.
        classes: int64 (n,).
        use: int8 (n,), OBJECT, CROWD or IGNORED.
    """
    order = np.argsort(of, kind="stable")
    of, xyxy, classes, use = of[order], xyxy[order], classes[order], use[order]
    ignored = _ignored(sizes, of, xyxy, classes, use)
    objects = use == OBJECT
    of, xyxy, classes = of[objects], xyxy[objects], classes[objects]
    limits = np.tile(sizes, 2)[of]
    clipped = np.clip(xyxy, 0, limits)
    boxes = clipped.astype(np.float32)
    starts = np.searchsorted(of, np.arange(len(paths) + 1)).tolist()
    doubtful = set(np.unique(of[_doubtful(of, xyxy, clipped, classes)]).tolist())
    samples: list[Sample] = []
    faults: list[Fault] = []
    dimensions = sizes.astype(np.int64).tolist()
    for i, (path, (width, height)) in enumerate(zip(paths, dimensions, strict=True)):
        mine = slice(starts[i], starts[i + 1])
        own_boxes, own_classes = boxes[mine], classes[mine]
        if i in doubtful:
            own_boxes, own_classes, found = checked_objects(
                xyxy[mine],
                classes[mine],
                width=width,
                height=height,
                path=json_path,
                lines=[None] * (starts[i + 1] - starts[i]),
            )
            faults += [replace(fault, message=f"image {path.name}: {fault.message}") for fault in found]
        samples.append(
            Sample(path, width, height, own_boxes, own_classes, json_path, ignored=ignored.get(i, NOTHING_IGNORED))
        )
    return samples, faults


def _doubtful(
    of: NDArray[np.int64], xyxy: NDArray[np.float64], clipped: NDArray[np.float64], classes: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which boxes may have something wrong with them, bool (n,): all that have, and perhaps a few others."""
    with np.errstate(invalid="ignore"):
        fine = np.isfinite(xyxy).all(1) & (clipped[:, 2:] > clipped[:, :2]).all(1)
        fine &= np.abs(xyxy - clipped).max(1, initial=0) <= TOLERANCE
    # Boxes that are the same have the same hash.
    bits = np.ascontiguousarray(xyxy + 0.0).view(np.uint64)
    key = of.astype(np.uint64) * np.uint64(0x9E3779B97F4A7C15) ^ classes.astype(np.uint64) * np.uint64(
        0xC2B2AE3D27D4EB4F
    )
    for side, factor in enumerate((0x165667B19E3779F9, 0x27D4EB2F165667C5, 0x85EBCA77C2B2AE63, 0xFF51AFD7ED558CCD)):
        key = (key ^ (key >> np.uint64(29))) * np.uint64(0xBF58476D1CE4E5B9) ^ bits[:, side] * np.uint64(factor)
    order = np.argsort(key)
    same = key[order][1:] == key[order][:-1]
    fine[order[1:][same]] = False
    return np.asarray(~fine, np.bool_)


def _ignored(
    sizes: NDArray[np.float64],
    of: NDArray[np.int64],
    xyxy: NDArray[np.float64],
    classes: NDArray[np.int64],
    use: NDArray[np.int8],
) -> dict[int, Ignored]:
    """Regions to be ignored, by image; those without area inside it are none."""
    clipped = np.clip(xyxy, 0, np.tile(sizes, 2)[of])
    kept = (use != OBJECT) & (clipped[:, 2:] > clipped[:, :2]).all(1)
    images = of[kept]
    boxes, numbers, crowd = clipped[kept].astype(np.float32), classes[kept], use[kept] == CROWD
    starts = np.flatnonzero(np.diff(images, prepend=-1)).tolist()
    ends = [*starts, len(images)][1:]
    return {
        int(images[start]): Ignored(boxes[start:end], numbers[start:end], crowd[start:end])
        for start, end in zip(starts, ends, strict=True)
    }
