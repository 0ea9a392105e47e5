"""Folders without a data YAML are read where somebody names their classes; else it is said what they are and lack."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from tests.commands import lehr
from tests.field.conftest import MakeCase, paint_of
from tests.field.painted_sets import paint, paint_splits, write_lists

from lehr.data.load import load_dataset
from lehr.errors import InputError

TRAIN = ("train", "--model", "yolov8n", "--width", "0.125", "--imgsz", "64", "--epochs", "1", "--data")


@pytest.mark.parametrize("source", [".", "obj.data"])
def test_an_export_of_cvat_in_darknet_s_layout_is_read(
    source: str, case: MakeCase, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = case("Y12-cvat-yolo11")
    done = lehr("data", "check", source, cwd=folder)
    assert "4 usable images" in done.stdout and "lehr data split" in done.stdout
    monkeypatch.chdir(folder)
    painted = paint_of(source)
    assert painted.count == 4 and not painted.misaligned and painted.dataset.names == ("cat", "dog")
    assert "two-formats" not in {fault.kind for fault in painted.dataset.faults}


def test_folders_of_splits_without_names_are_told_what_to_write(case: MakeCase) -> None:
    folder = case("Y23-dir-split-by-name")
    done = lehr("data", "check", ".", cwd=folder, code=2)
    for words in ("train: train/images", "val: val/images", "names: [name-0, name-1]", "Write data.yaml"):
        assert words in done.stderr
    (folder / "data.yaml").write_text("train: train/images\nval: val/images\nnames: [name-0, name-1]\n")
    assert paint_of(folder / "data.yaml").count == 6


@pytest.mark.parametrize("source", ["ds", "ds/annotations/instances_default.json"])
def test_one_json_of_everything_is_to_be_divided(source: str, case: MakeCase) -> None:
    folder = case("C14-cvat-default")
    assert "lehr data split" in lehr("data", "check", source, cwd=folder).stdout
    assert f"lehr data split {source}" in lehr(*TRAIN, source, cwd=folder, code=2).stderr


def test_a_folder_of_two_formats_says_which_it_takes(case: MakeCase) -> None:
    folder = case("C20-yolo-and-coco")
    done = lehr("data", "check", "ds", cwd=folder)
    assert "is read as coco" in done.stdout and "data.yaml" in done.stdout


def make_darknet(root: Path, data: str, line: str) -> Path:
    paint_splits(root, "obj_{}_data", "obj_{}_data")
    write_lists(root, line)
    (root / "obj.names").write_text("cat\ndog\n")
    (root / "obj.data").write_text(data)
    return root / "obj.data"


@pytest.mark.parametrize(
    ("keys", "prefix", "line"),
    [
        ("classes = 2;train = {}train.txt;valid = {}val.txt;names = {}obj.names;backup = backup/", "data/", "data/"),
        ("classes=2;train={}train.txt;valid={}val.txt;names={}obj.names", "", ""),
        ("# mine;train = {}train.txt;val = {}val.txt;names = {}obj.names", "build/x64/data/", "./"),
        ("\ufeffTrain = {}train.txt;Valid = {}val.txt;Names = {}obj.names;eval = coco", "", "/mnt/set/"),
    ],
)
def test_darknet_s_layout_is_read_with_its_splits(tmp_path: Path, keys: str, prefix: str, line: str) -> None:
    data = keys.replace("{}", prefix).replace(";", "\n")
    path = make_darknet(tmp_path / "set", data, line + "obj_{0}_data/{1}.png")
    for source in (path, path.parent):
        painted = paint_of(source)
        assert painted.count == 6 and not painted.misaligned and not painted.dataset.errors
        assert {split: len(each) for split, each in painted.dataset.splits.items()} == {"train": 4, "val": 2}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ("classes = 3\ntrain = train.txt\nnames = obj.names", r"obj\.data:1: 'classes' is 3 but .* names 2"),
        ("train = train.txt", "has no 'names'"),
        ("train = train.txt\nnames = gone.names", r"obj\.data:2: 'names': .*gone\.names does not exist"),
        ("names = obj.names", "neither 'train' nor 'valid'"),
        ("train = gone.txt\nnames = obj.names", r"obj\.data:1: 'train': .*gone\.txt' does not exist"),
        ("train = train.txt\ntrain = val.txt\nnames = obj.names", r"obj\.data:2: 'train' is given there and on line 1"),
        ("this is not a list", r"obj\.data:1: .*is not 'key = value'"),
    ],
)
def test_what_is_wrong_in_a_data_file_of_darknet_is_said_with_its_line(tmp_path: Path, data: str, words: str) -> None:
    path = make_darknet(tmp_path / "set", data, "obj_{0}_data/{1}.png")
    with pytest.raises(InputError, match=words):
        load_dataset(str(path))


def test_an_export_without_its_images_says_so(tmp_path: Path) -> None:
    path = make_darknet(tmp_path / "set", "train = train.txt\nnames = obj.names", "data/obj_{0}_data/{1}.png")
    for image in path.parent.rglob("*.png"):
        image.unlink()
    with pytest.raises(InputError, match=r"names no image that is there.*label file is in .*, but there is no"):
        load_dataset(str(path))


def labels_flat(root: Path) -> None:
    for number in range(5):
        paint(root / f"{number}.png", root / f"{number}.txt", number)


def label_studio(root: Path) -> None:
    for number in range(5):
        paint(root / "images" / f"{number}.png", root / "labels" / f"{number}.txt", number)


@pytest.mark.parametrize("make", [labels_flat, label_studio])
@pytest.mark.parametrize("place", ["classes.txt", "labels/classes.txt", "notes.json"])
def test_a_list_of_classes_is_enough_and_the_images_are_to_be_divided(tmp_path: Path, make: object, place: str) -> None:
    assert callable(make)
    make(tmp_path)
    names = tmp_path / place
    names.parent.mkdir(exist_ok=True)
    classes = {"categories": [{"id": 1, "name": "dog"}, {"id": 0, "name": "cat"}], "info": {}}
    names.write_text(json.dumps(classes) if place == "notes.json" else "cat\r\ndog\r\n\r\n")
    painted = paint_of(tmp_path)
    assert painted.count == 5 and not painted.misaligned and painted.dataset.names == ("cat", "dog")
    assert [fault.kind for fault in painted.dataset.faults] == ["no-splits"]
    assert f"lehr data split {tmp_path} --out" in lehr(*TRAIN, tmp_path, cwd=tmp_path, code=2).stderr


@pytest.mark.parametrize("places", ["{}/images", "{}", "images/{}"])
def test_folders_of_splits_with_a_list_of_classes_are_read(tmp_path: Path, places: str) -> None:
    paint_splits(tmp_path, places, places.replace("images", "labels"))
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    painted = paint_of(tmp_path)
    assert painted.count == 6 and not painted.misaligned and not painted.dataset.faults
    assert {split: len(each) for split, each in painted.dataset.splits.items()} == {"train": 4, "val": 2}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("cat\n\ndog\n", r"classes\.txt:2: there is an empty line"),
        ("cat\ncat\n", r"classes\.txt:2: the class 'cat' is named twice"),
        ("", r"classes\.txt: is empty"),
    ],
)
def test_a_list_of_classes_that_cannot_be_is_refused(tmp_path: Path, text: str, words: str) -> None:
    labels_flat(tmp_path)
    (tmp_path / "classes.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        load_dataset(str(tmp_path))


def test_numbers_before_class_names_are_taken_for_their_numbers_aloud(tmp_path: Path) -> None:
    labels_flat(tmp_path)
    (tmp_path / "classes.txt").write_text("0: cat\n1: dog\n")
    dataset = load_dataset(str(tmp_path))
    assert dataset.names == ("cat", "dog") and "names-form" in {fault.kind for fault in dataset.faults}


def test_lists_of_classes_that_differ_are_refused(tmp_path: Path) -> None:
    paint_splits(tmp_path, "{}", "{}")
    (tmp_path / "train" / "classes.txt").write_text("cat\ndog\n")
    (tmp_path / "val" / "classes.txt").write_text("dog\ncat\n")
    with pytest.raises(InputError, match="names other classes than"):
        load_dataset(str(tmp_path))


def test_labels_without_their_images_are_told(tmp_path: Path) -> None:
    label_studio(tmp_path)
    (tmp_path / "classes.txt").write_text("cat\ndog\n")
    shutil.rmtree(tmp_path / "images")
    with pytest.raises(InputError, match=r"(?s)classes\.txt and 5 label files are there, but not their images"):
        load_dataset(str(tmp_path))


def test_what_is_no_data_set_is_named_for_what_it_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paint_splits(tmp_path / "outer" / "fruit")
    (tmp_path / "outer" / "fruit" / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [a, b]\n")
    shutil.copytree(tmp_path / "outer", tmp_path / "twice" / "outer")
    shutil.copytree(tmp_path / "outer" / "fruit", tmp_path / "two" / "a")
    shutil.copytree(tmp_path / "outer" / "fruit", tmp_path / "two" / "b")
    for name in ("cat", "dog"):
        paint(tmp_path / "classified" / "train" / name / "0.png", None, 0)
    for name in ("set.zip", "boxes.csv", "a.parquet", "a.tfrecord", "data.yaml.txt", "best.pt", "list.txt"):
        (tmp_path / name).write_text("")
    (tmp_path / "packed").mkdir()
    (tmp_path / "packed" / "export.zip").write_text("")
    (tmp_path / "table").mkdir()
    paint(tmp_path / "table" / "0.png", None, 0)
    (tmp_path / "table" / "boxes.csv").write_text("image,x,y\n")
    (tmp_path / "nothing").mkdir()
    expected = {
        "outer": "holds one data set in a subfolder (it holds data.yaml). Name it: --data outer/fruit.",
        "twice": "Name it: --data twice/outer/fruit.",
        "two": "holds several data sets",
        "classified": "looks like data for classification",
        "set.zip": "is an archive. Unpack it",
        "packed": "holds the archive export.zip. Unpack it",
        "boxes.csv": "is a table (CSV)",
        "table": "boxes.csv is a table (CSV)",
        "a.parquet": "Parquet",
        "a.tfrecord": "TFRecord",
        "data.yaml.txt": "Rename it to data.yaml",
        "best.pt": "holds weights",
        "list.txt": "name it in a data YAML",
        "table/0.png": "is an image",
        "nothing": "the folder is empty",
        "outer/fruit/dta.yaml": "Did you mean outer/fruit/data.yaml?",
        "no/such/data.yaml": "Neither does no/such",
        "https://example.org/data.yaml": "is a web address",
    }
    for source, words in expected.items():
        with pytest.raises(InputError) as caught:
            load_dataset(source)
        assert words in str(caught.value), source


def test_images_and_labels_in_one_folder_without_names_are_told_what_to_write(tmp_path: Path) -> None:
    labels_flat(tmp_path / "set")
    with pytest.raises(InputError, match=r"(?s)The labels have 2 \(0 to 1\).*train: \.\n.*names: \[name-0, name-1\]"):
        load_dataset(str(tmp_path / "set"))
