"""Formats are tried in an order, can be named, and can be added by other packages."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import MakeYolo, draw_squares

from lehr.data import load
from lehr.data.formats.data_format import DataFormat
from lehr.data.load import FORMATS, load_dataset, register_format, require_split
from lehr.data.write import write_dataset
from lehr.errors import InputError
from lehr.plugins import PluginTable
from lehr.sample import Dataset, Sample


def as_all(folder: Path, make_yolo: MakeYolo) -> Path:
    """A folder that is of each layout, each with another class."""
    source = make_yolo("source")
    write_dataset(load_dataset(str(source)), "coco", folder)
    for path in folder.rglob("*.json"):
        content = json.loads(path.read_text())
        for each, name in zip(content["categories"], ("coco 0", "coco 1"), strict=True):
            each["name"] = name
        path.write_text(json.dumps(content))
    shutil.copytree(source.parent, folder / "yolo")
    (folder / "data.yaml").write_text("path: yolo\ntrain: images/train\nval: images/val\nnames: [yolo 0, yolo 1]\n")
    draw_squares(folder / "JPEGImages" / "0.jpg", [(4, 4, 20, 20)])
    (folder / "Annotations").mkdir()
    (folder / "Annotations" / "0.xml").write_text(
        "<annotation><object><name>voc</name><bndbox><xmin>5</xmin><ymin>5</ymin><xmax>20</xmax><ymax>20</ymax>"
        "</bndbox></object></annotation>"
    )
    return folder


def test_the_order_of_recognition_is_coco_then_yolo_then_voc_and_a_name_overrules_it(
    tmp_path: Path, make_yolo: MakeYolo
) -> None:
    folder = as_all(tmp_path / "all", make_yolo)
    assert load_dataset(str(folder)).names == ("coco 0", "coco 1")
    assert load_dataset(f"yolo:{folder}").names == ("yolo 0", "yolo 1")
    assert load_dataset(f"voc:{folder}").names == ("voc",)
    for path in folder.rglob("*.json"):
        path.unlink()
    assert load_dataset(str(folder)).names == ("yolo 0", "yolo 1")
    (folder / "data.yaml").unlink()
    assert load_dataset(str(folder)).names == ("voc",)


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ("coco:empty", "empty: is not COCO JSON"),
        ("yolo:empty", "empty: holds no data YAML"),
        ("voc:empty", "empty: holds no images"),
        ("none:empty", "--data none:empty: does not exist"),
        ("empty", "--data empty: is not a known layout"),
        ("missing", "--data missing: does not exist"),
        ("", "--data : is empty. Name a data YAML"),
        (" ", "--data : is empty."),
    ],
)
def test_what_a_format_cannot_read_is_refused(
    source: str, words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    with pytest.raises(InputError, match=words):
        load_dataset(source)


def test_a_folder_whose_name_has_a_colon_is_that_folder(tmp_path: Path, make_yolo: MakeYolo) -> None:
    folder = tmp_path / "voc:2"
    shutil.copytree(make_yolo().parent, folder)
    assert load_dataset(str(folder)).names == ("small", "large")


def test_a_registered_format_reads_what_no_other_does_and_is_called_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make_yolo: MakeYolo
) -> None:
    monkeypatch.setattr(load, "FORMATS", PluginTable("none", DataFormat, FORMATS.known()))
    seen = []

    def read(source: str, seed: int) -> Dataset:
        seen.append((source, seed))
        box = np.array([[0, 0, 8, 8]], np.float32)
        return Dataset(source, ("thing",), {"train": [Sample(Path("a.png"), 16, 16, box, np.zeros(1, np.int64))]})

    register_format(DataFormat("lines", lambda source: ["it ends so"] if source.endswith(".lines") else [], read))
    assert load_dataset("some.lines", seed=4).names == ("thing",)
    assert load_dataset("lines:where.json").names == ("thing",)
    assert seen == [("some.lines", 4), ("where.json", 0)]
    yaml = make_yolo()
    assert load_dataset(str(yaml)).names == ("small", "large")
    with pytest.raises(ValueError, match="another DataFormat named 'lines'"):
        register_format(DataFormat("lines", lambda source: ["all"], read))


def test_a_split_without_objects_says_where_its_first_label_file_was_looked_for(make_yolo: MakeYolo) -> None:
    source = make_yolo()
    shutil.rmtree(source.parent / "labels" / "train")
    label = source.parent / "labels" / "train" / "0.txt"
    with pytest.raises(InputError, match=r"no image of the split 'train' has an object; 6 of 6") as refused:
        require_split(load_dataset(str(source)), "train")
    assert f"0.jpg: no label file {label}." in str(refused.value)
    for file in (source.parent / "labels" / "val").iterdir():
        file.write_text("")
    with pytest.raises(InputError, match=r"no image of the split 'val' has an object\. Run `lehr data check"):
        require_split(load_dataset(str(source)), "val")
