"""Images that belong together stay together when a data set is split."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lehr.data.groups import describe_groups, group_samples
from lehr.data.split import split_samples
from lehr.errors import InputError
from lehr.sample import Sample


def samples_named(*names: str, root: Path = Path("nowhere")) -> list[Sample]:
    boxes, classes = np.array([[0, 0, 9, 9]], np.float32), np.zeros(1, np.int64)
    return [Sample(root / name, 10, 10, boxes, classes) for name in names]


def named_groups(samples: list[Sample], by: str) -> list[set[str]]:
    groups: dict[int, set[str]] = {}
    for sample, group in zip(samples, group_samples(samples, by), strict=True):
        groups.setdefault(group, set()).add(sample.path.name)
    return [names for names in groups.values() if len(names) > 1]


def test_copies_under_other_names_are_one_group(tmp_path: Path) -> None:
    for name, content in {"a.jpg": b"one", "b.jpg": b"two", "deep copy.png": b"one", "c.jpg": b"three!"}.items():
        (tmp_path / name).write_bytes(content)
    samples = samples_named("a.jpg", "b.jpg", "deep copy.png", "c.jpg", "gone.jpg", "gone too.jpg", root=tmp_path)
    assert named_groups(samples, "auto") == [{"a.jpg", "deep copy.png"}]
    assert named_groups(samples, "none") == []


def test_versions_of_a_photograph_are_one_group() -> None:
    names = (
        "cat_jpg.rf.0a1b2c.jpg",
        "cat_jpg.rf.ffff.jpg",
        "cat.png.rf.77.jpg",
        "dog_jpeg.rf.12.jpg",
        "cat2_jpg.rf.1.jpg",
    )
    assert named_groups(samples_named(*names), "auto") == [set(names[:3])]


def test_frames_of_a_video_are_one_group_when_asked_for_and_named_when_not() -> None:
    names = [f"{video}_frame_{number:05}.jpg" for video in ("cam1", "cam2") for number in range(6)]
    samples = samples_named(*names, "poster.jpg")
    assert named_groups(samples, "auto") == []
    assert named_groups(samples, "video") == [set(names[:6]), set(names[6:])]
    (hint,) = describe_groups(samples, group_samples(samples), "auto")
    assert "12 images" in hint and "2 videos" in hint and "--group-by video" in hint
    assert describe_groups(samples, group_samples(samples, "video"), "video") == [
        "12 images are in 2 groups that stay together in one split (--group-by video)."
    ]


def test_a_pattern_names_the_groups() -> None:
    samples = samples_named("p1/a.jpg", "p1/b.jpg", "p2/c.jpg", "other.jpg")
    assert named_groups(samples, r"/(p\d+)/") == [{"a.jpg", "b.jpg"}]
    assert named_groups(samples, "folder") == [{"a.jpg", "b.jpg"}]
    with pytest.raises(InputError, match="no regular expression"):
        group_samples(samples, "(")
    with pytest.raises(InputError, match="matches no image"):
        group_samples(samples, "never")


@given(st.lists(st.integers(0, 9), min_size=8, max_size=60), st.integers(0, 99))
def test_no_group_is_divided_and_shares_are_kept_as_far_as_groups_allow(raw: list[int], seed: int) -> None:
    samples = samples_named(*(f"{index}.jpg" for index in range(len(raw))))
    numbers: dict[int, int] = {}
    groups = [numbers.setdefault(group, len(numbers)) for group in raw]
    dealt = split_samples(samples, {"train": 0.7, "val": 0.3}, seed, groups)
    where = {sample.path: split for split, own in dealt.items() for sample in own}
    assert len(where) == len(samples)
    for number in set(groups):
        own = {where[s.path] for s, group in zip(samples, groups, strict=True) if group == number}
        assert len(own) == 1
    largest = max(groups.count(number) for number in set(groups))
    assert abs(len(dealt["train"]) - 0.7 * len(samples)) <= largest


def test_groups_of_one_change_nothing() -> None:
    samples = samples_named(*(f"{index}.jpg" for index in range(40)))
    ratios = {"train": 0.7, "val": 0.3}
    alone = split_samples(samples, ratios, 3)
    grouped = split_samples(samples, ratios, 3, list(range(40)))
    assert [s.path for s in alone["val"]] == [s.path for s in grouped["val"]]
