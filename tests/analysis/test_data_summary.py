"""A summary of the data counts what is there, and is read again from a folder that anybody may have made."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lehr.analysis.data_summary import (
    GRID,
    MAX_POINTS,
    DataSummary,
    half_octaves,
    load_data_summary,
    save_data_summary,
    summarize_anchors,
    summarize_data,
    summarize_split,
)
from lehr.errors import InputError
from lehr.sample import Dataset, Fault, Ignored, Sample, Severity
from lehr.techniques.autoanchor import object_sizes

CLASSES = 4


def samples(count: int, seed: int = 0) -> list[Sample]:
    """Images of several sizes with up to 6 objects of three of four classes, some of them difficult."""
    rng, made = np.random.default_rng(seed), []
    for index in range(count):
        width, height, objects = int(rng.integers(100, 900)), int(rng.integers(100, 900)), int(rng.integers(0, 7))
        corner = rng.random((objects, 2)) * (width / 2, height / 2)
        far = corner + 1 + rng.random((objects, 2)) ** 3 * (width / 2 - 1, height / 2 - 1)
        boxes = np.concatenate((corner, far), 1).astype(np.float32)
        difficult = rng.random(objects) < 0.2 if index % 3 == 0 else None
        made.append(
            Sample(Path(f"{index}.jpg"), width, height, boxes, rng.integers(0, 3, objects), difficult=difficult)
        )
    return made


def test_counts_equal_those_of_a_loop_over_every_object() -> None:
    data = samples(80)
    summary = summarize_split(data, CLASSES, 320)
    objects, images_with, sides = [0] * CLASSES, [0] * CLASSES, [[] for _ in range(CLASSES)]
    positions, ratios, below = np.zeros((GRID, GRID), int), [0] * 13, 0
    side_middles, ratio_middles = half_octaves(0, 26), half_octaves(-6, 6)
    histogram = [0] * 27
    for sample in data:
        for index in set(sample.classes.tolist()):
            images_with[index] += 1
        scale = 320 / max(sample.width, sample.height)
        for (x1, y1, x2, y2), index in zip(sample.boxes.tolist(), sample.classes.tolist(), strict=True):
            width, height = (x2 - x1) * scale, (y2 - y1) * scale
            objects[index] += 1
            sides[index].append(math.sqrt(width * height))
            row, column = int((y1 + y2) / 2 / sample.height * GRID), int((x1 + x2) / 2 / sample.width * GRID)
            positions[row, column] += 1
            below += min(width, height) < 8
            for value, middles, bins in (
                (sides[index][-1], side_middles, histogram),
                (width / height, ratio_middles, ratios),
            ):
                nearest = min(range(len(middles)), key=lambda k, v=value, m=middles: abs(math.log(v / m[k])))
                bins[nearest] += 1
    assert summary.images == 80 and summary.objects == objects and summary.images_with == images_with
    assert summary.background == sum(not len(sample.classes) for sample in data)
    assert summary.difficult == sum(int(each.difficult.sum()) for each in data if each.difficult is not None) > 0
    assert summary.positions == positions.tolist() and summary.below_stride == below > 0
    assert summary.sides == histogram and summary.ratios == ratios
    medians = [float(np.median(each)) if each else 0.0 for each in sides]
    assert summary.typical_sides == pytest.approx(medians, abs=0.06) and medians[3] == 0.0


def test_points_are_objects_spread_over_the_split() -> None:
    data = samples(600)
    sizes = object_sizes(data, 320).round(1).tolist()
    assert len(sizes) > 2 * MAX_POINTS
    points = summarize_split(data, CLASSES, 320).points
    assert len(points) == MAX_POINTS and points[0] == pytest.approx(sizes[0]) and points[-1] == pytest.approx(sizes[-1])


@pytest.mark.parametrize("classes", [0, 1])
def test_a_split_without_objects_is_all_zeros(classes: int) -> None:
    empty = Sample(Path("a.jpg"), 10, 10, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    for data in ([], [empty]):
        summary = summarize_split(data, classes, 640)
        assert summary.background == len(data) and summary.objects == [0] * classes and not summary.points
        assert sum(map(sum, summary.positions)) == sum(summary.sides) == sum(summary.ratios) == 0


def test_regions_that_are_no_objects_are_counted_apart() -> None:
    boxes = np.array([[1, 1, 5, 5]], np.float32)
    ignored = Ignored(boxes, np.zeros(1, np.int64), np.ones(1, np.bool_))
    sample = Sample(Path("a.jpg"), 10, 10, boxes, np.zeros(1, np.int64), ignored=ignored)
    summary = summarize_split([sample], 1, 64)
    assert summary.ignored == 1 and summary.instances == 1


def test_anchors_answer_for_objects_within_the_threshold() -> None:
    sizes = np.array([[10, 10], [39, 10], [41, 10], [1000, 1000]], np.float64)
    levels = np.array([[[10, 10], [20, 2]], [[200, 90], [249, 251]]], np.float64)
    fit = summarize_anchors(levels, sizes, 4.0)
    assert fit.bpr == 0.5 and fit.levels[1] == [(200, 90), (249, 251)]  # 41 / 10 and 1000 / 249 are above 4


def some_data(names: tuple[str, ...] = ("a", "b", "c", "d")) -> Dataset:
    faults = [Fault("box-without-area", Path(f"{i}.txt"), "no area " * 200, i, Severity.WARNING) for i in range(5)]
    faults.append(Fault("unreadable-image", Path("\x1b[31mx\n.jpg"), "cannot be read."))
    return Dataset("some/data.yaml", names, {"train": samples(20), "val": samples(5, 1)}, tuple(faults))


def test_a_summary_is_the_same_after_it_was_written(tmp_path: Path) -> None:
    names = ("<script>alert(1)</script>", "猫\u2028", "\ud800", "\x1b[31m")
    summary = summarize_data(some_data(names), 640)
    save_data_summary(tmp_path / "data.json", summary)
    assert load_data_summary(tmp_path / "data.json") == summary
    assert summary.names == [*names[:2], "?", names[3]]
    assert [each.count for each in summary.faults] == [1, 5] and len(summary.faults[1].examples) == 3
    assert summary.faults[0].examples == [r"\x1b[31mx\n.jpg: error: cannot be read. [unreadable-image]"]


def test_a_folder_without_one_has_none(tmp_path: Path) -> None:
    assert load_data_summary(tmp_path / "data.json") is None


def _replaced(content: Any, *path: Any) -> Any:
    """Content with the value at a path replaced by the last argument."""
    *keys, last, value = path
    part = content
    for key in keys:
        part = part[key]
    part[last] = value
    return content


@pytest.mark.parametrize(
    "path",
    [
        ("names", ["a"]),
        ("names", 3),
        ("imgsz", "640"),
        ("imgsz", -1),
        ("splits", "train", "objects", [1, 2, 3, -4]),
        ("splits", "train", "objects", [1, 2, 3, 1e300]),
        ("splits", "train", "positions", [[0]]),
        ("splits", "train", "points", [[1, 2, 3]]),
        ("splits", "train", "points", [[float("nan"), 2]]),
        ("splits", "train", "sides", []),
        ("faults", 0, "severity", "<b>"),
        ("faults", 0, "examples", ["x" * 1000]),
        ("anchors", {"levels": [], "threshold": 0.5, "bpr": 1}),
    ],
)
def test_what_lehr_would_not_write_is_refused(tmp_path: Path, path: tuple[Any, ...]) -> None:
    content = summarize_data(some_data(), 640).model_dump(mode="json")
    file = tmp_path / "data.json"
    file.write_text(json.dumps(content))
    assert isinstance(load_data_summary(file), DataSummary)
    file.write_text(json.dumps(_replaced(content, *path)))
    with pytest.raises(InputError, match=r"data\.json: is not a summary of data that Lehr wrote"):
        load_data_summary(file)


@pytest.mark.parametrize("data", [b"", b"[" * 100_000, b"\xff\xfe", b'{"names": ["a"'])
def test_what_is_no_json_is_refused(tmp_path: Path, data: bytes) -> None:
    (tmp_path / "data.json").write_bytes(data)
    with pytest.raises(InputError, match="is not a summary of data"):
        load_data_summary(tmp_path / "data.json")


def test_a_link_is_not_followed(tmp_path: Path) -> None:
    save_data_summary(tmp_path / "other.json", summarize_data(some_data(), 640))
    (tmp_path / "data.json").symlink_to(tmp_path / "other.json")
    with pytest.raises(InputError, match="symbolic link"):
        load_data_summary(tmp_path / "data.json")
