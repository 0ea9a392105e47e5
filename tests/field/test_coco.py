"""COCO JSON as people have them: read right and said aloud, or refused with the cause."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.commands import lehr
from tests.field.conftest import MakeCase, Painted
from tests.field.painted_coco import SIZE, Content, box_of, content_of, make, paint

from lehr.data.faults import KINDS
from lehr.data.load import load_dataset
from lehr.errors import InputError
from lehr.sample import Dataset, Severity

Paint = Callable[..., Painted]


def aligned(painted: Paint, source: Path | str, count: int) -> Dataset:
    """Read a data set, of whose boxes all lie on their rectangles."""
    seen = painted(source)
    assert seen.misaligned == [] and seen.count == count
    assert {fault.kind for fault in seen.dataset.faults} <= KINDS.keys()
    return seen.dataset


def said(dataset: Dataset, *words: str) -> None:
    """Each word is in the messages of faults, and no message is an error."""
    text = "\n".join(str(fault) for fault in dataset.faults)
    assert [word for word in words if word not in text] == [], text
    assert not dataset.errors, text


def refused(source: Path | str, *words: str) -> None:
    with pytest.raises(InputError) as raised:
        load_dataset(str(source))
    text = str(raised.value)
    assert [word for word in words if word not in text] == [], text


READ = {
    "C02b-iscrowd-str0": (6, ["iscrowd"]),
    "C03a-polygons-only": (6, ["segmentation"]),
    "C05a-str-refs": (6, ["as text"]),
    "C05c-str-category": (6, ["matched by name"]),
    "C05e-list-id": (6, ["list"]),
    "C08b-ls-project": (6, ["images/1/", "4 of 4"]),
    "C08c-ls-media": (6, ["label-studio"]),
    "C08e-abs-other": (6, ["/home/other"]),
    "C09-roboflow-dummy": (6, ["'animals'", "no class"]),
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


def each(content: Content, **values: Any) -> None:
    """Set fields of all annotations; a function is given the annotation."""
    for annotation in content["annotations"]:
        annotation |= {key: value(annotation) if callable(value) else value for key, value in values.items()}


def polygon(annotation: Content) -> list[float]:
    x, y, w, h = annotation["bbox"]
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def corners(annotation: Content) -> list[float]:
    x, y, w, h = annotation["bbox"]
    return [x, y, x + w, y + h]


def runs(annotation: Content) -> Content:
    """The mask of a box, uncompressed."""
    x, y, w, h = annotation["bbox"]
    mask = np.zeros((SIZE[1], SIZE[0]), np.int8)
    mask[y : y + h, x : x + w] = 1
    flat = np.concatenate(([0], mask.T.ravel(), [-1]))
    ends = np.flatnonzero(np.diff(flat) != 0)
    ends = ends if flat[1] == 0 else np.concatenate(([0], ends))
    return {"size": [SIZE[1], SIZE[0]], "counts": np.diff(ends, prepend=0).tolist()}


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


EXIF = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_90,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_270,
}
"""How to store an image so that EXIF shows it upright."""


def turn(path: Path, orientation: int) -> None:
    """Store an image turned, with the orientation that turns it back."""
    exif = Image.Exif()
    exif[EXIF] = orientation
    with Image.open(path) as image:
        stored = image.transpose(TURNS[orientation])
    stored.save(path, exif=exif)


@pytest.mark.parametrize("orientation", [5, 6, 7, 8])
@pytest.mark.parametrize("resize", [1, 2])
def test_boxes_of_stored_pixels_are_turned_with_the_image(
    orientation: int, resize: int, tmp_path: Path, painted: Paint
) -> None:
    """Images are painted and labelled as stored; EXIF then shows them turned."""

    def exif_only(path: Path) -> None:
        exif = Image.Exif()
        exif[EXIF] = orientation
        with Image.open(path) as image:
            image.resize((SIZE[0] * resize, SIZE[1] * resize), Image.Resampling.NEAREST).save(path, exif=exif)

    folder = make(tmp_path)
    for path in folder.rglob("*.png"):
        exif_only(path)
    words = ["EXIF", "turned"] + (["scaled", "by 2"] if resize > 1 else [])
    said(aligned(painted, folder, 6), *words)


def test_boxes_of_the_image_as_displayed_stay(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path)
    for path, orientation in zip(sorted((folder / "train").iterdir()), (6, 8, 5, 7), strict=True):
        turn(path, orientation)
    assert not aligned(painted, folder, 6).faults


def test_stated_sizes_that_no_box_fits_are_not_believed(tmp_path: Path, painted: Paint) -> None:
    """Label Studio states the stored size, yet boxes are those of the image as displayed."""

    def exchanged(content: Content) -> None:
        for image in content["images"]:
            image["width"], image["height"] = image["height"], image["width"]
        each(content, bbox=lambda a: [a["bbox"][0] + 55, *a["bbox"][1:]])

    for name, orientation in (("turned", 6), ("upright", None)):
        folder = make(tmp_path / name, exchanged, paint_images=False)
        for split, count in (("train", 4), ("val", 2)):
            for i in range(count):
                x1, y1, x2, y2 = box_of(i)
                path = folder / split / f"{split}{i}.png"
                paint(path, (x1 + 55, y1, x2 + 55, y2), i % 2)
                if orientation is not None:
                    turn(path, orientation)
        said(aligned(painted, folder, 6), "exchanged", "as displayed")


def test_half_turns_follow_the_quarter_turns_of_their_json(tmp_path: Path, painted: Paint) -> None:
    def tag(path: Path, orientation: int) -> None:
        exif = Image.Exif()
        exif[EXIF] = orientation
        with Image.open(path) as image:
            image.copy().save(path, exif=exif)

    folder = make(tmp_path / "raw", counts=(4, 4))
    for split in ("train", "val"):
        for path, orientation in zip(sorted((folder / split).iterdir()), (6, 3, 2, 4), strict=True):
            tag(path, orientation)
    said(aligned(painted, folder, 8), "turned")
    unstated = make(tmp_path / "unstated", lambda c: [r.pop("width") for r in c["images"]])
    for path in unstated.rglob("*.png"):
        turn(path, 6)
    said(aligned(painted, unstated, 6), "nothing in the JSON")
    folder = make(tmp_path / "alone", counts=(4, 4))
    for path in folder.rglob("*.png"):
        turn(path, 3)
    said(aligned(painted, folder, 8), "nothing in the JSON")


def test_boxes_are_scaled_with_resized_images(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path / "a")
    for path in folder.rglob("*.png"):
        with Image.open(path) as image:
            image.resize((64, 48)).save(path)
    said(aligned(painted, folder, 6), "4 images", "scaled", "by 0.5", "128x96")
    (tmp_path / "b").mkdir()
    folder = make(tmp_path / "b")
    for path in (folder / "train").iterdir():
        with Image.open(path) as image:
            image.resize((96, 96)).save(path)
    dataset = load_dataset(str(folder))
    assert [f.kind for f in dataset.broken] == ["other-size"] * 4 and "128x96" in str(dataset.broken[0])
    assert not dataset.splits["train"] and len(dataset.splits["val"]) == 2
    assert "--skip-broken" in lehr("train", "--data", folder, "--model", "yolov8n", cwd=tmp_path, code=2).stderr


@pytest.mark.parametrize(
    "size", [{}, {"width": None, "height": None}, {"width": 0, "height": 0}, {"width": "128", "height": "96"}]
)
def test_sizes_that_are_missing_or_text(size: Content, tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            del image["width"], image["height"]
            image |= size

    assert not aligned(painted, make(tmp_path, change), 6).faults


NAMES = {
    "url": "https://host.example/bucket/{}?X-Signature=abc&n=1",
    "query": "upload/{}?d=1",
    "windows": "C:\\Users\\me\\ds\\{}",
    "backslash": "images\\1/{}",
    "file": "file:///data/ds/{}",
    "local-files": "/data/local-files/?d=ds/{}",
    "upload": "data/upload/4/0123abcd-{}",
    "dots": "../../other/{}",
    "s3": "s3://bucket/a/b/{}",
    "spaces": "  {} ",
}


@pytest.mark.parametrize("pattern", NAMES.values(), ids=NAMES.keys())
def test_images_are_found_by_the_end_of_their_names(pattern: str, tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            image["file_name"] = pattern.format(image["file_name"])

    dataset = aligned(painted, make(tmp_path, change, images="images"), 6)
    said(dataset, "4 of 4 images", "2 of 2 images")
    assert len(dataset.faults) == 2


def test_names_that_stand_as_they_are(tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            image["file_name"] = str(tmp_path / "ds" / "elsewhere" / image["file_name"])

    assert not aligned(painted, make(tmp_path / "ds", change, images="elsewhere"), 6).faults

    def deeper(content: Content) -> None:
        for image in content["images"]:
            image["file_name"] = f"a b/{image['file_name']}"

    assert not aligned(painted, make(tmp_path / "deep", deeper, images="images/a b"), 6).faults


def test_percent_signs_and_case(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path, lambda c: [r.update(file_name=r["file_name"].replace(".", "%20x.")) for r in c["images"]])
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(path.name.replace(".", " x.")))
    said(aligned(painted, folder, 6), "end of their name")
    folder = make(tmp_path / "nfd", lambda c: [r.update(file_name=f"caf\u00e9-{r['file_name']}") for r in c["images"]])
    for path in list(folder.rglob("*.png")):
        path.rename(path.with_name(f"cafe\u0301-{path.name}"))
    said(aligned(painted, folder, 6), "end of their name")
    folder = make(tmp_path / "case", lambda c: [r.update(file_name=r["file_name"].upper()) for r in c["images"]])
    said(aligned(painted, folder, 6), "end of their name")


def test_a_name_that_fits_two_files_is_refused(tmp_path: Path) -> None:
    folder = make(
        tmp_path / "a", lambda c: [r.update(file_name=f"/x/{r['file_name']}") for r in c["images"]], images="one"
    )
    shutil.copytree(folder / "one", folder / "two")
    dataset = load_dataset(str(folder))
    assert {f.kind for f in dataset.broken} == {"ambiguous-image"} and len(dataset.broken) == 6
    assert "one/train0.png" in str(dataset.broken[0]) and "two/train0.png" in str(dataset.broken[0])
    folder = make(tmp_path / "b", images="images/{split}")
    shutil.copytree(folder / "images" / "train", folder / "images" / "copy")
    assert not load_dataset(str(folder)).faults
    shutil.copytree(folder / "images" / "train", folder / "train")
    said(load_dataset(str(folder)), "once more")
    paint(folder / "train" / "train0.png", box_of(1), 0)
    refused(folder, "not the same in both", "train0.png")


def test_lvis_has_addresses_alone(tmp_path: Path, painted: Paint) -> None:
    def change(content: Content) -> None:
        for image in content["images"]:
            image["coco_url"] = f"http://images.cocodataset.org/train2017/{image.pop('file_name')}"
            image |= {"neg_category_ids": [1], "not_exhaustive_category_ids": []}

    folder = make(tmp_path, change, train="lvis_v1_train.json", val="lvis_v1_val.json", images="train2017")
    said(aligned(painted, folder, 6), "4 of 4 images")


def test_images_that_no_json_lists_are_told(tmp_path: Path) -> None:
    folder = make(tmp_path, images="images")
    assert not load_dataset(str(folder)).faults
    paint(folder / "images" / "further.png", box_of(0), 0)
    (folder / "images" / "notes.txt").touch()
    dataset = load_dataset(str(folder))
    assert [f.kind for f in dataset.faults] == ["unused-image"]
    said(dataset, "1 image", "further.png")


def test_an_image_that_is_nowhere_is_told(tmp_path: Path) -> None:
    folder = make(tmp_path)
    (folder / "train" / "train0.png").unlink()
    dataset = load_dataset(str(folder))
    assert [f.kind for f in dataset.broken] == ["unreadable-image"] and "train0.png" in str(dataset.broken[0])


def test_categories_of_splits_are_matched_by_name(tmp_path: Path, painted: Paint) -> None:
    def edit(folder: Path, change: Callable[[Content], object]) -> Path:
        path = folder / "annotations" / "instances_val.json"
        content = json.loads(path.read_text())
        change(content)
        path.write_text(json.dumps(content))
        return folder

    def renumber(content: Content) -> None:
        content["categories"] = [{"id": 40, "name": "dog"}, {"id": 90, "name": "cat"}]
        each(content, category_id=lambda a: {1: 90, 2: 40}[a["category_id"]])

    dataset = aligned(painted, edit(make(tmp_path / "a"), renumber), 6)
    assert dataset.names == ("cat", "dog")
    said(dataset, "numbers dog, cat otherwise")
    dataset = aligned(painted, edit(make(tmp_path / "b"), lambda c: c["categories"][0].update(name="Cat ")), 6)
    assert dataset.names == ("cat", "dog")
    said(dataset, "'Cat' is taken for 'cat'")

    def extra(content: Content) -> None:
        content["categories"].insert(0, {"id": 0, "name": "bird"})
        content["annotations"][0]["category_id"] = 0

    dataset = load_dataset(str(edit(make(tmp_path / "c"), extra)))
    assert dataset.names == ("cat", "dog", "bird") and dataset.splits["val"][0].classes.tolist() == [2]
    said(dataset, "'bird'", "without training images")


def test_names_of_categories(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path / "n", lambda c: c.update(categories=[{"id": 2, "name": 7}, {"id": 1, "name": 0}]))
    assert aligned(painted, folder, 6).names == ("0", "7")
    for value in (None, "", [], {}):
        refused(
            make(tmp_path / f"x{value}", lambda c, v=value: c["categories"][1].update(name=v)), "category 2", "name"
        )
    both = make(tmp_path / "b", lambda c: c.update(categories=[{"id": 1, "name": "Cat"}, {"id": 2, "name": "cat"}]))
    said(aligned(painted, both, 6), "differ only in case")
    dataset = load_dataset(str(make(tmp_path / "u", lambda c: c["annotations"][0].update(category_id=99))))
    assert [f.kind for f in dataset.errors] == ["class-out-of-range"] * 2


def test_a_category_for_the_background(tmp_path: Path, painted: Paint) -> None:
    def add(content: Content) -> None:
        content["categories"].insert(0, {"id": 0, "name": "__background__"})

    dataset = aligned(painted, make(tmp_path, add), 6)
    assert dataset.names == ("cat", "dog")
    said(dataset, "'__background__'")


def test_a_category_that_groups_the_others(tmp_path: Path, painted: Paint) -> None:
    def group(name: str) -> Callable[[Content], object]:
        def change(content: Content) -> None:
            for category in content["categories"]:
                category["supercategory"] = name
            content["categories"].insert(0, {"id": 0, "name": name, "supercategory": "none"})

        return change

    dataset = aligned(painted, make(tmp_path / "a", group("pets")), 6)
    assert dataset.names == ("cat", "dog")
    said(dataset, "'pets'")
    dataset = aligned(painted, make(tmp_path / "same", group("cat")), 6)  # it may have the name of a class
    assert dataset.names == ("cat", "dog")

    def used(content: Content) -> None:
        group("pets")(content)
        content["annotations"].append({"id": 99, "image_id": 1, "category_id": 0, "bbox": [60, 60, 20, 20]})

    assert load_dataset(str(make(tmp_path / "used", used))).names == ("pets", "cat", "dog")


LAYOUTS = {
    "cvat": ("annotations/instances_Train.json", "annotations/instances_Validation.json", "images/{split}"),
    "datumaro": ("annotations/instances_train.json", "annotations/instances_val.json", "images/{split}"),
    "roboflow": ("train/_annotations.coco.json", "valid/_annotations.coco.json", "{split}"),
    "fiftyone": ("train/labels.json", "validation/labels.json", "{split}/data"),
    "coco 2017": ("annotations/instances_train2017.json", "annotations/instances_val2017.json", "{split}2017"),
    "label studio": ("train/result.json", "val/result.json", "{split}/images"),
    "beside": ("train.json", "val.json", "images"),
    "upper case": ("TRAIN.JSON", "VAL.JSON", "images"),
    "mmdetection": ("annotations/annotation_coco_train.json", "annotations/annotation_coco_val.json", "images"),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_layouts_are_found_by_themselves(layout: str, tmp_path: Path, painted: Paint) -> None:
    train, val, images = LAYOUTS[layout]
    folder = make(tmp_path, train=train, val=val, images=images)
    if layout == "roboflow":
        (folder / "val").rename(folder / "valid2")
        for path in (folder / "valid2").iterdir():
            path.rename(folder / "valid" / path.name)
    if layout == "fiftyone":
        shutil.move(folder / "val" / "data", folder / "validation" / "data")
    for source in (folder, folder / train, f"{folder / train},{folder / val}"):
        dataset = aligned(painted, source, 6)
        assert not dataset.faults and list(dataset.splits) == ["train", "val"]


@pytest.mark.parametrize("place", ["annotations/instances_default.json", "result.json", "labels.json", "my data.json"])
def test_a_single_json_of_everything(place: str, tmp_path: Path, painted: Paint) -> None:
    folder = make(
        tmp_path,
        train=place,
        val="elsewhere/hidden/val.json",
        images="images/default" if "default" in place else "images",
        counts=(4, 0),
    )
    for source in (folder, folder / place):
        dataset = aligned(painted, source, 4)
        assert [f.kind for f in dataset.faults] == ["no-splits"]
        said(dataset, "lehr data split")


def test_gzip_encodings_and_comma_in_a_path(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path / "a,b")
    for path in list((folder / "annotations").iterdir()):
        data = path.read_bytes()
        path.unlink()
        path.with_name(path.name + ".gz").write_bytes(gzip.compress(data))
    assert not aligned(painted, folder, 6).faults
    assert not aligned(painted, folder / "annotations" / "instances_train.json.gz", 6).faults
    folder = make(tmp_path / "bom", lambda c: c["categories"][0].update(name="Kätzchen"))
    for path in (folder / "annotations").iterdir():
        path.write_bytes(path.read_text().encode("utf-16"))
    assert aligned(painted, folder, 6).names[0] == "Kätzchen"
    for path in (folder / "annotations").iterdir():
        text = path.read_text("utf-16").replace("\\u00e4", "ä")
        path.write_bytes(text.encode("cp1252"))
    refused(folder, "UTF-8", "Windows-1252 or", "instances_train.json")
    path.write_bytes(path.read_text("cp1252").encode("utf-8-sig"))
    (folder / "annotations" / "instances_train.json").write_bytes(path.read_bytes().replace(b"val", b"train"))
    assert load_dataset(str(folder)).names[0] == "Kätzchen"


def test_files_of_other_tasks_beside_the_instances(tmp_path: Path, painted: Paint) -> None:
    folder = make(tmp_path)
    annotations = folder / "annotations"
    shutil.copy(annotations / "instances_train.json", annotations / "person_keypoints_train.json")
    captions = content_of("train", 2)
    captions["annotations"] = [{"id": 1, "image_id": 1, "caption": "a cat"}]
    (annotations / "captions_train.json").write_text(json.dumps(captions))
    assert not aligned(painted, folder, 6).faults
    refused(annotations / "captions_train.json", "captions", "instances")
    del captions["categories"]
    (annotations / "captions_train.json").write_text(json.dumps(captions))
    refused(annotations / "captions_train.json", "captions", "instances")
    panoptic = content_of("train", 2)
    panoptic["annotations"] = [{"image_id": 1, "file_name": "a.png", "segments_info": [{"id": 1, "category_id": 1}]}]
    (annotations / "panoptic_train.json").write_text(json.dumps(panoptic))
    refused(annotations / "panoptic_train.json", "panoptic", "instances")


def test_two_files_for_a_split_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path)
    shutil.copy(folder / "annotations" / "instances_train.json", folder / "annotations" / "instances_train_small.json")
    refused(folder, "instances_train.json", "instances_train_small.json", "--data")
    for name in ("train", "val"):
        (folder / "annotations" / f"instances_{name}.json").rename(
            folder / "annotations" / f"{'ab'[name == 'val']}.json"
        )
    (folder / "annotations" / "instances_train_small.json").unlink()
    refused(folder, "a.json", "b.json", "--data")


def test_no_annotations_are_told(tmp_path: Path) -> None:
    for name, change in {
        "null": lambda c: c.update(annotations=None),
        "empty": lambda c: c.update(annotations=[]),
        "missing": lambda c: c.pop("annotations"),
    }.items():
        dataset = load_dataset(str(make(tmp_path / name, change)))
        assert [f.severity for f in dataset.faults] == [Severity.WARNING] * 2
        said(dataset, "no annotations", "4 images")


OTHER = {
    "labelme": {"version": "5", "shapes": [], "imagePath": "a.png", "imageHeight": 9, "imageWidth": 9},
    "CreateML": [{"image": "a.png", "annotations": [{"label": "cat", "coordinates": {"x": 1, "y": 1}}]}],
    "VIA": {"_via_settings": {}, "_via_img_metadata": {"a.png1": {"filename": "a.png", "regions": []}}},
    "VIA's": {"a.png123": {"filename": "a.png", "size": 1, "regions": []}},
    "Label Studio": [{"id": 1, "data": {"image": "a.png"}, "annotations": [{"result": []}]}],
    "JSON-MIN": [{"image": "a.png", "id": 1, "label": [], "annotator": 1, "annotation_id": 2}],
    "detections": [{"image_id": 1, "category_id": 1, "bbox": [1, 1, 2, 2], "score": 0.5}],
    "Detectron2": [{"file_name": "a.png", "height": 1, "width": 1, "annotations": []}],
    "datumaro": {"info": {}, "categories": {}, "items": []},
    "images": {"a": 1},
    "'images'": [],
    "categories": {"images": [], "annotations": []},
    "list": {"images": [], "categories": [], "annotations": {"a": 1}},
}


@pytest.mark.parametrize("name", OTHER)
def test_json_of_other_shapes_is_named(name: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(json.dumps(OTHER[name]))
    refused(path, str(path), name)


def test_a_folder_of_another_json_is_named(tmp_path: Path) -> None:
    for i in range(3):
        paint(tmp_path / f"{i}.png", box_of(0), 0)
        (tmp_path / f"{i}.json").write_text(json.dumps({"regions": [], "_via_img_metadata": {}}))
    refused(tmp_path, "VIA", "Export")


@pytest.mark.parametrize("text", ["", "{", '{"images": [{"id": 1}', "[" * 100_000, '{"images": [],}', "\x89PNG\0\0"])
def test_damaged_json(text: str, tmp_path: Path) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    refused(path, str(path))


def test_a_swapped_pair_is_told(tmp_path: Path) -> None:
    folder = make(tmp_path) / "annotations"
    dataset = load_dataset(f"{folder / 'instances_val.json'},{folder / 'instances_train.json'}")
    said(dataset, "its name says val")
