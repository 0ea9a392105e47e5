"""What an evaluation cannot count is said before it begins, with figures and what to do."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tests.commands import lehr
from tests.conftest import draw_squares

from lehr.evaluation.crowding import crowding_notes, is_crowded
from lehr.models.build import build_model
from lehr.sample import Sample
from lehr.weights.write import save_weights


def image(*counts: int) -> Sample:
    """An image with so many objects of each class."""
    classes = np.repeat(np.arange(len(counts)), counts)
    return Sample(Path("a.jpg"), 64, 64, np.tile(np.array([1, 1, 9, 9], np.float32), (len(classes), 1)), classes)


@pytest.mark.parametrize("samples", [[], [image()], [image(100, 100, 100), image(3)]])
def test_where_everything_counts_nothing_is_said(samples: list[Sample]) -> None:
    assert crowding_notes(samples, 300) == [] and not is_crowded(samples, 300)


def test_more_than_coco_counts_of_a_class() -> None:
    samples = [image(2, 101), image(150), image(99, 99), image()]
    (note,) = crowding_notes(samples, 300, "validation images")
    assert "2 of 4 validation images hold more than 100 objects of one class, the densest 150." in note
    assert "mAP50_300 and mAP50-95_300" in note and "docs/evaluation.md" in note
    assert is_crowded(samples, 300)


def test_more_than_are_kept_of_an_image() -> None:
    samples = [image(90, 90, 90, 90), image(5)]
    (note,) = crowding_notes(samples, 300)
    assert "1 of 2 images hold more than 300 objects, the densest 360" in note and "--max-det 400" in note
    assert crowding_notes(samples, 360) == [] and not is_crowded(samples, 300)


def test_where_fewer_are_kept_than_coco_counts_that_is_what_is_said() -> None:
    (note,) = crowding_notes([image(150)], 50)
    assert "hold more than 50 objects, the densest 150" in note and "--max-det 200" in note
    assert len(crowding_notes([image(450)], 300)) == 2


def test_a_prediction_says_where_it_may_have_found_more(tmp_path: Path) -> None:
    save_weights(build_model("yolov8n", ("a", "b"), 64, width=0.125), tmp_path / "w.safetensors")
    draw_squares(tmp_path / "a.jpg", [(8, 8, 30, 30)])
    predict = ["predict", "a.jpg", "--weights", "w.safetensors", "--conf", "0", "--no-save", "--max-det"]
    assert (
        "1 of 1 image has as many detections as are kept, 3: --max-det may find more."
        in lehr(*predict, "3", cwd=tmp_path).stdout
    )
    assert "may find more" not in lehr(*predict, "20000", cwd=tmp_path).stdout
