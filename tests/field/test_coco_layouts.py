"""Categories and layouts of COCO JSON, and JSON of other formats."""

from __future__ import annotations

import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.field.painted_coco import (
    Content,
    Paint,
    aligned,
    box_of,
    content_of,
    each,
    make,
    paint,
    refused,
    said,
)

from lehr.data.load import load_dataset
from lehr.sample import Severity


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
