"""COCO JSON as people have them: ids, crowds and boxes read right and said aloud, or refused with the cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.commands import lehr
from tests.field.conftest import MakeCase
from tests.field.painted_coco import (
    Content,
    Paint,
    aligned,
    corners,
    each,
    make,
    polygon,
    refused,
    runs,
    said,
)

from lehr.data.load import load_dataset

READ = {
    "C02b-iscrowd-str0": (6, ["iscrowd"]),
    "C03a-polygons-only": (6, ["segmentation"]),
    "C05a-str-refs": (6, ["as text"]),
    "C05c-str-category": (6, ["matched by name"]),
    "C05e-list-id": (6, ["list"]),
    "C08b-ls-project": (6, ["images/1/", "4 of 4"]),
    "C08c-ls-media": (6, ["label-studio"]),
    "C08e-abs-other": (6, ["/home/other"]),
    "C09-roboflow-dummy": (6, ["'animals'", "it is not a class"]),
    "C15-exif-raw-coords": (6, ["EXIF", "turned"]),
    "C16b-same-names-other-ids": (4, ["numbers dog, cat otherwise", "by name"]),
    "C16c-val-lacks-one": (5, ["lacks dog"]),
    "C20-yolo-and-coco": (6, ["coco", "yolo"]),
    "I19a-png-exif-pixels": (8, []),
}


@pytest.mark.parametrize("name", READ)
def test_what_is_likely_meant_is_read_aloud(name: str, case: MakeCase, painted: Paint) -> None:
    count, words = READ[name]
    seen = painted(case(name) / "ds")
    if name == "C16b-same-names-other-ids":  # its val images are painted as if numbered as those of train
        assert seen.count == 4 and len(seen.misaligned) == 2
    else:
        assert seen.misaligned == [] and seen.count == count
    said(seen.dataset, *words)
    if name == "C09-roboflow-dummy":
        assert seen.dataset.names == ("cat", "dog")


def test_what_is_doubtful_is_refused(case: MakeCase) -> None:
    for name, words in (("C05f-null-cat", ["'cat'", "null"]), ("C13a-dup-cat-names", ["'cat'", "ids 1 and 2"])):
        folder = case(name)
        done = lehr("data", "check", "ds", cwd=folder, code=2)
        assert all(word in done.stderr for word in (*words, "instances_train.json")), done.stderr


def test_two_entries_of_one_file_are_one_image(case: MakeCase, painted: Paint) -> None:
    dataset = painted(case("C11-dup-file-name") / "ds").dataset
    assert [len(samples) for samples in dataset.splits.values()] == [4, 2]
    assert [len(sample.boxes) for sample in dataset.splits["train"]] == [2, 1, 1, 1]
    said(dataset, "listed more than once", "merged")


def test_a_json_without_splits_is_read_and_its_division_is_asked_for(case: MakeCase) -> None:
    folder = case("C14-cvat-default")
    assert "lehr data split" in lehr("data", "check", "ds", cwd=folder).stdout
    for source in ("ds", "ds/annotations/instances_default.json"):
        done = lehr("train", "--data", source, "--model", "yolov8n", "--epochs", "1", cwd=folder, code=2)
        assert "lehr data split" in done.stderr
    assert "val 2" in lehr("data", "split", "ds", "--out", "divided", cwd=folder).stdout


def test_ids_of_any_kind_are_matched(tmp_path: Path, painted: Paint) -> None:
    changes: dict[str, Callable[[Content], object]] = {
        "float": lambda c: each(
            c, image_id=lambda a: float(a["image_id"]), category_id=lambda a: float(a["category_id"])
        ),
        "text": lambda c: each(c, image_id=lambda a: str(a["image_id"]), category_id=lambda a: f"{a['category_id']}.0"),
        "text ids": lambda c: [r.update(id=str(r["id"])) for r in (*c["images"], *c["categories"])],
        "names": lambda c: (
            [r.update(id=f"im-{r['id']}") for r in c["images"]],
            each(c, image_id=lambda a: f"im-{a['image_id']}"),
        ),
        "huge": lambda c: (
            [r.update(id=10**30 + r["id"]) for r in c["images"]],
            each(c, image_id=lambda a: 10**30 + a["image_id"]),
        ),
        "uuid": lambda c: each(c, id=lambda a: f"{a['id']:032x}"),
        "none": lambda c: each(c, id=None),
    }
    for name, change in changes.items():
        said(aligned(painted, make(tmp_path / name, change), 6))


def test_what_cannot_be_an_id_is_told(tmp_path: Path) -> None:
    for value in (None, True, {}, [1, 2], "", float("nan")):
        folder = make(tmp_path / str(value), lambda c, v=value: c["annotations"][0].update(image_id=v))
        dataset = load_dataset(str(folder))
        assert [f.kind for f in dataset.errors] == ["malformed-line"] * 2
        assert [len(s.boxes) for s in dataset.splits["train"]] == [0, 1, 1, 1]
    for value in (None, [1], {}, True):
        refused(make(tmp_path / f"c{value}", lambda c, v=value: c["categories"][0].update(id=v)), "'cat'", "id")
        refused(
            make(tmp_path / f"n{value}", lambda c, v=value: c["images"][0].update(id=v), counts=(4, 2)), "image 1"
        ) if (value != [1]) else None
    refused(make(tmp_path / "all", lambda c: each(c, image_id=99)), "none of its 4 annotations", "99")


def test_ids_given_twice(tmp_path: Path, painted: Paint) -> None:
    said(aligned(painted, make(tmp_path / "a", lambda c: each(c, id=7)), 6), "3 annotations have the id of another")
    refused(make(tmp_path / "c", lambda c: c["categories"][1].update(id=1)), "'cat' and 'dog'", "id 1")
    dataset = load_dataset(str(make(tmp_path / "i", lambda c: c["images"][1].update(id=1))))
    assert [f.kind for f in dataset.broken] == ["ambiguous-image"] * 2
    assert [s.path.name for s in dataset.splits["train"]] == ["train2.png", "train3.png"]
    done = lehr("train", "--data", tmp_path / "i", "--model", "yolov8n", cwd=tmp_path, code=2)
    assert "train0.png, train1.png" in done.stderr
    twice = make(tmp_path / "t", lambda c: c["images"].append(dict(c["images"][0])))
    said(aligned(painted, twice, 6), "more than once")


@pytest.mark.parametrize("value", [0, "0", False, "false", None, "", 0.0])
def test_no_crowd(value: object, tmp_path: Path, painted: Paint) -> None:
    aligned(painted, make(tmp_path, lambda c: each(c, iscrowd=value)), 6)


@pytest.mark.parametrize("value", [1, "1", True, "true", 1.0])
def test_a_crowd_is_ignored(value: object, tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path, lambda c: c["annotations"][0].update(iscrowd=value))
    dataset = aligned(painted, folder, 4)
    ignored = dataset.splits["train"][0].ignored
    assert ignored.boxes.tolist() == [[8, 6, 50, 54]] and ignored.crowd.tolist() == [True]
    said(dataset, "1 crowd region")


def test_ignore_and_strange_crowds(tmp_path: Path) -> None:
    dataset = load_dataset(str(make(tmp_path / "a", lambda c: c["annotations"][0].update(ignore=1))))
    assert dataset.splits["train"][0].ignored.crowd.tolist() == [False]
    dataset = load_dataset(str(make(tmp_path / "b", lambda c: c["annotations"][0].update(iscrowd="maybe"))))
    assert "maybe" in str(dataset.errors[0]) and len(dataset.errors) == 2


def test_outlines_become_boxes(tmp_path: Path, painted: Paint) -> None:
    changes: dict[str, Callable[[Content], object]] = {
        "polygons": lambda c: each(c, segmentation=lambda a: [polygon(a)], bbox=None),
        "flat": lambda c: each(c, segmentation=polygon, bbox=[]),
        "pairs": lambda c: each(c, segmentation=lambda a: [np.reshape(polygon(a), (4, 2)).tolist()], bbox=None),
        "parts": lambda c: each(c, segmentation=lambda a: [polygon(a)[:6], polygon(a)[2:]], bbox=None),
        "zero boxes": lambda c: each(c, segmentation=lambda a: [polygon(a)], bbox=[0, 0, 0, 0]),
        "runs": lambda c: each(c, segmentation=runs, bbox=None),
    }
    for name, change in changes.items():
        said(aligned(painted, make(tmp_path / name, change), 6), "4 annotations have no box", "2 annotations")


def test_damaged_outlines_are_told(tmp_path: Path) -> None:
    for i, value in enumerate(
        ([[1, 2, 3]], {"counts": "", "size": [1, 1]}, {"counts": [5], "size": [9, 9]}, "x", [["a"] * 6])
    ):
        dataset = load_dataset(
            str(make(tmp_path / str(i), lambda c, v=value: c["annotations"][0].update(bbox=None, segmentation=v)))
        )
        assert [f.kind for f in dataset.errors] == ["malformed-line"] * 2, value
    smaller = {"size": [48, 64], "counts": [48, 3020, 4]}  # a mask of another size than the image
    dataset = load_dataset(
        str(make(tmp_path / "s", lambda c: c["annotations"][0].update(bbox=None, segmentation=smaller)))
    )
    assert [f.kind for f in dataset.errors] == ["malformed-line"] * 2


def test_boxes_in_other_forms(tmp_path: Path, painted: Paint) -> None:
    def named(names: str, box: Callable[[Content], list[float]]) -> Callable[[Content], object]:
        return lambda c: each(c, bbox=lambda a: dict(zip(names.split(), box(a), strict=True)))

    changes: dict[str, Callable[[Content], object]] = {
        "text": lambda c: each(c, bbox=lambda a: [str(v) for v in a["bbox"]]),
        "one text": lambda c: each(c, bbox=lambda a: str(a["bbox"])),
        "xywh": named("x y width height", lambda a: a["bbox"]),
        "ltwh": named("left top width height", lambda a: a["bbox"]),
        "xyxy": named("xmin ymin xmax ymax", corners),
        "mode": lambda c: each(c, bbox_mode=0, bbox=corners),
    }
    for name, change in changes.items():
        said(aligned(painted, make(tmp_path / name, change), 6), "4 boxes are")


def test_bad_boxes_are_told(tmp_path: Path) -> None:
    for i, value in enumerate(
        ([1, 2, -3, 4], [1, float("nan"), 3, 4], [1, 2, 3], [1, 2, 3, 4, 5], {"x": 1}, "a b c d", [None] * 4)
    ):
        dataset = load_dataset(str(make(tmp_path / str(i), lambda c, v=value: c["annotations"][0].update(bbox=v))))
        assert [f.kind for f in dataset.errors] == ["malformed-line"] * 2, value
        assert [len(s.boxes) for s in dataset.splits["train"]] == [0, 1, 1, 1]


def test_corners_are_refused(tmp_path: Path) -> None:
    refused(
        make(tmp_path / "p", lambda c: each(c, segmentation=lambda a: [polygon(a)], bbox=corners)),
        "x1, y1, x2, y2",
        "segmentation",
    )
    refused(make(tmp_path / "a", lambda c: each(c, area=lambda a: 42 * 48, bbox=corners)), "x1, y1, x2, y2", "area")
    refused(
        make(tmp_path / "t", lambda c: each(c, area=lambda a: 42 * 48, bbox=lambda a: [str(v) for v in corners(a)])),
        "x1",
    )

    def far(content: Content) -> None:
        each(content, bbox=lambda a: [60 + a["id"], 40, 110 + a["id"], 90])

    refused(make(tmp_path / "e", far), "reach outside")


def test_corners_in_some_boxes_are_refused(tmp_path: Path) -> None:
    def half(content: Content) -> None:
        for number, annotation in enumerate(content["annotations"]):
            annotation["segmentation"] = [polygon(annotation)]
            if number % 2:
                annotation["bbox"] = corners(annotation)

    refused(make(tmp_path / "h", half, counts=(8, 8)), "some boxes seem to be x1, y1, x2, y2", "segmentation")


def test_centres_are_refused(tmp_path: Path) -> None:
    def centre(annotation: Content) -> list[float]:
        x, y, w, h = annotation["bbox"]
        return [x + w / 2, y + h / 2, w, h]

    refused(
        make(tmp_path / "p", lambda c: each(c, segmentation=lambda a: [polygon(a)], bbox=centre)), "centre-x", "half"
    )
    refused(make(tmp_path / "e", lambda c: each(c, bbox=lambda a: [90 + a["id"], 60, 40, 30])), "centre-x", "outside")


def test_boxes_that_differ_from_their_segmentation_are_told(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path, lambda c: each(c, segmentation=lambda a: [[v + 9 for v in polygon(a)]]))
    said(aligned(painted, folder, 6), "4 of 4 boxes that were compared differ")


def test_shares_are_refused(tmp_path: Path) -> None:
    shares = lambda a: [a["bbox"][0] / 128, a["bbox"][1] / 96, a["bbox"][2] / 128, a["bbox"][3] / 96]  # noqa: E731
    refused(make(tmp_path, lambda c: each(c, bbox=shares)), "shares of the image", "4 of 4")


def test_rotated_boxes_are_taken_with_what_is_around_them(tmp_path: Path) -> None:
    folder = make(tmp_path, lambda c: c["annotations"][0].update(attributes={"rotation": 90.0}))
    dataset = load_dataset(str(folder))
    np.testing.assert_allclose(dataset.splits["train"][0].boxes, [[5, 9, 53, 51]], atol=1e-4)
    said(dataset, "rotation")
