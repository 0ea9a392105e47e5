"""Detections and what others make of them: supervision's, there and back."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from lehr.detections import Detections
from lehr.errors import LehrError

supervision = pytest.importorskip("supervision")
FOUND = Detections(
    "a.png",
    80,
    60,
    np.array([[1, 2, 30, 40], [5, 6, 20, 30], [40, 10, 70, 50]], np.float32),
    np.array([0.9, 0.6, 0.3], np.float32),
    np.array([1, 0, 1]),
    ("cat", "dog", "owl"),
)
NOTHING = dataclasses.replace(FOUND, boxes=FOUND.boxes[:0], scores=FOUND.scores[:0], classes=FOUND.classes[:0])
TRACKED = dataclasses.replace(FOUND, track_ids=np.array([7, 3, 5]))


def assert_same(one: Detections, other: Detections) -> None:
    assert (one.source, one.width, one.height, one.names) == (other.source, other.width, other.height, other.names)
    assert list(one) == list(other) and one.boxes.dtype == np.float32 and one.classes.dtype == np.int64


@pytest.mark.parametrize(
    "found", [FOUND, TRACKED, Detections("b.png", 8, 9, *np.split(np.zeros((0, 4)), 1), *[np.zeros(0)] * 2, ("cat",))]
)
def test_there_and_back_nothing_changes(found: Detections) -> None:
    assert_same(Detections.from_supervision(found.to_supervision(), found), found)


def test_tracks_are_kept_and_written() -> None:
    there = TRACKED.to_supervision()
    assert there.tracker_id.tolist() == [7, 3, 5] and FOUND.to_supervision().tracker_id is None
    assert [each["track"] for each in TRACKED.as_dict()["detections"]] == [7, 3, 5]
    assert all("track" not in each for each in FOUND.as_dict()["detections"])


def test_an_object_that_is_not_followed_yet_has_no_track() -> None:
    some = dataclasses.replace(FOUND, track_ids=np.array([7, -1, 0]))
    assert [each.track_id for each in some] == [7, None, 0]
    assert [each.get("track") for each in some.as_dict()["detections"]] == [7, None, 0]


def test_what_supervision_has_reordered_is_best_first_again() -> None:
    turned = TRACKED.to_supervision()[np.array([2, 0])]
    back = Detections.from_supervision(turned, TRACKED)
    assert [(each.score, each.name, each.track_id) for each in back] == [
        (pytest.approx(0.9), "dog", 7),
        (pytest.approx(0.3), "dog", 5),
    ]


def test_names_come_from_the_data_or_are_numbers() -> None:
    back = Detections.from_supervision(FOUND.to_supervision()[np.array([0])], source="x", size=(80, 60))
    assert back.names == ("0", "dog") and (back.source, back.width, back.height) == ("x", 80, 60)
    bare = supervision.Detections(xyxy=np.array([[0.0, 0, 4, 4]]))
    (one,) = Detections.from_supervision(bare)
    assert (one.score, one.class_id, one.name) == (1.0, 0, "0")


def test_classes_without_a_name_and_with_two_are_refused() -> None:
    with pytest.raises(LehrError, match="class 1 cannot be named: there are 1 class names"):
        Detections.from_supervision(FOUND.to_supervision(), names=["cat"])
    there = FOUND.to_supervision()
    there.data["class_name"] = np.array(["dog", "cat", "wolf"])
    with pytest.raises(LehrError, match="both 'dog' and 'wolf'"):
        Detections.from_supervision(there)
    there.class_id = np.array([0, -1, 2])
    with pytest.raises(LehrError, match="class -1 cannot be named"):
        Detections.from_supervision(there, FOUND)
