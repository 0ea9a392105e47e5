"""Different images that share one label file, such as `a.jpg` and `a.png` next to each other."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.augment.letterbox import resize
from lehr.data.images import ImageFault, read_image
from lehr.sample import Fault, Severity

COMPARED = 32
"""Groups of images whose pixels are compared, at most; of more, some stand for all."""
SIDE = 32
SAME_PICTURE = 8.0
"""Largest mean difference of the pixels of one image in two formats, of 255."""


def ambiguous_owners(
    images: Sequence[Path], labels: Sequence[Path], labelled: NDArray[np.bool_], sizes: NDArray[np.int32]
) -> list[tuple[int, Fault]]:
    """Find images that share their label file with a different image.

    Args:
        images: all images of a data set.
        labels: the label file of each.
        labelled: (images,), whether it has one.
        sizes: (images, 2), width and height, pixels; 0 if it cannot be used.

    Returns:
        Index and fault: an error where the labels could belong to either, a warning where both show the same.
    """
    names = [str(label) for label in labels]
    if len(set(names)) == len(names):
        return []
    owners: dict[str, dict[str, list[int]]] = defaultdict(dict)
    for index in np.flatnonzero(labelled & (sizes[:, 0] > 0)).tolist():
        owners[names[index]].setdefault(str(images[index]), []).append(index)
    groups = [group for group in owners.values() if len(group) > 1 and len(set(map(os.path.realpath, group))) > 1]
    step = -(-len(groups) // COMPARED) or 1
    differ = [not _same_picture([images[each[0]] for each in group.values()], sizes, group) for group in groups[::step]]
    alike = not any(differ)
    found = []
    for number, group in enumerate(groups):
        same = alike if step > 1 else not differ[number]
        for image, rows in group.items():
            others = " and ".join(other for other in group if other != image)
            label = names[rows[0]]
            fault = (
                Fault(
                    "duplicate-image",
                    Path(image),
                    f"shows the same as {others}, whose label file it shares; both are used",
                    severity=Severity.WARNING,
                )
                if same
                else Fault(
                    "ambiguous-image",
                    Path(image),
                    f"has another content than {others}, but the same label file, {label}, which could belong to "
                    "either; it is skipped. Give each image a unique name, or move those that are not labelled",
                )
            )
            found += [(row, fault) for row in (rows[:1] if same else rows)]
    return found


def _same_picture(paths: Sequence[Path], sizes: NDArray[np.int32], group: dict[str, list[int]]) -> bool:
    """Compare images by a few of their pixels."""
    if len({tuple(sizes[rows[0]].tolist()) for rows in group.values()}) > 1:
        return False
    try:
        small = [resize(read_image(path), SIDE, SIDE).astype(np.float64) for path in paths]
    except ImageFault:
        return True  # reported as what it is, where it is decoded
    return all(float(np.abs(one - other).mean()) < SAME_PICTURE for one, other in combinations(small, 2))
