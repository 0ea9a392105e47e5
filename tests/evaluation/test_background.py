"""Images without objects: false positives are counted, and what cannot be measured is not made up."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from lehr.errors import InputError
from lehr.evaluation.background import background_notes, describe_false_positives, is_background, require_labels
from lehr.evaluation.metrics import QUIET_CONFIDENCE, Metrics, evaluate_detections
from lehr.sample import Sample
from lehr.techniques.early_stopping import EarlyStopping


def image(number: int, boxes: list[list[float]] | None = None, labelled: bool = True) -> Sample:
    """An image of 100x100 pixels, its objects of class 0."""
    array = np.array(boxes or [], np.float32).reshape(-1, 4)
    path = Path(f"{number}.jpg")
    return Sample(path, 100, 100, array, np.zeros(len(array), np.int64), path.with_suffix(".txt") if labelled else None)


def rows(*found: tuple[int, float, int]) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Detections of image, score and class, far apart from each other and from objects."""
    return np.array([[i, 60 + n % 3, 60, 70, 80, score, c] for n, (i, score, c) in enumerate(found)]).reshape(-1, 7)


def test_false_positives_are_counted_on_background() -> None:
    samples = [image(n) for n in range(4)]
    found = rows((0, 0.9, 0), (0, 0.5, 1), (2, 0.25, 0), (3, 0.24, 0))
    m = evaluate_detections(samples, ("cat", "dog"), found)
    assert (m.false_positives, m.images_with_false_positives, m.false_positives_per_image) == (3, 2, 0.75)
    assert {name: each.false_positives for name, each in m.classes.items()} == {"cat": 2, "dog": 1}
    assert (m.precision, m.recall, m.f1, m.map, m.map50, m.instances) == (0.0, None, None, None, None, 0)
    assert m.confidence == pytest.approx(QUIET_CONFIDENCE) and m.measured_fitness is None
    line = describe_false_positives(m)
    assert line == "False positives at confidence 0.250: 3 (2 cat, 1 dog), in 2 of 4 images, 0.75 per image."


def test_no_detection_on_background_is_no_false_positive() -> None:
    m = evaluate_detections([image(0)], ("cat",), np.zeros((0, 7)))
    assert (m.false_positives, m.images_with_false_positives, m.precision, m.recall) == (0, 0, None, None)
    assert describe_false_positives(m) == "No false positive at confidence 0.250."


def test_false_positives_beside_objects_are_those_that_match_none() -> None:
    """Three objects found, a second detection of one, one on an image without objects, and two of less confidence."""
    samples = [image(0, [[10, 10, 40, 40]]), image(1, [[10, 10, 40, 40], [50, 50, 60, 60]]), image(2)]
    found = np.array(
        [
            [0, 10, 10, 40, 40, 0.9, 0],
            [0, 11, 10, 40, 40, 0.89, 0],
            [2, 70, 70, 90, 90, 0.88, 0],
            [1, 10, 10, 40, 40, 0.87, 0],
            [1, 50, 50, 60, 60, 0.86, 0],
            [1, 70, 70, 90, 90, 0.5, 0],
            [2, 10, 10, 30, 30, 0.01, 0],
        ]
    )
    m = evaluate_detections(samples, ("cat",), found)
    # F1 is best where all objects are found, and no more: 3 of 5 detections are right.
    assert 0.5 < m.confidence <= 0.86 and m.precision == pytest.approx(3 / 5) and m.recall == 1
    assert (m.false_positives, m.images_with_false_positives) == (2, 2)


def test_results_from_before_are_read_without_false_positives() -> None:
    m = evaluate_detections([image(0)], ("cat",), np.zeros((0, 7)))
    new = {"false_positives", "images_with_false_positives", "false_positives_per_image"}
    numbers = {name: getattr(m, name) for name in m.__slots__ if name not in new}
    numbers["classes"] = {"cat": dict.fromkeys(("map", "map50", "precision", "recall", "f1")) | {"instances": 0}}
    assert describe_false_positives(Metrics.from_dict(numbers)) == ""


def test_background_is_believed_where_label_files_say_so() -> None:
    meant = [image(0), image(1), image(2, labelled=False)]
    require_labels(meant, "data.yaml", "val")
    assert is_background(meant) and len(background_notes(meant, training=True)) == 2
    with pytest.raises(InputError, match=r"2 of 3 have no label file, such as 1\.jpg.*empty label file"):
        require_labels([image(0), image(1, labelled=False), image(2, labelled=False)], "data.yaml", "val")
    some = [image(0, [[1, 1, 9, 9]]), image(1, labelled=False), image(2, labelled=False)]
    require_labels(some, "data.yaml", "val")
    assert background_notes(some) == []


def test_the_last_epoch_is_the_best_until_one_can_be_measured() -> None:
    stopping = EarlyStopping(patience=1)
    assert [stopping.update(epoch, None) for epoch in range(3)] == [True] * 3 and stopping.best_epoch == 2
    assert not stopping.should_stop(9)
    assert stopping.update(3, 0.1) and not stopping.update(4, None) and stopping.best_epoch == 3
