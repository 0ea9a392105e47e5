"""The generated data set is the same everywhere, and hard enough."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from lehr.data.check import check_dataset
from lehr.data.formats.shapes import NAMES, SIDE, generate_sample, write_shapes
from lehr.data.formats.yolo import load_yolo
from lehr.data.load import load_dataset


def test_a_picture_is_the_same_on_every_machine() -> None:
    digest = hashlib.sha256()
    for index in range(8):
        sample = generate_sample("val", index)
        digest.update(sample.image.tobytes() + sample.boxes.astype("<i8").tobytes())
        digest.update(sample.classes.astype("<i8").tobytes())
    assert digest.hexdigest() == "6f7e393e3eb4b806f18d3a6771c9fb94a258b3b814f96785d50cc4f2041b8c79"


def test_boxes_are_tight_around_what_is_drawn() -> None:
    from lehr.data.formats import shapes
    from lehr.rng import generator

    for number in range(len(NAMES)):
        for index in range(20):
            mask = shapes._mask(generator(9, "test", index=index), number)
            ys, xs = np.nonzero(mask)
            assert xs.min() >= 0 and xs.max() < SIDE and ys.min() >= 0 and ys.max() < SIDE
            assert 8 <= max(np.ptp(xs), np.ptp(ys)) + 1 <= 96


def test_written_labels_give_back_the_boxes(tmp_path: Path) -> None:
    write_shapes(tmp_path / "shapes", {"train": 5, "val": 3})
    dataset = load_yolo(tmp_path / "shapes" / "data.yaml")
    assert dataset.names == NAMES and not check_dataset(dataset)
    for index, sample in enumerate(dataset.splits["train"]):
        made = generate_sample("train", index)
        np.testing.assert_allclose(sample.boxes, made.boxes, atol=1e-3)
        np.testing.assert_array_equal(sample.classes, made.classes)


def test_it_has_all_classes_sizes_from_tiny_to_large_and_overlap() -> None:
    samples = [generate_sample("train", index) for index in range(80)]
    classes = np.bincount(np.concatenate([p.classes for p in samples]), minlength=len(NAMES))
    assert classes.min() > 0.1 * classes.sum()
    boxes = np.concatenate([p.boxes for p in samples])
    sides = (boxes[:, 2:] - boxes[:, :2]).max(1)
    assert sides.min() <= 14 and sides.max() >= 80
    assert any(_overlapping(p.boxes) for p in samples)


def _overlapping(boxes: np.ndarray) -> bool:
    left_top = np.maximum(boxes[:, None, :2], boxes[None, :, :2])
    right_bottom = np.minimum(boxes[:, None, 2:], boxes[None, :, 2:])
    return bool((right_bottom > left_top).all(-1).sum() > len(boxes))


def test_it_is_generated_on_first_use_and_found_again() -> None:
    first, second = load_dataset("shapes"), load_dataset("shapes")
    assert first.source == "shapes" and len(first.splits["train"]) >= 400
    assert [s.path for s in first.splits["val"]] == [s.path for s in second.splits["val"]]
