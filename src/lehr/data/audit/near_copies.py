"""Near copies among the images of a data set: the same file, a photograph written again, frames of one video.

Perceptual hashes select candidate pairs, which are then aligned and compared. Near copies of the same image form one
group, and pairs within a group are not compared again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.data.audit.alignment import alike
from lehr.data.audit.perceptual_hash import SIDE, image_hashes, near_pairs
from lehr.data.groups import same_content
from lehr.data.images import ImageFault, read_image
from lehr.runtime.counted import counted
from lehr.runtime.device import available_cores
from lehr.sample import Sample

FINE_SIDE = 160
"""Side at which pairs are compared at last, pixels."""
PROMISING, NEAR = 0.5, 0.8
"""Correlation of aligned thumbnails from which the images themselves are compared; and of these from which they are
near copies. Different photographs of blood cells stay below 0.6, copies are above 0.9 (docs/data.md)."""
AT_ONCE = 256
"""Pairs that are compared before groups are joined."""
KEPT_IMAGES = 1024


@dataclass(frozen=True, slots=True)
class NearCopies:
    """Near copies of a data set.

    Attributes:
        links: lower index, higher index and their similarity, 0 to 1; 1 for files of the same content.
        groups: indices of images that are linked, directly or through others; each of two or more.
        unread: indices of images that could not be read and are in no group.
    """

    links: list[tuple[int, int, float]]
    groups: list[list[int]]
    unread: list[int]


def find_near_copies(
    samples: Sequence[Sample], splits: Sequence[int], say: Callable[[str], None] = lambda line: None
) -> NearCopies:
    """Find near copies.

    Args:
        samples: the images, of all splits.
        splits: the number of each one's split.
        say: called with progress messages.
    """
    thumbnails, unread = _thumbnails([sample.path for sample in samples])
    readable = np.setdiff1d(np.arange(len(samples)), unread)
    numbers = np.asarray(splits, np.int64)
    groups = _Groups(len(samples))
    links = []
    first: dict[object, int] = {}
    for index, key in enumerate(same_content(samples)):
        if key is not None and groups.join(first.setdefault(key, index), index):
            links.append((first[key], index, 1.0))
    say(f"{counted(len(readable), 'image')} hashed; comparing.")
    pairs = near_pairs(image_hashes(thumbnails[readable]), numbers[readable])
    candidates = [(int(readable[low]), int(readable[high]), bits) for low, high, bits in pairs]
    # Pairs across splits first: where two pairs join the same groups, a leak is shown by images of both splits.
    candidates.sort(key=lambda pair: (splits[pair[0]] == splits[pair[1]], pair[2]))
    links += _verified(samples, thumbnails, candidates, groups)
    return NearCopies(links, groups.of_several(), unread)


class _Groups:
    """Groups of items that are joined two at a time (union-find)."""

    def __init__(self, count: int) -> None:
        self._parent = list(range(count))

    def root(self, index: int) -> int:
        """Return the representative of a group."""
        while self._parent[index] != index:
            self._parent[index] = self._parent[self._parent[index]]
            index = self._parent[index]
        return index

    def join(self, a: int, b: int) -> bool:
        """Join the groups of two items; return whether they were distinct."""
        a, b = self.root(a), self.root(b)
        self._parent[max(a, b)] = min(a, b)
        return a != b

    def of_several(self) -> list[list[int]]:
        """The groups of two or more."""
        members: dict[int, list[int]] = defaultdict(list)
        for index in range(len(self._parent)):
            members[self.root(index)].append(index)
        return [group for group in members.values() if len(group) > 1]


def _verified(
    samples: Sequence[Sample],
    thumbnails: NDArray[np.uint8],
    candidates: Sequence[tuple[int, int, int]],
    groups: _Groups,
) -> list[tuple[int, int, float]]:
    """The pairs that are near copies; their groups are joined."""

    @lru_cache(KEPT_IMAGES)
    def fine(index: int) -> NDArray[np.uint8] | None:
        return read_grey(samples[index].path, FINE_SIDE)

    def compare(pair: tuple[int, int, int]) -> float:
        low, high, _ = pair
        score, affine = alike(thumbnails[low], thumbnails[high])
        if score < PROMISING:
            return 0.0
        image, other = fine(low), fine(high)
        return 0.0 if image is None or other is None else alike(image, other, affine)[0]

    links = []
    with ThreadPoolExecutor(available_cores()) as pool:
        for start in range(0, len(candidates), AT_ONCE):
            batch = [p for p in candidates[start : start + AT_ONCE] if groups.root(p[0]) != groups.root(p[1])]
            for (low, high, _), score in zip(batch, pool.map(compare, batch), strict=True):
                if score >= NEAR:
                    groups.join(low, high)
                    links.append((low, high, score))
    return links


def read_grey(path: Path, side: int) -> NDArray[np.uint8] | None:
    """Read an image as a grey square, whatever its shape; None if it cannot be read.

    Args:
        path: the file; a large JPEG is decoded at reduced size.
        side: of the square, pixels.
    """
    try:
        image = read_image(path, least=(side, side))
    except ImageFault:
        return None
    small = cv2.resize(image, (side, side), interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.cvtColor(small, cv2.COLOR_RGB2GRAY), np.uint8)


def _thumbnails(paths: Sequence[Path]) -> tuple[NDArray[np.uint8], list[int]]:
    """Thumbnails (n, SIDE, SIDE) of images, and indices of those that cannot be read."""
    thumbnails = np.zeros((len(paths), SIDE, SIDE), np.uint8)

    def read(index: int) -> bool:
        image = read_grey(paths[index], SIDE)
        if image is not None:
            thumbnails[index] = image
        return image is not None

    with ThreadPoolExecutor(available_cores()) as pool:
        read_them = list(pool.map(read, range(len(paths)), chunksize=1))
    return thumbnails, [index for index, done in enumerate(read_them) if not done]
