"""Objects keep their tracks through frames in which they are seen less clearly, or not at all; clips have their own."""

from __future__ import annotations

import builtins
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from tests.prediction.outputs.results import clip, frame_of, image

from lehr.detections import Detections
from lehr.errors import InputError
from lehr.prediction.frames import Clip, Frame
from lehr.prediction.tracking import ObjectTracker

pytest.importorskip("trackers")


def seen(frame: Frame, *objects: tuple[float, float, float]) -> Detections:
    """Squares of 10 pixels, each by left edge, upper edge and score."""
    boxes = np.array([[x, y, x + 10, y + 10] for x, y, _ in objects], np.float32).reshape(-1, 4)
    scores = np.array([score for *_, score in objects], np.float32)
    return Detections("v.mp4", 64, 48, boxes, scores, np.zeros(len(objects), np.int64), ("cat",))


def follow(tracker: ObjectTracker, of: Clip | None, *frames: list[tuple[float, float, float]]) -> list[Detections]:
    shown = [image("a.png") if of is None else frame_of(of, index) for index in range(len(frames))]
    return [tracker.update(frame, seen(frame, *objects)) for frame, objects in zip(shown, frames, strict=True)]


def tracks(found: Detections) -> list[int]:
    assert found.track_ids is not None
    return found.track_ids.tolist()


def test_two_objects_that_move_keep_their_numbers_whatever_their_order() -> None:
    frames = [[(2.0 * i, 5, 0.9), (40 - 2.0 * i, 30, 0.8)][:: 1 if i % 2 else -1] for i in range(8)]
    found = follow(ObjectTracker(0.25), clip(), *frames)
    assert {tuple(sorted(tracks(each))) for each in found[1:]} == {(1, 2)}
    number = {float(each.boxes[each.track_ids.argmin(), 1]) for each in found[1:]}  # type: ignore[union-attr]
    assert len(number) == 1 and all(list(each.scores) == sorted(each.scores, reverse=True) for each in found)


def test_a_low_score_goes_on_with_a_track_and_begins_none() -> None:
    tracker = ObjectTracker(0.5)
    assert tracker.detection_conf == 0.1
    strong, weak = [(10.0, 10.0, 0.9)], [(10.0, 10.0, 0.2)]
    found = follow(tracker, clip(), strong, strong, weak, weak, strong)
    assert [tracks(each) for each in found[1:]] == [[1]] * 4 and found[2].scores[0] == np.float32(0.2)
    assert all(len(each) == 0 for each in follow(ObjectTracker(0.5), clip(), weak, weak, weak))


def test_an_object_that_is_not_seen_for_a_while_has_its_number_again_and_another_after_long() -> None:
    here: list[tuple[float, float, float]] = [(10.0, 10.0, 0.9)]
    for gap, same in ((10, True), (60, False)):  # of 25 frames a second
        found = follow(ObjectTracker(0.25), clip(), here, here, *[[]] * gap, here, here)
        assert (tracks(found[-1]) == [1]) == same


def test_clips_have_numbers_of_their_own_and_images_are_frames_of_one() -> None:
    tracker, one, other = ObjectTracker(0.25), clip("a.mp4"), clip("b.mp4")
    here: list[tuple[float, float, float]] = [(10.0, 10.0, 0.9)]
    for of in (one, other, None):
        assert [tracks(each) for each in follow(tracker, of, here, here)] == [[-1], [1]]
    missing = replace(frame_of(one, 9), pixels=None, fault="damaged")
    lost = Detections.missing("a.mp4", ("cat",), "damaged")
    assert tracker.update(missing, lost) is lost


def test_frames_of_a_batch_are_followed_in_their_order() -> None:
    of = clip()
    find = ObjectTracker(0.25).following(lambda frames: [seen(frame, (10, 10, 0.9)) for frame in frames])
    assert [tracks(each) for each in find([frame_of(of, index) for index in range(3)])] == [[-1], [1], [1]]


def test_what_is_missing_is_said_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without(name: str, *rest: Any) -> Any:
        if name.startswith("trackers"):
            raise ImportError("No module named 'trackers'")
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(InputError, match=r"pip install '\.\[track\]'"):
        ObjectTracker(0.25)
