"""Splitting, converting and mending data sets as people have them: links, copies elsewhere, names that meet."""

from __future__ import annotations

import json
import os
import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.commands import lehr
from tests.field.conftest import COLOURS, MakeCase, paint_of


def paint(path: Path, label: Path | None, class_id: int, left: int, top: int = 20, side: int = 30) -> None:
    """An image of 96 pixels with one rectangle of its class's colour, and its label."""
    image = np.full((96, 96, 3), 90, np.uint8)
    image[top : top + side, left : left + side] = COLOURS[class_id][::-1]
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)
    if label is not None:
        label.parent.mkdir(parents=True, exist_ok=True)
        centre = (left + side / 2) / 96, (top + side / 2) / 96
        label.write_text(f"{class_id} {centre[0]} {centre[1]} {side / 96} {side / 96}\n")


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Ten images of two classes, none like another."""
    root = tmp_path / "set"
    for number in range(10):
        name = f"{number}.png"
        paint(root / "images" / name, root / "labels" / f"{number}.txt", number % 2, 5 + 4 * number)
    (root / "data.yaml").write_text("train: images\nval: images\nnames: [cat, dog]\n")
    return root


def all_aligned(source: Path) -> int:
    painted = paint_of(source)
    assert painted.misaligned == []
    return painted.count


@pytest.mark.parametrize("linked", ["each image", "the folder of images", "the whole data set"])
def test_splitting_keeps_links_to_images_and_their_labels(data: Path, linked: str) -> None:
    store, images, yaml = data.parent / "store", data / "images", data / "data.yaml"
    if linked == "each image":
        store.mkdir()
        for number in range(10):  # as data versioning keeps them, by their content
            (images / f"{number}.png").rename(store / f"d41d8{number}")
            (images / f"{number}.png").symlink_to(store / f"d41d8{number}")
    elif linked == "the folder of images":
        images.rename(store)
        images.symlink_to(store)
    else:
        (data.parent / "link").symlink_to(data)
        yaml = data.parent / "link" / "data.yaml"
    lehr("data", "split", yaml, "--ratios", "0.5,0.5", "--out", "new", cwd=data.parent)
    checked = lehr("data", "check", "new/data.yaml", cwd=data.parent)
    assert "10 usable images, 0 errors" in checked.stdout
    assert all_aligned(data.parent / "new" / "data.yaml") == 10


def test_data_sets_of_links_in_the_field(case: MakeCase) -> None:
    linked = case("I12b-symlink-files")
    names = [f"train/train{number}" for number in range(6)] + ["val/val0", "val/val1"]
    for number, name in enumerate(names):  # an archive of the case may have lost its links
        image = linked / "images" / f"{name}.jpg"
        image.parent.mkdir(parents=True, exist_ok=True)
        if not image.is_symlink():
            image.symlink_to(linked / "store" / f"{number:04}.jpg")
    folder = case("I12f-symlink-folder-split")
    if not (folder / "images").exists():
        (folder / "images").symlink_to(folder / "store" / "pics")
    for root in (linked, folder):
        before = all_aligned(root / "data.yaml")
        lehr("data", "split", "data.yaml", "--ratios", "0.5,0.5", "--out", "new", cwd=root)
        checked = lehr("data", "check", "new/data.yaml", cwd=root)
        assert "8 usable images, 0 errors" in checked.stdout
        assert all_aligned(root / "new" / "data.yaml") == before > 0


def test_a_copy_of_data_and_split_works_elsewhere(case: MakeCase) -> None:
    folder = case("S03-split-moved")
    lehr("data", "split", "data.yaml", "--ratios", "0.5,0.5", "--out", "new", cwd=folder)
    (folder / "m").mkdir()
    for name in ("images", "labels", "new"):
        shutil.copytree(folder / name, folder / "m" / name)
    shutil.rmtree(folder / "images")
    assert all_aligned(folder / "m" / "new" / "data.yaml") > 0


def test_lists_stay_right_below_a_link_of_a_folder(data: Path, tmp_path: Path) -> None:
    (tmp_path / "deep" / "er").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "deep" / "er")
    lehr("data", "split", data / "data.yaml", "--out", tmp_path / "link" / "new", cwd=tmp_path)
    assert all_aligned(tmp_path / "link" / "new" / "data.yaml") == 10
    assert all_aligned(tmp_path / "deep" / "er" / "new" / "data.yaml") == 10


def test_copies_and_versions_stay_in_one_split_and_no_image_is_in_two(data: Path) -> None:
    for number in range(4):
        shutil.copy(data / "images" / f"{number}.png", data / "images" / f"again {number}.png")
        shutil.copy(data / "labels" / f"{number}.txt", data / "labels" / f"again {number}.txt")
    done = lehr("data", "split", "data.yaml", "--ratios", "0.5,0.5", "--out", "new", cwd=data)
    assert "8 images are in 4 groups that stay together" in done.stdout
    checked = lehr("data", "check", "new/data.yaml", cwd=data)
    assert "in-two-splits" not in checked.stdout and "4 duplicate-image" in checked.stdout
    alone = lehr("data", "split", "data.yaml", "--group-by", "none", "--out", "other", cwd=data)
    assert "groups" not in alone.stdout


def test_a_grouping_that_leaves_a_split_empty_is_refused(data: Path) -> None:
    done = lehr("data", "split", "data.yaml", "--group-by", "folder", "--out", "new", cwd=data, code=2)
    assert "without an image" in done.stderr and "10 images in 1 group." in done.stderr and not (data / "new").exists()


def test_converting_keeps_images_of_one_name_apart(tmp_path: Path) -> None:
    root = tmp_path / "set"
    for camera, class_id in (("camA", 0), ("camB", 1)):
        for number in range(3):
            label = root / "labels" / camera / f"{number}.txt"
            paint(root / "images" / camera / f"{number}.png", label, class_id, 8 + 20 * number)
    (root / "data.yaml").write_text("train: [images/camA, images/camB]\nval: images/camB\nnames: [cat, dog]\n")
    for to in ("yolo", "coco"):
        lehr("data", "convert", "set/data.yaml", "--to", to, "--out", to, cwd=tmp_path)
        assert all_aligned(tmp_path / to) == 9
    names = [
        image["file_name"]
        for image in json.loads((tmp_path / "coco/annotations/instances_train.json").read_text())["images"]
    ]
    assert names == [f"{camera}/{number}.png" for camera in ("camA", "camB") for number in range(3)]


def test_a_taken_folder_is_refused_before_the_work(data: Path) -> None:
    (data / "taken").mkdir()
    (data / "taken" / "mine").touch()
    for command in (("split",), ("convert", "--to", "coco")):
        done = lehr("data", *command, "missing.yaml", "--out", "taken", cwd=data, code=2)
        assert "taken: exists already and is not empty" in done.stderr
    done = lehr("data", "check", "missing.yaml", "--fix", "taken", cwd=data, code=2)
    assert "Choose another --fix" in done.stderr


def test_a_mended_copy_has_what_is_certain_and_a_list_of_the_rest(data: Path) -> None:
    def add(number: int, line: str) -> None:
        label = data / "labels" / f"{number}.txt"
        label.write_text(label.read_text() + line)

    add(0, (data / "labels" / "0.txt").read_text())  # twice the same
    add(1, "0 0.5 0.5 0 0.2\n")  # without area
    add(2, "0 nonsense\n")
    (data / "images" / "3.png").write_bytes(b"junk")
    (data / "labels" / "4.txt").unlink()
    shutil.copy(data / "images" / "5.png", data / "images" / "six.png")
    shutil.copy(data / "labels" / "5.txt", data / "labels" / "six.txt")
    (data / "data.yaml").write_text("train: images\nnames: [cat, dog]\n")
    before = {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    done = lehr("data", "check", "data.yaml", "--fix", "../mended", cwd=data, code=1)
    assert "7 images; 3 faults corrected, 3 not, 3 images not copied" in done.stdout
    assert before == {path: path.read_bytes() for path in data.rglob("*") if path.is_file()}
    mended = data.parent / "mended"
    assert sorted(path.stem for path in (mended / "images" / "train").iterdir()) == list("0156789")
    assert all_aligned(mended) == 7
    assert "0 errors, 0 warnings" in lehr("data", "check", mended, cwd=data).stdout
    changes = (mended / "changes.txt").read_text()
    assert changes.count("\nnot mended:") + changes.startswith("not mended:") == 3
    assert all(f"not in the copy: images/{name}.png" in changes for name in ("2", "4", "six"))
    assert "duplicate-box" in changes and "box-without-area" in changes and "2.txt:2" in changes


def test_check_groups_thousands_of_equal_faults(data: Path) -> None:
    for number in range(10):
        (data / "labels" / f"{number}.txt").unlink()
    done = lehr("data", "check", "data.yaml", cwd=data, code=1)
    lines = done.stdout.splitlines()
    assert lines[0].startswith("error: 20 images without a label file") or lines[0].startswith("error: 10 images")
    assert sum("missing-label]" in line for line in lines) == 4 and "more of this kind" in done.stdout
    whole = lehr("data", "check", "data.yaml", "--most", "0", cwd=data, code=1)
    assert sum("missing-label]" in line for line in whole.stdout.splitlines()) >= 10


@pytest.mark.skipif(os.name == "nt", reason="names may end in blanks elsewhere only")
def test_names_that_a_list_cannot_hold_are_refused(data: Path) -> None:
    (data / "images" / "0.png").rename(data / "images" / "a\nb.png")
    (data / "labels" / "0.txt").rename(data / "labels" / "a\nb.txt")
    done = lehr("data", "split", "data.yaml", "--out", "new", cwd=data, code=2)
    assert "is not possible in a list" in done.stderr and not (data / "new").exists()
