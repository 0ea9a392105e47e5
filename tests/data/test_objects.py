"""The checks of all boxes at once find what a slow look at one after the other finds."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from lehr.data.objects import check_objects, checked_objects


def look_at_each(boxes: np.ndarray, classes: np.ndarray, width: int, height: int) -> tuple[list[int], list[str]]:
    """Indices of the boxes that are kept, and the kinds of faults in their order."""
    kept: list[int] = []
    kinds: list[str] = []
    for i, (x1, y1, x2, y2) in enumerate(boxes.tolist()):
        left, right = min(max(x1, 0), width), min(max(x2, 0), width)
        top, bottom = min(max(y1, 0), height), min(max(y2, 0), height)
        overhang = max(left - x1, top - y1, x2 - right, y2 - bottom, x1 - left, y1 - top)
        if not np.isfinite([x1, y1, x2, y2]).all():
            kinds.append("malformed-line")
        elif x2 <= x1 or y2 <= y1:
            kinds.append("box-without-area")
        elif right <= left or bottom <= top:
            kinds.append("box-outside-image")
        elif any(classes[i] == classes[j] and (boxes[i] == boxes[j]).all() for j in kept):
            kinds.append("duplicate-box")
        else:
            if overhang > 1:
                kinds.append("box-outside-image")
            kept.append(i)
    return kept, kinds


def test_many_images_at_once_are_as_one_after_the_other() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(0, 12, 60)
    images = np.repeat(np.arange(60), counts)
    sizes = rng.integers(20, 60, (60, 2)).astype(float)
    boxes = rng.integers(-12, 70, (len(images), 4)).astype(float)
    boxes[:, 2:] += rng.integers(0, 30, (len(images), 2))
    boxes[rng.random(len(images)) < 0.05, 2] = np.nan
    again = rng.random(len(images)) < 0.3
    boxes[1:][again[1:]] = boxes[:-1][again[1:]]
    boxes[boxes == 0] *= -1  # -0.0 equals 0.0
    classes = rng.integers(0, 2, len(images))
    paths = [Path(f"{i}.txt") for i in range(60)]
    lines = np.arange(1, len(images) + 1)
    checked = check_objects(boxes, classes, images=images, sizes=sizes, paths=paths, lines=lines)
    kept: list[int] = []
    faults: list[tuple[str, str]] = []
    for i in range(60):
        own = np.flatnonzero(images == i)
        width, height = sizes[i].astype(int).tolist()
        good, kinds = look_at_each(boxes[own], classes[own], width, height)
        kept += own[good].tolist()
        faults += [(f"{i}.txt", kind) for kind in kinds]
        single = checked_objects(
            boxes[own], classes[own], width=width, height=height, path=paths[i], lines=lines[own].tolist()
        )
        assert [fault.kind for fault in single[2]] == kinds
    assert checked.kept.tolist() == kept and len(kept) > 30
    assert [(str(fault.path), fault.kind) for _, fault in checked.faults] == faults
    assert {kind for _, kind in faults} == {
        *("malformed-line", "box-without-area", "box-outside-image", "duplicate-box")
    }
    assert (checked.boxes >= 0).all() and (checked.boxes <= np.tile(sizes[images[kept]], 2)).all()


def test_a_repeated_box_names_the_first_by_its_line_or_its_number() -> None:
    boxes = np.array([[0.0, 0, 5, 5], [1, 1, 6, 6], [0, 0, 5, 5]])
    classes = np.zeros(3, np.int64)
    for lines, words in (([4, 5, 9], "line 4"), ([None] * 3, "object 1")):
        faults = checked_objects(boxes, classes, width=9, height=9, path=Path("a.txt"), lines=lines)[2]
        assert len(faults) == 1 and words in faults[0].message
