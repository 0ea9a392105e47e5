"""Fingerprints of images: which one of two data sets differs, and in what."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import make_squares

from lehr.data.image_marks import MARKS, DataMarks, compare_marks, mark_images, marks_text, read_marks
from lehr.data.load import load_dataset
from lehr.errors import InputError
from lehr.sample import Ignored


@pytest.fixture
def marks(tmp_path: Path) -> DataMarks:
    dataset = load_dataset(str(make_squares(tmp_path / "data", {"train": 5, "val": 2})))
    return DataMarks(dataset.names, tuple(mark_images(dataset.splits, content=True)))


def test_equal_data_do_not_differ_and_survive_the_file(marks: DataMarks, tmp_path: Path) -> None:
    text = marks_text(marks.names, marks.images)
    (tmp_path / MARKS).write_text(text, encoding="utf-8")
    assert read_marks(tmp_path) == marks
    assert compare_marks(marks, marks) == []
    assert read_marks(tmp_path / "nothing") is None


def test_each_change_is_named_with_its_image(marks: DataMarks) -> None:
    images = list(marks.images)
    changed = [
        images[0],
        replace(images[2], content="0"),
        replace(images[1], labels="0"),
        replace(images[3], width=65, labels="0"),
        replace(images[4], name="new.jpg"),
        *images[5:],
    ]
    found = {
        (each.name, each.change, each.index) for each in compare_marks(marks, replace(marks, images=tuple(changed)))
    }
    assert found == {
        ("2.jpg", "pixels", 2),
        ("1.jpg", "labels", 1),
        ("1.jpg", "order", 1),
        ("3.jpg", "size", 3),
        ("4.jpg", "missing", 4),
        ("new.jpg", "added", 4),
    }


def test_files_that_were_not_hashed_do_not_differ(marks: DataMarks) -> None:
    without = replace(marks, images=tuple(replace(each, content=None) for each in marks.images))
    assert compare_marks(marks, without) == []


def test_what_an_evaluation_ignores_counts(tmp_path: Path) -> None:
    dataset = load_dataset(str(make_squares(tmp_path / "data", {"train": 1, "val": 1})))
    (sample,) = dataset.splits["train"]
    ignored = Ignored(np.ones((1, 4), np.float32), np.zeros(1, np.int64), np.zeros(1, np.bool_))
    (plain,), (other,) = (
        list(mark_images({"val": [each]}, False)) for each in (sample, replace(sample, ignored=ignored))
    )
    assert plain.labels != other.labels and plain.content is None


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        '{"format": "lehr-data-1", "names": ["a"]}\n["train"]\n',
        '{"format": "lehr-data-2", "names": []}\n',
        '{"format": "lehr-data-1", "names": [1]}\n',
        '{"format": "lehr-data-1", "names": []}\ntorn',
        "[" * 100_000,
    ],
)
def test_files_of_others_are_refused(text: str, tmp_path: Path) -> None:
    (tmp_path / MARKS).write_text(text)
    with pytest.raises(InputError, match=r"images\.jsonl: is damaged"):
        read_marks(tmp_path)
