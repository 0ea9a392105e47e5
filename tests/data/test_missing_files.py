"""Labels without images, and images without labels."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.commands import lehr

from lehr.data.load import load_dataset
from lehr.sample import Fault

ROW = "0 0.5 0.5 0.5 0.5\n"


def make(root: Path, images: list[str], labels: dict[str, str], listed: bool = False) -> Path:
    for name in images:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        assert cv2.imwrite(str(root / name), np.full((32, 32, 3), 90, np.uint8))
    for name, text in labels.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    if listed:
        (root / "train.txt").write_text("".join(f"{name}\n" for name in images[:2]))
    train = "train.txt" if listed else "images/train"
    (root / "data.yaml").write_text(f"train: {train}\nval: {train}\nnames: [cat, dog]\n")
    return root / "data.yaml"


def kinds(source: Path, kind: str) -> list[Fault]:
    return list(dict.fromkeys(fault for fault in load_dataset(str(source)).faults if fault.kind == kind))


def test_a_label_without_an_image_is_reported_once(tmp_path: Path) -> None:
    labels = {f"labels/train/{name}.txt": ROW for name in ("a", "b", "gone")} | {"labels/train/empty.txt": ""}
    labels |= {"labels/train/classes.txt": "cat\ndog\n", "labels/train/notes.txt": "seen on Monday\n"}
    source = make(tmp_path, ["images/train/a.jpg", "images/train/b.png"], labels)
    found = kinds(source, "label-without-image")
    assert [fault.path.name for fault in found] == ["empty.txt", "gone.txt"]
    done = lehr("data", "check", source, cwd=tmp_path, code=1)
    assert "is a label file without an image" in done.stdout and "gone.txt" in done.stdout


@pytest.mark.parametrize("text", ["0,0.5,0.5,0.5,0.5", "0 0,5 0,5 0,5 0,5", "\ufeffcat 0.5 0.5 0.5 0.5", "1 2 3 4"])
def test_labels_of_any_writing_are_seen(text: str, tmp_path: Path) -> None:
    source = make(tmp_path, ["images/train/a.jpg"], {"labels/train/a.txt": ROW, "labels/train/b.txt": text})
    assert [fault.path.name for fault in kinds(source, "label-without-image")] == ["b.txt"]


def test_labels_of_images_that_are_not_listed_are_no_fault(tmp_path: Path) -> None:
    images = [f"images/train/{name}.jpg" for name in "abcd"]
    source = make(tmp_path, images, {f"labels/train/{name}.txt": ROW for name in "abcd"}, listed=True)
    assert kinds(source, "label-without-image") == []


def test_lists_and_notes_beside_the_images_are_no_labels(tmp_path: Path) -> None:
    labels = {"pics/a.txt": ROW, "pics/b.txt": ROW, "pics/train.txt": "pics/a.jpg\n", "pics/empty.txt": ""}
    make(tmp_path, ["pics/a.jpg"], labels)
    (tmp_path / "data.yaml").write_text("train: pics\nval: pics\nnames: [cat]\n")
    assert [fault.path.name for fault in kinds(tmp_path / "data.yaml", "label-without-image")] == ["b.txt"]


def test_a_label_whose_image_is_not_read_is_not_without_image(tmp_path: Path) -> None:
    source = make(tmp_path, ["images/train/a.jpg"], {f"labels/train/{name}.txt": ROW for name in "ab"})
    (tmp_path / "images" / "train" / "b.dng").write_bytes(b"x")
    assert kinds(source, "label-without-image") == []


@pytest.mark.parametrize(("labelled", "told"), [(1, True), (3, True), (5, False), (8, False)])
def test_a_split_most_of_which_has_no_labels_is_reported(labelled: int, told: bool, tmp_path: Path) -> None:
    images = [f"images/train/{i}.jpg" for i in range(8)]
    source = make(tmp_path, images, {f"labels/train/{i}.txt": ROW for i in range(labelled)})
    found = kinds(source, "most-labels-missing")
    assert bool(found) == told
    if told:
        assert f"{8 - labelled} of 8 images of 'train' have no label file" in found[0].message
