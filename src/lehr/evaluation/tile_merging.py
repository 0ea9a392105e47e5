"""Detections of an image's tiles put together: each object once, also where a border between tiles cuts it.

Tiles overlap, so that an object near a border is found twice, and one across a border is found in parts. What a tile
shows of an object ends at the tile's border: a detection that touches a border with image behind it is a *fragment*,
any other is *whole*. Four steps:

1. A fragment that is inside a whole detection of another tile is dropped, of whatever class: a part of an object looks
   like something else more often than the object does. Only a detection with a fair score counts (`SCORE_SHARE`).
2. Fragments of one class are one object where they agree in what both tiles show: `IoU(a in both, b in both)` above
   `SAME`, each the other's best. Both are continued beyond the borders that cut them, so that tiles that only touch
   agree as well. Each side of the joined box is that of the best fragment which is not cut there. Fragments that have
   found no other of their class are then joined with those of other classes, to one of the better one's.
3. Step 1 again, with the joined ones as whole.
4. Suppression between tiles: a box is dropped that overlaps a better one of its class and of another tile by more
   than `SAME`. Those of one tile were compared before, by the overlap that the user gave.

Akyon, Altinuc and Temizel, "Slicing Aided Hyper Inference", 2022, merge by the intersection over the smaller box
instead, which takes small objects in front of large ones of their class for parts of them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Indices = NDArray[np.int64]

SAME = 0.5
"""Overlap from which detections of different tiles are the same object."""
SCORE_SHARE = 0.5
"""Share of a fragment's score that a whole detection must have to stand for it."""
BORDER = 2.0
"""Distance from a border at which a box touches it, network pixels."""
CANDIDATES, CANDIDATES_EACH = 8192, 27
"""Best detections of an image that are compared: so many, or so many for each one that is kept at most."""
PAIRS = 2**22
"""Pairs of boxes that are compared at once."""
LEFT_TOP = (0, 1)
"""Columns of the sides of a box that are outermost where they are least."""


@dataclass(frozen=True, slots=True)
class TileDetections:
    """Detections of all tiles of an image.

    Attributes:
        boxes: float64 (n, 4), xyxy in pixels of the image.
        scores: float64 (n,).
        classes: int64 (n,).
        tiles: int64 (n,), the tile of each; below 0 for what was joined from several.
    """

    boxes: Floats
    scores: Floats
    classes: Indices
    tiles: Indices

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: NDArray[np.bool_] | Indices | slice) -> TileDetections:
        return TileDetections(self.boxes[chosen], self.scores[chosen], self.classes[chosen], self.tiles[chosen])


def merge_tiles(
    found: TileDetections,
    windows: Indices,
    size: tuple[int, int],
    *,
    pixel: float = 1.0,
    max_det: int = 300,
    agnostic: bool = False,
) -> TileDetections:
    """Merge the detections of an image's tiles.

    Args:
        found: what each tile's suppression kept.
        windows: int64 (tiles, 4), what each tile shows, xyxy in pixels of the image.
        size: width and height of the image, pixels.
        pixel: image pixels a pixel of the network's input.
        max_det: most detections kept.
        agnostic: whether those of different classes are the same object too.

    Returns:
        Best first.
    """
    found = found[np.argsort(-found.scores, kind="stable")[: max(CANDIDATES, CANDIDATES_EACH * max_det)]]
    if len(windows) > 1 and len(found):
        cut = _cut_sides(found, windows, size, pixel)
        left, right = _meeting(found, windows, pixel)
        kept = ~_in_whole(found, _is_whole(cut), left, right)
        groups = _grouped(found, cut, kept, windows, pixel, left, right)
        found, whole = _as_one(found, cut, groups, kept)
        left, right = _meeting(found, windows, pixel)
        found = found[~_in_whole(found, whole, left, right)]
        found = found[_best_of_same(found, agnostic)]
    return found[:max_det] if len(found) > max_det else found


def _cut_sides(found: TileDetections, windows: Indices, size: tuple[int, int], pixel: float) -> NDArray[np.bool_]:
    """Sides of boxes at which a tile's border cuts the object: bool (n, 4), left, top, right, bottom."""
    window = windows[found.tiles]
    inner = window != np.array([0, 0, *size])
    return np.asarray((np.abs(found.boxes - window) <= BORDER * pixel) & inner)


def _is_whole(cut: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Boxes that are cut at no side: bool (n,)."""
    return np.asarray(~cut.any(1))


def _in_whole(found: TileDetections, whole: NDArray[np.bool_], left: Indices, right: Indices) -> NDArray[np.bool_]:
    """Fragments inside whole detections of other tiles: bool (n,).

    Args:
        found: the detections.
        whole: bool (n,), which are whole.
        left: pairs that meet, by index.
        right: the others of the pairs.
    """
    part, of = np.concatenate((left, right)), np.concatenate((right, left))
    asked = ~whole[part] & whole[of] & (found.scores[of] >= SCORE_SHARE * found.scores[part])
    part, of = part[asked], of[asked]
    inside = _area(_intersection(found.boxes[part], found.boxes[of])) > SAME * _area(found.boxes[part])
    return np.asarray(np.bincount(part[inside], minlength=len(found)) > 0)


def _grouped(
    found: TileDetections,
    cut: NDArray[np.bool_],
    kept: NDArray[np.bool_],
    windows: Indices,
    pixel: float,
    left: Indices,
    right: Indices,
) -> Indices:
    """Group fragments of one object, of one class if there are such; arguments and result as `_joined`.

    Args:
        kept: bool (n,), those that were not dropped.
    """
    both = kept[left] & kept[right]
    left, right = left[both], right[both]
    alike = found.classes[left] == found.classes[right]
    groups = _joined(found, cut, windows, pixel, left[alike], right[alike])
    alone = np.bincount(groups, minlength=len(found))[groups] == 1
    rest = alone[left] & alone[right]
    return np.where(alone, _joined(found, cut, windows, pixel, left[rest], right[rest]), groups)


def _joined(
    found: TileDetections, cut: NDArray[np.bool_], windows: Indices, pixel: float, left: Indices, right: Indices
) -> Indices:
    """Group fragments of one object: int64 (n,), the lowest index of each one's group.

    Args:
        found: the detections.
        cut: bool (n, 4), sides at which they are cut.
        windows: what each tile shows.
        pixel: image pixels a pixel of the network's input.
        left: pairs that may be one object, by index.
        right: the others of the pairs.
    """
    whole = _is_whole(cut)
    both = ~whole[left] & ~whole[right]
    left, right = left[both], right[both]
    edge = BORDER * pixel * np.array([-1, -1, 1, 1])
    wide = windows + edge  # so that tiles which only touch have a strip in common
    continued = np.where(cut, wide[found.tiles], found.boxes)
    shared = _intersection(wide[found.tiles[left]], wide[found.tiles[right]])
    agree = _iou(_intersection(continued[left], shared), _intersection(continued[right], shared))
    same = agree > SAME
    left, right, agree = left[same], right[same], agree[same]
    mutual = _is_best(left, found.tiles[right], agree) & _is_best(right, found.tiles[left], agree)
    return _components(len(found), left[mutual], right[mutual])


def _is_best(each: Indices, tile: Indices, value: Floats) -> NDArray[np.bool_]:
    """Pairs that are the best of a detection with a tile: bool (pairs,).

    Args:
        each: int64 (pairs,), the detection.
        tile: int64 (pairs,), the tile of the other.
        value: float64 (pairs,), higher is better.
    """
    order = np.lexsort((-value, tile, each))
    first = np.ones(len(order), bool)
    first[1:] = (np.diff(each[order]) != 0) | (np.diff(tile[order]) != 0)
    best = np.zeros(len(order), bool)
    best[order[first]] = True
    return best


def _components(count: int, left: Indices, right: Indices) -> Indices:
    """Connected components of a graph: int64 (count,), the lowest index of each one's component."""
    labels = np.arange(count)
    while True:
        lowest = np.minimum(labels[left], labels[right])
        after = labels.copy()
        np.minimum.at(after, left, lowest)
        np.minimum.at(after, right, lowest)
        after = after[after]
        if np.array_equal(after, labels):
            return labels
        labels = after


def _as_one(
    found: TileDetections, cut: NDArray[np.bool_], groups: Indices, kept: NDArray[np.bool_]
) -> tuple[TileDetections, NDArray[np.bool_]]:
    """Make one detection of each group, and say which are whole; the rest stay unchanged.

    Args:
        found: the detections, best first.
        cut: bool (n, 4), sides at which they are cut.
        groups: int64 (n,), the group of each, which is the index of its best.
        kept: bool (n,), those that were not dropped.

    Returns:
        The detections, best first, and bool (m,).
    """
    sizes = np.bincount(groups, minlength=len(found))
    boxes = found.boxes.copy()
    for side in range(4):
        known = np.flatnonzero(kept & ~cut[:, side])[::-1]  # best last, so that its side remains
        outermost = np.minimum if side in LEFT_TOP else np.maximum
        column = boxes[:, side].copy()
        outermost.at(column, groups, boxes[:, side])
        column[groups[known]] = found.boxes[known, side]
        boxes[:, side] = column
    heads = kept & (groups == np.arange(len(found)))
    several = sizes > 1
    tiles = np.where(several, -1 - np.arange(len(found)), found.tiles)
    merged = replace(found, boxes=np.where(several[:, None], boxes, found.boxes), tiles=tiles)
    return merged[heads], (several | _is_whole(cut))[heads]


def _best_of_same(found: TileDetections, agnostic: bool) -> NDArray[np.bool_]:
    """Detections that no better one of another tile and their class overlaps: bool (n,).

    Args:
        found: the detections, best first.
        agnostic: whether all classes count as one.
    """
    better, worse = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    for some, others in _touching(found.boxes):
        alike = (found.tiles[some] != found.tiles[others]) & (agnostic | (found.classes[some] == found.classes[others]))
        some, others = some[alike], others[alike]
        same = _iou(found.boxes[some], found.boxes[others]) > SAME
        better.append(np.minimum(some, others)[same])
        worse.append(np.maximum(some, others)[same])
    by, of = np.concatenate(better), np.concatenate(worse)
    keep = np.ones(len(found), bool)
    while True:  # what is dropped drops nothing; right for the k best after k rounds, and mostly for all after a few
        after = np.bincount(of[keep[by]], minlength=len(found)) == 0
        if np.array_equal(after, keep):
            return keep
        keep = after


def _meeting(found: TileDetections, windows: Indices, pixel: float) -> tuple[Indices, Indices]:
    """Pairs of detections of different tiles whose boxes touch, with the tolerance of a border."""
    left, right = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)]
    grown = found.boxes + BORDER * pixel * np.array([-1, -1, 1, 1])
    for some, others in _touching(grown):
        apart = found.tiles[some] != found.tiles[others]
        left.append(some[apart])
        right.append(others[apart])
    return np.concatenate(left), np.concatenate(right)


def _touching(boxes: Floats) -> Iterator[tuple[Indices, Indices]]:
    """Pairs of boxes (n, 4) that overlap, each once, some at a time: found along the longer axis of all boxes."""
    if not len(boxes):
        return
    axis = int(np.argmax(boxes[:, 2:].max(0) - boxes[:, :2].min(0)))
    order = np.argsort(boxes[:, axis], kind="stable")
    low, high = boxes[order, axis], boxes[order, axis + 2]
    counts = np.maximum(np.searchsorted(low, high, "left") - np.arange(1, len(order) + 1), 0)
    ends = np.cumsum(counts)
    start = 0
    while start < len(order):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + PAIRS, "right")))
        some = np.repeat(np.arange(start, stop), counts[start:stop])
        firsts = np.repeat(ends[start:stop] - counts[start:stop] - done, counts[start:stop])
        others = some + 1 + np.arange(len(some)) - firsts
        some, others = order[some], order[others]
        cross = 1 - axis
        meets = (boxes[some, cross] < boxes[others, cross + 2]) & (boxes[others, cross] < boxes[some, cross + 2])
        yield some[meets], others[meets]
        start = stop


def _intersection(a: Floats, b: Floats) -> Floats:
    """Intersections of boxes (n, 4) with boxes (n, 4); without area if they do not meet."""
    low = np.maximum(a[:, :2], b[:, :2])
    return np.concatenate((low, np.maximum(np.minimum(a[:, 2:], b[:, 2:]), low)), 1)


def _area(boxes: Floats) -> Floats:
    area: Floats = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return area


def _iou(a: Floats, b: Floats) -> Floats:
    """Overlap of boxes (n, 4) with boxes (n, 4), pair by pair, 0 to 1."""
    shared = _area(_intersection(a, b))
    return np.asarray(shared / np.maximum(_area(a) + _area(b) - shared, 1e-12))
