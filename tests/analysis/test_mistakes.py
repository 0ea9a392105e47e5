"""Mistakes, one by one: as the definitions say, however the images are taken together."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from tests.analysis.by_hand import classify_by_hand
from tests.analysis.cases import random_record

from lehr.analysis import pairs
from lehr.analysis.mistakes import KINDS, MEANINGS, Kind, classify
from lehr.analysis.record import DetectionRecord
from lehr.sample import Sample


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("confidence", [0.0, 0.4])
def test_each_mistake_is_what_the_slow_obvious_way_says(
    seed: int, confidence: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = random_record(seed, ignored=seed % 2 == 1)
    # Of equal scores the first row counts as better, as in the evaluator.
    shuffled = record.detections[np.random.default_rng(seed).permutation(len(record.detections))]
    record = replace(record, detections=shuffled)
    expected = classify_by_hand(record, confidence)
    for at_once in (400_000, 50):
        monkeypatch.setattr(pairs, "PAIRS_AT_ONCE", at_once)
        found = classify(record, confidence)
        columns = (found.images, found.detections, found.objects, found.instead)
        rows = zip(*(column.tolist() for column in columns), strict=True)
        kinds = [str(KINDS[kind]) for kind in found.kinds]
        assert {(kind, *row) for kind, row in zip(kinds, rows, strict=True)} == expected.mistakes
        assert len(found) == len(expected.mistakes)
        assert set(map(tuple, found.right.tolist())) == expected.right
        assert set(found.ignored.tolist()) == expected.ignored
    assert {kind for kind, *_ in expected.mistakes} == {str(kind) for kind in Kind}


def test_mistakes_come_by_image_best_first_and_one_by_one() -> None:
    record = random_record(1)
    found = classify(record, 0.2)
    assert (np.diff(found.images) >= 0).all() and sum(found.counts().values()) == len(found)
    assert [mistake for image in range(25) for mistake in found.of_image(image)] == [
        found[i] for i in range(len(found))
    ]
    for mistake in found.of_image(3):
        if mistake.kind is Kind.MISSED:
            assert mistake.score is None and mistake.detection is None and mistake.object is not None
            assert mistake.box == tuple(record.samples[3].boxes[mistake.object].astype(float))
        else:
            row = record.detections[mistake.detection]
            assert (mistake.score, mistake.class_id) == (row[5], row[6]) and mistake.box == tuple(row[1:5])
            assert mistake.score >= 0.2
        assert (mistake.instead is not None) == (mistake.kind is Kind.DUPLICATE)
    scores = [mistake.score for mistake in found.of_image(3) if mistake.score is not None]
    assert scores == sorted(scores, reverse=True)
    by_class = found.counts_by_class(4)
    assert by_class.sum(0).tolist() == list(found.counts().values()) and by_class[3, KINDS.index(Kind.MISSED)] == 0


def one_object(
    *detections: tuple[float, ...], boxes: object = ((0, 0, 100, 100),), classes: object = (0,)
) -> DetectionRecord:
    sample = Sample(Path("a.jpg"), 200, 200, np.array(boxes, np.float32), np.array(classes, np.int64))
    return DetectionRecord(("a", "b"), (sample,), np.array(detections, np.float64).reshape(-1, 7))


@pytest.mark.parametrize(
    ("box", "class_id", "kinds"),
    [
        ((0, 0, 100, 100), 0, []),
        ((0, 0, 100, 50), 0, []),  # an IoU of 0.5 is right
        ((0, 0, 100, 49), 0, ["localisation"]),
        ((0, 0, 100, 100), 1, ["class"]),
        ((0, 0, 100, 30), 1, ["both", "missed"]),
        ((0, 0, 100, 9), 0, ["background", "missed"]),
        ((150, 150, 180, 180), 1, ["background", "missed"]),
    ],
)
def test_each_kind_is_what_it_is_called(box: tuple[int, ...], class_id: int, kinds: list[str]) -> None:
    found = classify(one_object((0, *box, 0.9, class_id)), 0.5)
    assert [str(found[i].kind) for i in range(len(found))] == kinds


def test_the_worse_of_two_is_the_duplicate() -> None:
    found = classify(one_object((0, 0, 0, 100, 90, 0.6, 0), (0, 0, 0, 100, 80, 0.9, 0)), 0.5)
    [double] = found.of_image(0)
    assert (double.kind, double.detection, double.instead, double.object) == (Kind.DUPLICATE, 0, 1, 0)
    assert double.iou == pytest.approx(0.9)


def test_nothing_found_and_nothing_there() -> None:
    nothing = one_object(boxes=np.zeros((0, 4)), classes=())
    assert len(classify(nothing, 0.0)) == 0
    assert classify(one_object(), 0.0).counts()[Kind.MISSED] == 1
    alone = classify(one_object((0, 0, 0, 9, 9, 0.5, 1), boxes=np.zeros((0, 4)), classes=()), 0.0)
    assert alone.counts()[Kind.BACKGROUND] == 1
    assert len(classify(DetectionRecord(("a",), (), np.zeros((0, 7))), 0.0)) == 0
    assert set(MEANINGS) == set(Kind)
