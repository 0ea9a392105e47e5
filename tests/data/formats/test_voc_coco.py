"""VOC folders and COCO JSON are read as they are, into the same form."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import MakeYolo, draw_squares

from lehr.data.load import load_dataset
from lehr.errors import InputError

XML = (
    "<annotation><size><width>64</width><height>64</height></size>\n"
    "<object><name>{name}</name>\n<bndbox><xmin>{0}</xmin><ymin>{1}</ymin><xmax>{2}</xmax><ymax>{3}</ymax></bndbox>\n"
    "</object>\n</annotation>\n"
)


def make_voc(root: Path, count: int = 10) -> Path:
    for i in range(count):
        box = (4 + i, 6, 24 + i, 30)
        draw_squares(root / f"{i}.png", [box], seed=i)
        (root / f"{i}.xml").write_text(XML.format(*box, name="cat" if i % 3 else "dog"))
    return root


def test_real_photographs_with_their_lists(bccd: Path) -> None:
    dataset = load_dataset(str(bccd))
    assert dataset.names == ("Platelets", "RBC", "WBC")
    assert {split: len(samples) for split, samples in dataset.splits.items()} == {"train": 205, "val": 87, "test": 72}
    everything = np.concatenate([s.classes for samples in dataset.splits.values() for s in samples])
    counts = dict(zip(dataset.names, np.bincount(everything).tolist(), strict=True))
    told = [fault for fault in dataset.faults if fault.kind == "box-without-area"]
    assert len(told) == len(dataset.faults) == 2 and all(fault.line for fault in told)
    assert counts == {"RBC": 4155, "WBC": 372, "Platelets": 361}
    sides = np.concatenate([s.boxes[:, 2:] - s.boxes[:, :2] for samples in dataset.splits.values() for s in samples])
    assert sides.min() == 1  # what is given as a point names one pixel


def test_voc_edges_are_the_first_and_last_pixel_counted_from_one(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "bare", 1)
    (folder / "0.xml").write_text(XML.format(1, 3, 64, 5, name="cat"))
    dataset = load_dataset(str(folder))
    boxes = [sample.boxes.tolist() for samples in dataset.splits.values() for sample in samples]
    assert boxes == [[[0, 2, 64, 5]]] and [fault.kind for fault in dataset.faults] == ["split-made"]


def test_a_bare_folder_is_split_by_the_seed_and_each_split_has_each_class(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "bare")
    dataset = load_dataset(str(folder))
    assert dataset.names == ("cat", "dog") and [fault.kind for fault in dataset.faults] == ["split-made"]
    assert [len(dataset.splits[split]) for split in ("train", "val")] == [7, 3]
    for samples in dataset.splits.values():
        assert set(np.concatenate([sample.classes for sample in samples]).tolist()) == {0, 1}
    again, other = load_dataset(str(folder)), load_dataset(str(folder), seed=1)
    assert [s.path for s in again.splits["val"]] == [s.path for s in dataset.splits["val"]]
    assert [s.path for s in other.splits["val"]] != [s.path for s in dataset.splits["val"]]


def test_faults_of_xml_files_are_told_with_file_and_line(tmp_path: Path) -> None:
    folder = make_voc(tmp_path / "bare")
    (folder / "0.xml").write_text("<annotation><object>\n<name>cat</wrong></annotation>")
    (folder / "1.xml").write_text(XML.format(9, 9, 9, 9, name="cat"))
    (folder / "2.xml").unlink()
    (folder / "3.xml").write_text(XML.format(1, 2, 3, "x", name="cat"))
    (folder / "4.xml").write_text('<!DOCTYPE a [<!ENTITY b "c">]><annotation>&b;</annotation>')
    (folder / "5.xml").write_text(XML.format(1, 2, 30, 40, name="cat").replace("<width>64", "<width>99"))
    found = {(fault.kind, fault.path.name, fault.line) for fault in load_dataset(str(folder)).faults}
    assert found == {
        ("unreadable-label", "0.xml", 2),
        ("box-without-area", "1.xml", 2),
        ("missing-label", "2.png", None),
        ("malformed-line", "3.xml", 2),
        ("unreadable-label", "4.xml", None),
        ("other-size", "5.png", None),
        ("split-made", "bare", None),
    }


def make_coco(root: Path) -> dict[str, Path]:
    paths = {}
    for split in ("train", "val"):
        for i in range(3):
            draw_squares(root / "images" / split / f"{i}.jpg", [(8, 8, 40, 40)], seed=i + len(split))
        content = {
            "images": [{"id": 10 + i, "file_name": f"{i}.jpg", "width": 64, "height": 64} for i in range(3)],
            "categories": [{"id": 7, "name": "late"}, {"id": 3, "name": "early"}],
            "annotations": [
                {"id": 1, "image_id": 10, "category_id": 7, "bbox": [8, 8, 32, 32], "iscrowd": 0},
                {"id": 2, "image_id": 11, "category_id": 3, "bbox": [8, 8, 32, 32]},
                {"id": 3, "image_id": 12, "category_id": 3, "bbox": [0, 0, 64, 64], "iscrowd": 1},
            ],
        }
        paths[split] = root / "annotations" / f"instances_{split}.json"
        paths[split].parent.mkdir(parents=True, exist_ok=True)
        paths[split].write_text(json.dumps(content))
    return paths


def test_a_coco_json_its_folder_and_a_pair_give_the_same_data(tmp_path: Path) -> None:
    paths = make_coco(tmp_path / "coco")
    for source in (str(paths["train"]), str(tmp_path / "coco"), f"{paths['train']},{paths['val']}"):
        dataset = load_dataset(source)
        assert dataset.names == ("early", "late")
        assert [len(dataset.splits[split]) for split in ("train", "val")] == [3, 3]
        np.testing.assert_allclose(dataset.splits["train"][0].boxes, [[8, 8, 40, 40]])
        assert [s.classes.tolist() for s in dataset.splits["train"]] == [[1], [0], []]
        assert [fault.kind for fault in dataset.faults] == ["crowd", "crowd"] and not dataset.errors


def test_faults_of_a_coco_json_are_told(tmp_path: Path) -> None:
    paths = make_coco(tmp_path / "coco")
    content = json.loads(paths["train"].read_text())
    content["annotations"] += [
        {"id": 4, "image_id": 10, "category_id": 99, "bbox": [1, 1, 9, 9]},
        {"id": 5, "image_id": 10, "category_id": 3, "bbox": [1, 1, 9]},
        {"id": 6, "image_id": 77, "category_id": 3, "bbox": [1, 1, 9, 9]},
        {"id": 7, "image_id": 10, "category_id": 3, "bbox": [1, 1, 0, 9]},
    ]
    paths["train"].write_text(json.dumps(content))
    (tmp_path / "coco" / "images" / "train" / "2.jpg").unlink()
    kinds = sorted(fault.kind for fault in load_dataset(str(paths["train"])).errors)
    assert kinds == ["box-without-area", "class-out-of-range", "malformed-line", "malformed-line", "unreadable-image"]


@pytest.mark.parametrize("text", ["{", "[]", '{"images": []}', '{"images": [{"id": 1}], "categories": []}'])
def test_a_json_that_is_no_coco_json_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "train.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"train\.json"):
        load_dataset(str(path))


def test_what_is_no_data_set_is_refused_with_what_would_be(tmp_path: Path, make_yolo: MakeYolo) -> None:
    with pytest.raises(InputError, match="does not exist"):
        load_dataset(str(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="not a known layout"):
        load_dataset(str(tmp_path / "empty"))
    draw_squares(tmp_path / "pictures" / "a.jpg", [])
    with pytest.raises(InputError, match="neither"):
        load_dataset(str(tmp_path / "pictures"))
    root = make_yolo().parent
    shutil.copy(root / "data.yaml", root / "other.yaml")
    assert load_dataset(str(root)).source.endswith("data.yaml")
    (root / "data.yaml").rename(root / "another.yaml")
    with pytest.raises(InputError, match="several data YAMLs"):
        load_dataset(str(root))
