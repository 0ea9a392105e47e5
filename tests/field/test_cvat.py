"""CVAT's 'CVAT for images': one XML for all images of a task."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from tests.commands import lehr
from tests.field.conftest import paint_of
from tests.field.painted_coco import SIZE, paint
from tests.field.painted_voc import box_of, make, object_text, xml_text

from lehr.data.load import load_dataset
from lehr.sample import Dataset

META = (
    "<meta><task><labels><label><name>cat</name><color>#f00</color></label><label><name>dog</name></label>"
    "<label><name>bird</name></label></labels></task></meta>"
)


def shape_of(i: int) -> str:
    x1, y1, x2, y2 = box_of(i)
    return (
        f'<box label="{("cat", "dog")[i % 2]}" source="manual" occluded="0" xtl="{x1}.00" ytl="{y1}.00" xbr="{x2}.00" '
        f'ybr="{y2}.00" z_order="0"><attribute name="colour">red</attribute></box>'
    )


def image_text(i: int, name: str, shapes: str, subset: str = "") -> str:
    more = f' subset="{subset}"' if subset else ""
    return f'<image id="{i}" name="{name}"{more} width="{SIZE[0]}" height="{SIZE[1]}">\n{shapes}\n</image>\n'


def write(path: Path, images: Sequence[str], meta: str = META) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    head = '<?xml version="1.0" encoding="utf-8"?>\n'
    text = f"{head}<annotations><version>1.1</version>\n{meta}\n{''.join(images)}</annotations>"
    path.write_text(text, encoding="utf-8")


def whole(source: Path, count: int, expected: Sequence[str] = ()) -> Dataset:
    read = paint_of(source)
    assert not read.misaligned and read.count == count, read.misaligned or read.dataset.faults
    assert sorted({fault.kind for fault in read.dataset.faults}) == sorted(expected), read.dataset.faults
    return read.dataset


@pytest.mark.parametrize("place", ["images/im{}.png", "im{}.png", "images/Train/im{}.png"])
def test_boxes_lie_on_their_rectangles_and_classes_are_the_tasks(tmp_path: Path, place: str) -> None:
    for i in range(6):
        paint(tmp_path / "task" / place.format(i), box_of(i), i % 2)
    write(tmp_path / "task" / "annotations.xml", [image_text(i, f"im{i}.png", shape_of(i)) for i in range(6)])
    dataset = whole(tmp_path / "task", 6, ["split-made"])
    assert dataset.names == ("cat", "dog", "bird")
    assert load_dataset(str(tmp_path / "task" / "annotations.xml")).names == dataset.names
    assert "6 usable images, 0 errors, 0 warnings" in lehr("data", "check", "task", cwd=tmp_path).stdout


def test_subsets_are_splits_and_folders_belong_to_names(tmp_path: Path) -> None:
    images = []
    for k, subset in enumerate(("Train", "Validation", "Test")):
        for i in range(2):
            paint(tmp_path / "task" / "images" / subset / f"{i}.png", box_of(i + k), (i + k) % 2)
            images.append(image_text(len(images), f"{subset}/{i}.png", shape_of(i + k), subset))
    write(tmp_path / "task" / "annotations.xml", images)
    dataset = whole(tmp_path / "task", 6)
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 2, "val": 2, "test": 2}


def test_an_xml_for_each_split(tmp_path: Path) -> None:
    for split, first in (("train", 0), ("val", 4)):
        for i in range(2):
            paint(tmp_path / "task" / f"{split}{i}.png", box_of(first + i), i % 2)
        write(
            tmp_path / "task" / f"{split}.xml",
            [image_text(i, f"{split}{i}.png", shape_of(first + i)) for i in range(2)],
        )
    assert {split: len(each) for split, each in whole(tmp_path / "task", 4).splits.items()} == {"train": 2, "val": 2}


def test_other_shapes_become_boxes_or_are_said(tmp_path: Path) -> None:
    for i in range(4):
        paint(tmp_path / "task" / f"im{i}.png", box_of(i), 0)
    x1, y1, x2, y2 = box_of(0)
    polygon = f'<polygon label="cat" points="{x1},{(y1 + y2) / 2};{(x1 + x2) / 2},{y1};{x2},{y1 + 20};{x1 + 9},{y2}"/>'
    x1, y1, x2, y2 = box_of(1)
    ellipse = (
        f'<ellipse label="cat" cx="{(x1 + x2) / 2}" cy="{(y1 + y2) / 2}" rx="{(x2 - x1) / 2}" ry="{(y2 - y1) / 2}"/>'
    )
    x1, y1, x2, y2 = box_of(2)
    mask = f'<mask label="cat" rle="1,2" left="{x1}" top="{y1}" width="{x2 - x1}" height="{y2 - y1}"/>'
    x, y, w, h = (box_of(3)[0] + box_of(3)[2]) / 2, (box_of(3)[1] + box_of(3)[3]) / 2, 48, 42
    turned = (
        f'<box label="cat" xtl="{x - w / 2}" ytl="{y - h / 2}" xbr="{x + w / 2}" ybr="{y + h / 2}" rotation="270.0"/>'
    )
    bad = '<points label="cat" points="1,2;3,4"/><box label="cat" xtl="1"/><tag label="cat"/>'
    shapes = (polygon, ellipse, mask, turned + bad)
    write(tmp_path / "task" / "a.xml", [image_text(i, f"im{i}.png", each) for i, each in enumerate(shapes)])
    dataset = whole(tmp_path / "task", 4, ["malformed-line", "polygon", "rotated-box", "split-made"])
    assert sorted(fault.message[:20] for fault in dataset.errors) == ["has 1 <points>, whic", "image 'im3.png' has "]


def test_images_that_are_not_there_are_said_and_tracks_are_refused(tmp_path: Path) -> None:
    for i in range(3):
        paint(tmp_path / "task" / f"im{i}.png", box_of(i), i % 2)
    write(tmp_path / "task" / "a.xml", [image_text(i, f"im{i}.png", shape_of(i)) for i in range(4)])
    dataset = paint_of(tmp_path / "task").dataset
    assert [fault.kind for fault in dataset.broken] == ["unreadable-image"] and "im3.png" in dataset.broken[0].message
    write(
        tmp_path / "task" / "a.xml",
        ['<track id="0" label="cat"><box frame="0" xtl="1" ytl="1" xbr="9" ybr="9"/></track>'],
    )
    refused = lehr("data", "check", "task", cwd=tmp_path, code=2).stderr
    assert "tracks of a video" in refused and "CVAT for images" in refused
    write(tmp_path / "task" / "a.xml", [image_text(i, f"other/{i}.jpg", shape_of(i)) for i in range(2)])
    assert "none of its images" in lehr("data", "check", "task", cwd=tmp_path, code=2).stderr


def test_parts_of_a_voc_folder_and_xml_of_others_are_named(tmp_path: Path) -> None:
    make(tmp_path / "ds")
    for part in ("ds/JPEGImages", "ds/ImageSets/Main/train.txt", "ds/Annotations/im0.xml"):
        assert f"part of {Path('ds')}. Give that folder" in lehr("data", "check", part, cwd=tmp_path, code=2).stderr
    assert "Give ds" in lehr("data", "check", "ds/Annotations", cwd=tmp_path, code=2).stderr
    paint(tmp_path / "other" / "a.png", box_of(0), 0)
    text = xml_text(object_text(box_of(0), "cat")).replace("annotation", "dataset").replace("object", "thing")
    (tmp_path / "other" / "a.xml").write_text(text.replace("bndbox", "box"))
    assert "root is <dataset>, dlib's" in lehr("data", "check", "other", cwd=tmp_path, code=2).stderr


def test_shapes_of_an_unknown_kind_are_said(tmp_path: Path) -> None:
    for i in range(4):
        paint(tmp_path / "task" / f"im{i}.png", box_of(i), i % 2)
    shapes = [shape_of(i) if i else shape_of(i).replace("box", "rectangle") for i in range(4)]
    write(tmp_path / "task" / "a.xml", [image_text(i, f"im{i}.png", each) for i, each in enumerate(shapes)])
    dataset = whole(tmp_path / "task", 3, ["malformed-line", "split-made"])
    assert "has 1 <rectangle>, which are read as no box" in dataset.errors[0].message


def test_an_encoding_that_is_not_declared_is_said_and_names_in_it_are_refused(tmp_path: Path) -> None:
    for i in range(4):
        paint(tmp_path / "task" / f"im{i}.png", box_of(i), i % 2)
    path = tmp_path / "task" / "a.xml"
    write(path, [image_text(i, f"im{i}.png", shape_of(i)) for i in range(4)])
    text = path.read_text()
    path.write_bytes(text.replace("red", "grün").encode("latin-1"))
    dataset = whole(tmp_path / "task", 4, ["encoding", "split-made"])
    assert "declares utf-8, but looks like" in str(dataset.faults)
    path.write_bytes(text.replace("cat", "Kätzchen").encode("latin-1"))
    assert "Save it as UTF-8" in lehr("data", "check", "task", cwd=tmp_path, code=2).stderr
