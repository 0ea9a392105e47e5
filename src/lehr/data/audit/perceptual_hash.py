"""Perceptual hashes of images: 64 bits that copies share except for a few, whatever processing they went through.

A hash holds the signs of an image's lowest frequencies against their median (the DCT hash of Zauner, "Implementation
and benchmarking of perceptual image hash functions", 2010). It does not survive a crop or a moved camera, so an image
has the hashes of several windows of it, each of which is compared with the middle of the others.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from lehr.runtime.device import available_cores

SIDE = 48
"""Side of the thumbnails that hashes are made of, pixels."""
CELLS, KEPT = 32, 8
"""Cells along a window's side, and the lowest frequencies of them along each axis."""
MIDDLE, SHIFT, ZOOM = 0.84, 0.06, 0.72
"""Share of the sides that the middle window has, by which others are shifted against it, and that the smallest has."""
MAX_DISTANCE = 16
"""Bits in which near copies differ at most: those cropped by up to a tenth of each side, or shifted by as much."""
NEAREST = 6
"""Candidates of an image in its own split, and as many in the others."""
CHUNK = 1024
"""Thumbnails that are hashed at once."""
BLOCK = 2_000_000
"""Hashes that are compared at once, which stay in the processor's cache."""


def image_hashes(thumbnails: NDArray[np.uint8]) -> NDArray[np.uint64]:
    """Return the hashes of images.

    Args:
        thumbnails: (n, SIDE, SIDE), grey.

    Returns:
        (windows, n); the first window is the middle, which the others are compared with.
    """
    hashes = np.empty((len(_WINDOWS), len(thumbnails)), np.uint64)
    for start in range(0, len(thumbnails), CHUNK):
        pixels = thumbnails[start : start + CHUNK].astype(np.float32)
        for number, (rows, columns) in enumerate(_WINDOWS):
            frequencies = (rows @ pixels @ columns.T).reshape(len(pixels), -1)[:, 1:]  # without the mean
            bits = np.zeros((len(pixels), KEPT * KEPT), np.bool_)
            bits[:, 1:] = frequencies > np.median(frequencies, axis=1, keepdims=True)
            hashes[number, start : start + CHUNK] = np.packbits(bits, axis=1).view(np.uint64)[:, 0]
    return hashes


def near_pairs(hashes: NDArray[np.uint64], splits: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """List pairs of images whose hashes are near, the nearest first.

    All are compared with all, packed into 64 bits each; 100,000 images take minutes. Of images that are near to many,
    as all frames of a fixed camera are, only the nearest count.

    Args:
        hashes: (windows, n).
        splits: (n,), the split of each image.

    Returns:
        Lower index, higher index and distance in bits of each pair.
    """
    count = hashes.shape[1]
    rows = max(1, BLOCK // max(count, 1))
    found: dict[tuple[int, int], int] = {}
    with ThreadPoolExecutor(available_cores()) as pool:
        for block in pool.map(lambda start: _near_block(hashes, splits, start, rows), range(0, count, rows)):
            for low, high, distance in block:
                found[low, high] = min(distance, found.get((low, high), distance))
    return sorted(((low, high, bits) for (low, high), bits in found.items()), key=lambda pair: (pair[2], pair[:2]))


def _near_block(
    hashes: NDArray[np.uint64], splits: NDArray[np.int64], start: int, rows: int
) -> list[tuple[int, int, int]]:
    """The near pairs of a block of images with all others."""
    middle = hashes[0]
    least = np.full((min(rows, len(middle) - start), len(middle)), 64, np.uint8)
    for window in hashes[:, start : start + rows]:
        np.minimum(least, np.bitwise_count(window[:, None] ^ middle[None]), out=least)
    own = np.arange(len(least))
    least[own, own + start] = 64
    pairs = []
    for row in np.flatnonzero((least <= MAX_DISTANCE).any(1)).tolist():
        index = start + row
        near = np.flatnonzero(least[row] <= MAX_DISTANCE)
        near = near[np.argsort(least[row, near], kind="stable")]
        same = splits[near] == splits[index]
        chosen = (*near[same][:NEAREST].tolist(), *near[~same][:NEAREST].tolist())
        pairs += [(min(index, other), max(index, other), int(least[row, other])) for other in chosen]
    return pairs


def _resampling(low: float, high: float) -> NDArray[np.float32]:
    """Average the pixels of a window, given by shares of the side, into cells, and take their lowest frequencies."""
    edges = np.linspace(low * SIDE, high * SIDE, CELLS + 1)
    pixels = np.arange(SIDE)
    overlap = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    cells = np.maximum(overlap, 0)
    cells /= cells.sum(1, keepdims=True)
    angles = math.pi / (2 * CELLS) * np.outer(np.arange(KEPT), 2 * np.arange(CELLS) + 1)
    return np.asarray(np.cos(angles) @ cells, np.float32)


def _windows() -> Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]]:
    """The maps from pixels to frequencies of each window, of rows and of columns."""
    first, small = (1 - MIDDLE) / 2, (1 - ZOOM) / 2
    shifts = (0.0, -SHIFT, SHIFT)
    middles = [(first + shift, first + shift + MIDDLE) for shift in shifts]
    windows = [(y, x) for y in middles for x in middles] + [((0.0, 1.0),) * 2, ((small, 1 - small),) * 2]
    return [(_resampling(*rows), _resampling(*columns)) for rows, columns in windows]


_WINDOWS = _windows()
