"""Lists, folders, names and sizes of VOC data sets as people have them."""

from __future__ import annotations

from pathlib import Path

import pytest
from PIL import Image
from tests.commands import lehr
from tests.field.conftest import paint_of
from tests.field.painted_coco import paint
from tests.field.painted_voc import box_of, make, message, object_text, whole, write_lists, write_pair, xml_text

from lehr.data.load import load_dataset
from lehr.sample import Severity

SMALL = ["--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--epochs", "1", "--batch", "2", "--workers", "0"]


@pytest.mark.parametrize(
    "line",
    [
        "{}.png",
        "JPEGImages/{}.png",
        "JPEGImages/{}",
        "./JPEGImages/{}.png",
        "VOC2007/JPEGImages/{}.png",
        "{}.xml",
        "JPEGImages\\{}.png",
        "D:\\data\\VOC\\JPEGImages\\{}.png",
        "/home/me/VOC/JPEGImages/{}.png",
        "{}.jpg",
        "'{}.png'",
        "{}  ",
        "{} 1",
        "{} -1",
        "JPEGImages/{}.png Annotations/{}.xml",
        "IM{}",
        "{}.png\r",
    ],
)
@pytest.mark.parametrize("stem", ["im{}", "my photo ({}) 1", "a.b-{}"])
def test_lines_of_lists_in_other_writing(tmp_path: Path, line: str, stem: str) -> None:
    stems = [stem.format(i) for i in range(3)]
    lines = [line.replace("{}", name) if line != "IM{}" else name.upper() for name in stems]
    folder = make(tmp_path / "ds", lists={"train": lines[:2], "val": lines[2:]}, stem=stem, count=3)
    dataset = whole(folder, 3)
    assert [sample.path.stem for sample in dataset.splits["train"]] == stems[:2]


def test_lists_with_marks_comments_and_repetitions(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    main = folder / "ImageSets" / "Main"
    main.joinpath("train.txt").write_bytes("im0\r\nim1\r\n\r\nim2\r\nim3\r\n".encode("utf-8-sig"))
    main.joinpath("val.txt").write_bytes("im4\nim5\n".encode("utf-16"))
    whole(folder)
    main.joinpath("train.txt").write_text("# mine\nim0\nim1\nim2\nim3\nim0\n")
    dataset = whole(folder, expected=("duplicate-image",))
    assert "train.txt:6" in message(dataset, "duplicate-image") and "line 2" in message(dataset, "duplicate-image")


def test_lines_that_name_no_image_are_said_with_their_line(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={"train": ["im0", "im1", "gone", "im2"], "val": ["im3"]})
    dataset = paint_of(folder).dataset
    (fault,) = dataset.errors
    assert fault.line == 3 and fault.path.name == "train.txt" and "'gone'" in fault.message
    assert "2 of its 6 images are in no list" in message(dataset, "unused-image")


def test_train_and_trainval_give_val(tmp_path: Path) -> None:
    lists = {"train": ["im0", "im1"], "trainval": ["im0", "im1", "im2", "im3"], "test": ["im4", "im5"]}
    dataset = whole(make(tmp_path / "ds", lists=lists), expected=("split-made",))
    assert [sample.path.stem for sample in dataset.splits["val"]] == ["im2", "im3"]
    lists = {"train": ["im0", "im1"], "val": ["im2"], "trainval": ["im0", "im1", "im2"], "test": ["im3", "im4", "im5"]}
    dataset = whole(make(tmp_path / "all", lists=lists))
    assert [len(samples) for samples in dataset.splits.values()] == [2, 1, 3]


def test_lists_of_single_classes_are_used_where_no_other_is(tmp_path: Path) -> None:
    lists = {
        "cat_train": ["im0  1", "im1 -1", "im2  1", "im3 -1"],
        "dog_train": ["im0 -1", "im1  0", "im2 -1", "im3  1"],
        "cat_val": ["im4  1", "im5 -1"],
    }
    dataset = whole(make(tmp_path / "ds", lists=lists), expected=("list-form",))
    assert [len(dataset.splits[split]) for split in ("train", "val")] == [4, 2]
    write_lists(tmp_path / "ds", {"train": ["im0", "im1"], "val": ["im2"]})
    assert len(load_dataset(str(tmp_path / "ds")).splits["train"]) == 2


@pytest.mark.parametrize("place", ["ImageSets", "ImageSets/Segmentation", "ImageSets/Layout", ".", "ImageSets/DET"])
def test_lists_in_other_places(tmp_path: Path, place: str) -> None:
    folder = make(tmp_path / "ds", lists={})
    (folder / "ImageSets" / "Main").rmdir()
    write_lists(folder, {"train": ["im0 1", "im1 1", "im2 0", "im3"], "valid": ["im4", "im5"]}, place)
    dataset = whole(folder, expected=("list-form",))
    assert [len(dataset.splits[split]) for split in ("train", "val")] == [4, 2]


def test_a_list_without_a_split_is_divided(tmp_path: Path) -> None:
    """CVAT writes default.txt."""
    folder = make(tmp_path / "ds", lists={"default": [f"im{i}" for i in range(6)]})
    dataset = whole(folder, expected=("split-made",))
    assert len(dataset.splits["train"]) + len(dataset.splits["val"]) == 6


def test_two_lists_of_a_split_are_refused(tmp_path: Path) -> None:
    make(tmp_path / "ds", lists={"train": ["im0"], "val": ["im1"], "valid": ["im2"]})
    refused = lehr("data", "check", "ds", cwd=tmp_path, code=2).stderr
    assert "val.txt" in refused and "valid.txt" in refused


# Folders.


@pytest.mark.parametrize(
    ("image", "label"),
    [
        ("{split}/{stem}.png", "{split}/{stem}.xml"),
        ("images/{split}/{stem}.png", "annotations/{split}/{stem}.xml"),
        ("{split}/images/{stem}.png", "{split}/annotations/{stem}.xml"),
        ("{split}/JPEGImages/a/{stem}.png", "{split}/Annotations/a/{stem}.XML"),
        ("Data/DET/{split}/{stem}.png", "Annotations/DET/{split}/{stem}.xml"),
        ("images/{split}/{stem}.png", "images/{split}/{stem}.xml"),
    ],
)
def test_folders_as_splits(tmp_path: Path, image: str, label: str) -> None:
    counts = {"train": 3, "valid": 2, "test": 1}
    for split, count in counts.items():
        for i in range(count):
            names = {"split": split, "stem": f"{i:04}"}  # the same names in each split
            write_pair(
                tmp_path / "ds" / image.format(**names), tmp_path / "ds" / label.format(**names), i + len(split) % 3
            )
    dataset = whole(tmp_path / "ds")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 3, "val": 2, "test": 1}


@pytest.mark.parametrize("label", ["{}.png.xml", "Annotations/{}.xml", "xml/{}.XML", "labels/deep/{}.xml"])
def test_xml_beside_the_images_or_elsewhere(tmp_path: Path, label: str) -> None:
    for i in range(4):
        write_pair(tmp_path / "ds" / f"im{i}.png", tmp_path / "ds" / label.format(f"im{i}"), i)
    whole(tmp_path / "ds", 4, ("split-made",))


def test_mirrored_folders_keep_each_image_with_its_own_xml(tmp_path: Path) -> None:
    for k, camera in enumerate(("camA", "camB")):
        for i in range(3):
            image = tmp_path / "ds" / "JPEGImages" / camera / f"{i}.png"
            write_pair(image, tmp_path / "ds" / "Annotations" / camera / f"{i}.xml", i + k)
    whole(tmp_path / "ds", 6, ("split-made",))
    write_lists(tmp_path / "ds", {"train": ["camA/0", "camA/1", "camA/2"], "val": ["camB/0.png", "camB\\2"]})
    dataset = whole(tmp_path / "ds", 5, ("unused-image",))
    assert [sample.path.parent.name for sample in dataset.splits["val"]] == ["camB", "camB"]
    write_lists(tmp_path / "ds", {"train": ["camA/0"], "val": ["1"]})
    assert "could be" in message(load_dataset(str(tmp_path / "ds")), "ambiguous-image")


def test_one_xml_for_two_images_is_refused_where_nothing_says_whose_it_is(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={}, count=4)
    for camera in ("camA", "camB"):
        paint(folder / "JPEGImages" / camera / "im9.png", box_of(1), 0)
    (folder / "Annotations" / "im9.xml").write_text(xml_text(object_text(box_of(1), "cat"), "im9.png"))
    read = paint_of(folder)
    assert read.count == 4 and not read.misaligned
    assert [fault.kind for fault in read.dataset.broken] == ["ambiguous-image"] * 2
    xml = xml_text(object_text(box_of(1), "cat"), "im9.png").replace("<folder>x", "<folder>camB")
    (folder / "Annotations" / "im9.xml").write_text(xml)
    whole(folder, 5, ("same-name", "split-made"))


def test_two_xml_for_one_image_are_refused_unless_they_are_the_same(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    beside = folder / "JPEGImages" / "im0.xml"
    beside.write_text((folder / "Annotations" / "im0.xml").read_text())
    assert paint_of(folder).count == 6
    beside.write_text(xml_text(object_text((1, 1, 30, 30), "dog")))
    read = paint_of(folder)
    assert read.count == 5 and not read.misaligned
    assert "several XML files that differ" in read.dataset.broken[0].message


def test_years_side_by_side(tmp_path: Path) -> None:
    make(
        tmp_path / "VOCdevkit" / "VOC2007",
        lists={"train": ["im0", "im1"], "val": ["im2", "im3"], "test": ["im4", "im5"]},
    )
    make(tmp_path / "VOCdevkit" / "VOC2012")
    dataset = whole(tmp_path / "VOCdevkit", 12)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 6, "val": 4, "test": 2}
    assert {sample.path.parts[-3] for sample in dataset.splits["train"]} == {"VOC2007", "VOC2012"}


def test_masks_hidden_files_and_other_xml_are_passed_over(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    paint(folder / "SegmentationClass" / "im0.png", box_of(0), 0)
    for name in ("Annotations/._im0.xml", ".idea/workspace.xml", "__MACOSX/Annotations/im0.xml"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(b"\0\5\26\7")
    whole(folder)
    (folder / "scene.tif.aux.xml").write_text("<PAMDataset></PAMDataset>")
    whole(folder, expected=("other-xml",))


def test_images_and_xml_without_each_other_are_counted(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={})
    for name in ("im0.png", "im1.png"):
        (folder / "JPEGImages" / name).unlink()
    (folder / "Annotations" / "im5.xml").unlink()
    dataset = paint_of(folder).dataset
    assert [fault.path.name for fault in dataset.faults if fault.kind == "label-without-image"] == [
        "im0.xml",
        "im1.xml",
    ]
    assert [fault.path.name for fault in dataset.errors] == ["im5.png"] and dataset.errors[0].kind == "missing-label"


def test_an_xml_of_another_name_goes_by_the_image_that_it_names(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    for i in range(6):
        path = folder / "Annotations" / f"im{i}.xml"
        path.rename(path.with_name(f"label_{i}.xml"))
    whole(folder)


def test_an_xml_that_names_another_image_belongs_to_that_of_its_own_name_aloud(tmp_path: Path) -> None:
    def change(text: str) -> str:
        return text.replace("im0.png", "im1.png").replace("im2.png", "C:\\work\\old name.jpg")

    dataset = whole(make(tmp_path / "ds", change), expected=("names-other-image",))
    assert "2 files name other images" in message(dataset, "names-other-image")
    whole(make(tmp_path / "same", lambda text: text.replace("im0.png", "IM0.jpg").replace("im1.png", "im1")))


def test_names_in_other_case_belong_together(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={})
    (folder / "Annotations" / "im0.xml").rename(folder / "Annotations" / "IM0.XML")
    whole(folder, expected=("split-made",))


# Classes.


def test_a_labelmap_gives_classes_and_their_order(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    head = "# label:color_rgb:parts:actions\n"
    (folder / "labelmap.txt").write_text(head + "background:0,0,0::\ndog:128,0,0::\ncat:0,128,0::\nbird:0,0,1::\n")
    dataset = load_dataset(str(folder))
    assert dataset.names == ("dog", "cat", "bird") and dataset.splits["train"][0].classes.tolist() == [1]
    assert "dog, cat, bird" in message(dataset, "class-list")
    (folder / "labelmap.txt").write_text(head + "dog:128,0,0::\n")
    dataset = load_dataset(str(folder))
    assert dataset.names == ("cat", "dog") and "lacks cat" in message(dataset, "class-list")
    (folder / "labelmap.txt").rename(folder / "label_list.txt")
    (folder / "label_list.txt").write_text("dog\ncat\n")
    assert load_dataset(str(folder)).names == ("dog", "cat")


def test_classes_of_val_alone_are_classes(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    xml = folder / "Annotations" / "im5.xml"
    xml.write_text(xml.read_text().replace("dog", "bird"))
    dataset = load_dataset(str(folder))
    assert dataset.names == ("bird", "cat", "dog") and dataset.splits["val"][1].classes.tolist() == [0]


def test_notes_and_warnings_do_not_fail_the_check(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds", lists={})
    assert {fault.severity for fault in load_dataset(str(folder)).faults} == {Severity.NOTE}
    lehr("data", "check", "ds", cwd=tmp_path)


def test_images_turned_since_they_were_labelled_are_refused(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    for i in range(2):
        path = folder / "JPEGImages" / f"im{i}.png"
        Image.open(path).transpose(Image.Transpose.ROTATE_90).save(path)
    read = paint_of(folder)
    assert not read.misaligned and read.count == 4
    assert [fault.kind for fault in read.dataset.broken] == ["other-size", "other-size"]
    assert "states a size of 128x96, but the image is 96x128" in read.dataset.broken[0].message
    assert "--skip-broken" in lehr("train", "--data", "ds", *SMALL, cwd=tmp_path, code=2).stderr


def test_copies_of_another_size_have_their_boxes_scaled_aloud(tmp_path: Path) -> None:
    folder = make(tmp_path / "ds")
    for path in (folder / "JPEGImages").iterdir():
        Image.open(path).resize((64, 48)).save(path)
    dataset = whole(folder, expected=("size-disagrees",))
    assert "scaled" in message(dataset, "size-disagrees") and "6 images" in message(dataset, "size-disagrees")


def test_parts_of_objects_under_another_name_are_no_objects(tmp_path: Path) -> None:
    part = "<part><name>head</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>5</xmax><ymax>5</ymax></bndbox></part>"
    change = lambda text: text.replace("</object>", f"{part}</object>").replace("object>", "item>")  # noqa: E731
    read = paint_of(make(tmp_path / "ds", change))
    assert read.count == 6 and not read.misaligned and read.dataset.names == ("cat", "dog")
