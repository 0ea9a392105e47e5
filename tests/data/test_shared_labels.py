"""Images that share a label file: of one picture both are used, of different ones neither."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from tests.field.painted_sets import paint, paint_splits

from lehr.data.check import refuse_unusable
from lehr.data.load import load_dataset
from lehr.errors import InputError
from lehr.sample import Dataset


def read(root: Path) -> Dataset:
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return load_dataset(str(root / "data.yaml"))


@pytest.mark.parametrize("size", [(96, 96), (80, 96), (40, 40)])
def test_another_picture_of_the_same_name_is_refused(size: tuple[int, int], tmp_path: Path) -> None:
    root = paint_splits(tmp_path / "set")
    other = np.full((*size, 3), 200, np.uint8)
    assert cv2.imwrite(str(root / "images/train/train1.jpg"), other)
    dataset = read(root)
    assert [fault.path.name for fault in dataset.broken] == ["train1.jpg", "train1.png"]
    assert len(dataset.splits["train"]) == 3
    with pytest.raises(InputError, match=r"train1\.jpg.*labels/train/train1\.txt, which could belong to either"):
        refuse_unusable(dataset)


def test_one_picture_in_two_formats_is_used_twice_aloud(tmp_path: Path) -> None:
    root = paint_splits(tmp_path / "set")
    paint(root / "images/train/train1.jpg", None, 1, 1)
    dataset = read(root)
    assert len(dataset.splits["train"]) == 5 and not dataset.errors
    assert [fault.kind for fault in dataset.faults] == ["duplicate-image", "duplicate-image"]


def test_an_image_named_in_two_splits_shares_nothing(tmp_path: Path) -> None:
    root = paint_splits(tmp_path / "set")
    (root / "val.txt").write_text("images/val/val0.png\nimages/train/train0.png\n")
    (root / "data.yaml").write_text("train: images/train\nval: val.txt\nnames: [cat, dog]\n")
    assert not load_dataset(str(root / "data.yaml")).faults


def test_of_many_such_images_some_stand_for_all(tmp_path: Path) -> None:
    root = paint_splits(tmp_path / "set")
    for number in range(70):
        name = f"many{number}"
        paint(root / f"images/train/{name}.png", root / f"labels/train/{name}.txt", number)
        paint(root / f"images/train/{name}.bmp", None, number)
    dataset = read(root)
    assert len(dataset.faults) == 140 and {fault.kind for fault in dataset.faults} == {"duplicate-image"}
