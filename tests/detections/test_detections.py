"""Detections as users handle them: indexed, filtered, sorted, drawn, saved and shown."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageShow

from lehr.detections import Detection, Detections
from lehr.errors import InputError, LehrError

FOUND = Detections(
    "a.png",
    80,
    60,
    np.array([[1, 2, 31, 42], [5, 6, 20, 30], [40, 10, 70, 50]], np.float32),
    np.array([0.9, 0.6, 0.3], np.float32),
    np.array([1, 0, 1]),
    ("cat", "dog", "owl"),
)
NOTHING = FOUND[:0]
TRACKED = dataclasses.replace(FOUND, track_ids=np.array([7, -1, 5]))


@pytest.mark.parametrize(
    ("which", "scores"),
    [
        (slice(1, None), [0.6, 0.3]),
        (slice(None, None, -1), [0.3, 0.6, 0.9]),
        ([2, 0], [0.3, 0.9]),
        ((-1,), [0.3]),
        (np.array([0, 2]), [0.9, 0.3]),
        (np.array([True, False, True]), [0.9, 0.3]),
        ([False, False, False], []),
        ([], []),
    ],
)
def test_some_of_the_objects_are_taken_together_with_their_tracks(which: Any, scores: list[float]) -> None:
    some = TRACKED[which]
    assert isinstance(some, Detections) and some.scores.tolist() == pytest.approx(scores)
    assert some.source == "a.png" and some.names == FOUND.names
    place = {0.9: 7, 0.6: -1, 0.3: 5}
    assert some.track_ids is not None and some.track_ids.tolist() == [place[score] for score in scores]


@pytest.mark.parametrize("number", [0, -1, np.int64(2), np.array(1)[()]])
def test_a_number_gives_one_object(number: Any) -> None:
    one = FOUND[number]
    assert isinstance(one, Detection) and one == list(FOUND)[int(number)]


@pytest.mark.parametrize(
    ("which", "error", "words"),
    [
        (3, IndexError, "There are 3 detections, and none of index 3"),
        (-4, IndexError, "none of index -4"),
        ([0, 9], IndexError, "There are 3 detections"),
        ([True], IndexError, "The mask has 1 elements for 3 detections"),
        ("cat", TypeError, "filter(classes='cat')"),
        (1.5, TypeError, "not float"),
        ([[0]], TypeError, "not list"),
    ],
)
def test_a_wrong_index_is_answered(which: Any, error: type[Exception], words: str) -> None:
    with pytest.raises(error) as caught:
        FOUND[which]
    assert words in str(caught.value)


def test_objects_are_filtered_by_class_score_and_area() -> None:
    assert [each.name for each in FOUND.filter(classes="dog")] == ["dog", "dog"]
    assert [each.name for each in FOUND.filter(classes=[0, "owl"])] == ["cat"]
    assert len(FOUND.filter(conf=0.6)) == 2 and len(FOUND.filter(conf=0.61, classes="cat")) == 0
    assert FOUND.filter(min_area=1200).scores.tolist() == pytest.approx([0.9, 0.3])
    with pytest.raises(InputError, match="no class 'cow'"):
        FOUND.filter(classes="cow")


@pytest.mark.parametrize(
    ("by", "descending", "order"),
    [("area", None, [0, 2, 1]), ("x", None, [0, 1, 2]), ("y", True, [2, 1, 0]), ("score", False, [2, 1, 0])],
)
def test_objects_are_sorted(by: Any, descending: bool | None, order: list[int]) -> None:
    assert FOUND.sorted(by, descending=descending) == FOUND[order]
    assert FOUND.sorted("class") == FOUND[[1, 0, 2]]  # equal ones keep their order
    with pytest.raises(ValueError, match="sorted by score, area"):
        FOUND.sorted("size")  # type: ignore[arg-type]


def test_detections_are_equal_by_what_they_hold() -> None:
    assert dataclasses.replace(FOUND, boxes=FOUND.boxes.copy(), image=np.zeros((60, 80, 3), np.uint8)) == FOUND
    assert FOUND != TRACKED and FOUND[:2] != FOUND and FOUND != "a.png"
    assert not NOTHING and FOUND


def test_a_repr_says_what_was_found_where() -> None:
    assert repr(FOUND) == "Detections(3: 1 cat, 2 dog; a.png, 80 x 60)"
    assert repr(NOTHING) == "Detections(nothing found; a.png, 80 x 60)"
    assert repr(dataclasses.replace(FOUND[:1], frame=4, source="v.mp4")).endswith("1 dog; v.mp4, frame 4, 80 x 60)")
    assert "not read: a.png: is cut off" in repr(Detections.missing("a.png", ("cat",), "a.png: is cut off"))
    assert repr(TRACKED[0]) == "Detection(#7 dog 0.90, xyxy=(1.0, 2.0, 31.0, 42.0))"


def test_boxes_have_other_forms() -> None:
    np.testing.assert_allclose(FOUND.xywh, [[16, 22, 30, 40], [12.5, 18, 15, 24], [55, 30, 30, 40]])
    assert FOUND[0].xywh == (16, 22, 30, 40) and FOUND[0].area == 1200
    assert type(FOUND.xyxy) is np.ndarray and FOUND.counts == {"cat": 1, "dog": 2}


@pytest.mark.parametrize(
    ("value", "name", "words"),
    [
        (FOUND, "conf", "use `scores`"),
        (FOUND, "cls", "use `classes`"),
        (FOUND, "orig_img", "use `image`"),
        (FOUND, "masks", "boxes only"),
        (FOUND.boxes, "xyxy", "`boxes` is the array of xyxy itself"),
        (FOUND.boxes[0], "conf", "use `classes`, `scores`"),
        (FOUND[0], "confidence", "use `score`"),
        (FOUND, "nonsense", "Detections has no attribute 'nonsense'."),
    ],
)
def test_names_of_other_libraries_are_answered(value: object, name: str, words: str) -> None:
    with pytest.raises(AttributeError) as caught:
        getattr(value, name)
    assert words in str(caught.value) and not hasattr(value, name)


def test_plot_draws_on_a_copy_of_the_image(tmp_path: Path) -> None:
    pixels = np.full((60, 80, 3), 90, np.uint8)
    file = tmp_path / "a.png"
    Image.fromarray(pixels).save(file)
    kept = dataclasses.replace(FOUND, image=pixels)
    by_file = dataclasses.replace(FOUND, source=str(file))
    drawn = kept.plot()
    assert (pixels == 90).all() and (drawn != 90).any()
    for other in (FOUND.plot(pixels), by_file.plot(), by_file[:].plot()):
        np.testing.assert_array_equal(other, drawn)
    bare = kept.plot(labels=False, conf=False)
    assert 0 < (bare != 90).sum() < (drawn != 90).sum()
    np.testing.assert_array_equal(dataclasses.replace(NOTHING, image=pixels).plot(), pixels)


def test_an_annotated_copy_is_saved_in_the_format_of_its_name(tmp_path: Path) -> None:
    kept = dataclasses.replace(FOUND, image=np.full((60, 80, 3), 90, np.uint8))
    assert kept.save(tmp_path / "out.png") == tmp_path / "out.png"
    np.testing.assert_array_equal(np.asarray(Image.open(tmp_path / "out.png")), kept.plot())
    assert Image.open(kept.save(str(tmp_path / "out.jpg"))).format == "JPEG"
    for name, words in (("out.xyz", "not written under this ending"), ("none/out.png", "cannot be written")):
        with pytest.raises(InputError, match=words):
            kept.save(tmp_path / name)


@pytest.mark.parametrize(
    ("found", "image", "words"),
    [
        (dataclasses.replace(FOUND, source="image 0"), None, r"image 0: there is no such file.*plot\(image\)"),
        (dataclasses.replace(FOUND, source="v.mp4", frame=3), None, r"v.mp4, frame 3.*Detector.stream"),
        (FOUND, np.zeros((80, 60, 3), np.uint8), "is 60 x 80 pixels, and the detections are of an image of 80 x 60"),
        (FOUND, np.zeros((60, 80), np.uint8), "Give uint8"),
    ],
)
def test_an_image_that_cannot_be_drawn_on_is_answered(found: Detections, image: Any, words: str) -> None:
    with pytest.raises(LehrError, match=words):
        found.plot(image)


def test_show_opens_the_viewer_or_says_that_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = dataclasses.replace(FOUND, image=np.full((60, 80, 3), 90, np.uint8))
    shown: list[Image.Image] = []
    monkeypatch.setattr(ImageShow, "show", lambda image, title: shown.append(image) or True)
    kept.show()
    np.testing.assert_array_equal(np.asarray(shown[0]), kept.plot())
    monkeypatch.setattr(ImageShow, "show", lambda image, title: False)
    with pytest.raises(LehrError, match="no image viewer"):
        kept.show()


def test_other_forms_hold_every_object() -> None:
    rows = TRACKED.to_list()
    assert rows[0] == {"xyxy": [1, 2, 31, 42], "score": 0.9, "class": 1, "name": "dog", "track": 7}
    assert "track" not in rows[1] and json.loads(TRACKED.to_json()) == TRACKED.as_dict()
    pandas = pytest.importorskip("pandas")
    table = TRACKED.to_pandas()
    assert isinstance(table, pandas.DataFrame) and list(table["name"]) == ["dog", "cat", "dog"]
    assert list(table.columns) == ["x1", "y1", "x2", "y2", "score", "class", "name", "track"]
    assert len(NOTHING.to_pandas()) == 0


def test_a_notebook_gets_a_table_and_a_thumbnail_without_colours_of_its_own() -> None:
    kept = dataclasses.replace(FOUND, image=np.full((60, 80, 3), 90, np.uint8), names=("cat", "<b>dog", "owl"))
    page = kept._repr_html_()
    assert page.count("<tr>") == 4 and "data:image/jpeg;base64," in page and "&lt;b&gt;dog" in page
    assert "background" not in page and set(re.findall(r"[^-]color:([^;\"]+)", page)) == {"inherit"}
    without = FOUND._repr_html_()
    assert "<img" not in without and without.count("<tr>") == 4
    many = dataclasses.replace(FOUND, **{name: np.repeat(getattr(FOUND, name), 9, 0) for name in FIELDS})
    assert "and 15 more" in many._repr_html_()


FIELDS = ("boxes", "scores", "classes")
