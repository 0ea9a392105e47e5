"""The index of scans: what has changed is read anew, what is damaged is not used, and the result is always the same."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import draw_squares

from lehr.data import scan_index
from lehr.data.formats import yolo_scan
from lehr.data.load import load_dataset
from lehr.data.scan_index import MAGIC
from lehr.sample import Dataset

Read = Callable[[Path], tuple[Dataset, list[str]]]
"""Reads a data set; returns it with the names of the images that were opened for it."""


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Twelve images, with labels of several kinds, changed long ago; every data set has an index."""
    monkeypatch.setenv("LEHR_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(yolo_scan, "MIN_IMAGES", 1)
    monkeypatch.setattr(scan_index, "RACY_SECONDS", -60)  # as if the files had been there for long
    root = tmp_path / "set"
    for split, count in {"train": 8, "val": 4}.items():
        (root / "labels" / split).mkdir(parents=True)
        for number in range(count):
            draw_squares(root / "images" / split / f"{number}.png", [(8, 8, 24, 24)], seed=number)
            rows = "0 0.25 0.25 0.25 0.25\n" * (number % 3)
            (root / "labels" / split / f"{number}.txt").write_text(rows.replace("0 ", f"{number % 2} ", 1))
    (root / "labels" / "train" / "3.txt").unlink()
    (root / "labels" / "train" / "4.txt").write_text("1, 0.25, 0.25, 0.25, 0.25\n")
    (root / "labels" / "train" / "5.txt").write_bytes("cat 0.25 0.25 0.25 0.25  # ein Kätzchen\n".encode("utf-16"))
    (root / "labels" / "train" / "6.txt").write_text("0 0.25 0.25 0.25 0.25\n0 nonsense\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """Reads a data set; returns it with the names of the images that were opened for it."""
    opened: list[str] = []
    scan_image = yolo_scan.scan_image

    def scan(image: Path, label: Path) -> object:
        opened.append(f"{image.parent.name}/{image.stem}")
        return scan_image(image, label)

    monkeypatch.setattr(yolo_scan, "scan_image", scan)

    def once(root: Path) -> tuple[Dataset, list[str]]:
        opened.clear()
        return load_dataset(str(root / "data.yaml")), sorted(opened)

    return once


def same(first: Dataset, second: Dataset) -> bool:
    """Whether two data sets are the same, faults and their order included."""
    if [str(fault) for fault in first.faults] != [str(fault) for fault in second.faults]:
        return False
    pairs = [pair for split in first.splits for pair in zip(first.splits[split], second.splits[split], strict=True)]
    return first.names == second.names and all(
        (a.path, a.width, a.height, a.label_path) == (b.path, b.width, b.height, b.label_path)
        and np.array_equal(a.boxes, b.boxes)
        and np.array_equal(a.classes, b.classes)
        for a, b in pairs
    )


def test_the_second_start_opens_nothing_and_gives_the_same(data: Path, read: Read) -> None:
    first, opened = read(data)
    assert len(opened) == 12 and first.faults
    second, opened = read(data)
    assert opened == [] and same(first, second)


@pytest.mark.parametrize(
    "what", ["label", "label of the same size and time", "label gone", "label new", "image", "image new", "image gone"]
)
def test_what_has_changed_is_read_anew(what: str, data: Path, read: Read) -> None:
    read(data)
    stamp = (data / "labels" / "train" / "1.txt").stat().st_mtime_ns
    label, image = data / "labels" / "train" / "1.txt", data / "images" / "train" / "1.png"
    expected = ["train/1"]
    if what == "label":
        label.write_text("0 0.5 0.5 0.125 0.125\n")
    elif what == "label of the same size and time":
        label.write_text(label.read_text().replace("0.25", "0.26"))
        os.utime(label, ns=(stamp, stamp))
    elif what == "label gone":
        label.unlink()
    elif what == "label new":
        (data / "labels" / "train" / "3.txt").write_text("0 0.25 0.25 0.25 0.25\n")
        expected = ["train/3"]
    elif what == "image":
        draw_squares(image, [(8, 8, 24, 24)], side=96)
    elif what == "image new":
        shutil.copy(image, image.with_name("new.png"))
        expected = ["train/new"]
    else:
        image.unlink()
        label.unlink()
        expected = []
    changed, opened = read(data)
    assert opened == expected
    shutil.rmtree(data.parent / "cache")
    fresh, opened = read(data)
    assert len(opened) >= 11 and same(changed, fresh)
    again, opened = read(data)
    assert opened == [] and same(again, fresh)


def test_a_file_that_changed_just_before_is_read_again(data: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scan_index, "RACY_SECONDS", 60)
    read(data)
    assert len(read(data)[1]) == 12  # a write within the clock's tick would not show


def test_images_that_cannot_be_used_are_tried_again(data: Path, read: Read) -> None:
    (data / "images" / "val" / "2.png").write_bytes(b"junk")
    (data / "labels" / "val" / "1.txt").write_bytes(b"\0\0\0")
    first, _ = read(data)
    second, opened = read(data)
    assert opened == ["val/1", "val/2"] and same(first, second)
    assert {fault.kind for fault in second.faults} >= {"unreadable-image", "unreadable-label"}


@pytest.mark.parametrize("damage", ["cut", "flipped", "foreign", "empty", "of another version", "of another data set"])
def test_a_damaged_index_is_not_used(damage: str, data: Path, read: Read, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = read(data)
    (index,) = (data.parent / "cache" / "scans").iterdir()
    content = bytearray(index.read_bytes())
    if damage == "cut":
        index.write_bytes(content[: len(content) // 2])
    elif damage == "flipped":
        content[len(content) // 2] ^= 1
        index.write_bytes(content)
    elif damage == "foreign":
        index.write_bytes(MAGIC + b"something else")
    elif damage == "empty":
        index.write_bytes(b"")
    elif damage == "of another version":
        monkeypatch.setattr("lehr.data.scan_index._version", lambda: "another")
    else:
        other = data.parent / "other"
        shutil.copytree(data, other)
        read(other)
        (copied,) = (path for path in index.parent.iterdir() if path != index)
        shutil.copy(copied, index)
    second, opened = read(data)
    assert len(opened) == 12 and same(first, second)
    assert read(data)[1] == []


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(data: Path, read: Read) -> None:
    (data.parent / "cache").write_text("no folder")
    first, _ = read(data)
    second, opened = read(data)
    assert len(opened) == 12 and same(first, second)


def test_a_moved_data_set_is_read_anew(data: Path, read: Read) -> None:
    read(data)
    data.rename(data.with_name("elsewhere"))
    assert len(read(data.with_name("elsewhere"))[1]) == 12
