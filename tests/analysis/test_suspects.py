"""Suspected label errors: planted ones are named, in one ranking, and doubtful cases come behind clear ones."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lehr.analysis.label_noise import fit_noise
from lehr.analysis.record import DetectionRecord
from lehr.analysis.suspects import Suspect, SuspectKind, box_ious, find_suspects
from lehr.sample import Ignored, Sample

NAMES = ("cell", "plate")
BOXES = np.array([[10 + 60 * i, 10 + 60 * j, 50 + 60 * i, 50 + 60 * j] for i in range(4) for j in range(3)], np.float32)


def the_record(images: int = 40, score: tuple[float, float] = (0.6, 0.95), seed: int = 0) -> DetectionRecord:
    """Objects on a grid, of two classes in turn, each detected as it is labelled; and faint detections beside them."""
    rng = np.random.default_rng(seed)
    classes = np.arange(len(BOXES)) % 2
    samples, rows = [], []
    for index in range(images):
        samples.append(Sample(Path(f"{index}.jpg"), 320, 240, BOXES.copy(), classes.astype(np.int64)))
        for box, class_id in zip(BOXES, classes, strict=True):
            rows.append([index, *(box + rng.normal(0, 1, 4)), rng.uniform(*score), class_id])
        rows += [[index, x, 180, x + 30, 210, rng.uniform(0.001, 0.1), rng.integers(2)] for x in (5, 60, 120)]
    return DetectionRecord(NAMES, tuple(samples), np.array(rows))


def changed(record: DetectionRecord, image: int, sample: Sample) -> DetectionRecord:
    samples = list(record.samples)
    samples[image] = sample
    return replace(record, samples=tuple(samples))


def without(sample: Sample, at: int) -> Sample:
    kept = np.arange(len(sample.classes)) != at
    return replace(sample, boxes=sample.boxes[kept], classes=sample.classes[kept])


def likeliest(record: DetectionRecord) -> Suspect:
    return find_suspects(record)[0]


def test_labels_that_agree_with_every_detection_raise_no_suspicion() -> None:
    assert [each for each in find_suspects(the_record()) if each.score > 0.1] == []


def test_a_removed_box_is_a_missing_object() -> None:
    record = the_record()
    found = likeliest(changed(record, 7, without(record.samples[7], 3)))
    assert (found.image, found.kind, found.class_id, found.found_class) == (7, SuspectKind.MISSING, None, 1)
    np.testing.assert_allclose(found.box, BOXES[3], atol=5)


def test_a_swapped_class_is_a_wrong_class() -> None:
    record = the_record()
    classes = record.samples[5].classes.copy()
    classes[4] = 1 - classes[4]
    found = likeliest(changed(record, 5, replace(record.samples[5], classes=classes)))
    assert (found.image, found.kind, found.class_id, found.found_class) == (5, SuspectKind.CLASS, 1, 0)
    assert found.box == tuple(BOXES[4])


def test_a_shifted_box_is_misplaced() -> None:
    record = the_record()
    boxes = record.samples[3].boxes.copy()
    boxes[2] += (22, 0, 22, 0)
    found = likeliest(changed(record, 3, replace(record.samples[3], boxes=boxes)))
    assert (found.image, found.kind, found.class_id, found.found_class) == (3, SuspectKind.PLACE, 0, 0)


def test_an_added_box_is_a_spurious_object() -> None:
    record = the_record()
    sample = record.samples[9]
    boxes = np.concatenate((sample.boxes, np.array([[270, 100, 310, 140]], np.float32)))
    found = likeliest(changed(record, 9, replace(sample, boxes=boxes, classes=np.append(sample.classes, 0))))
    assert (found.image, found.kind, found.class_id, found.found_class) == (9, SuspectKind.SPURIOUS, 0, None)


def test_a_confident_disagreement_comes_before_a_faint_one() -> None:
    record = the_record(score=(0.2, 0.95))
    scores = record.detections[:, 5]
    strong, weak = int(scores.argmax()), int(np.where(scores > 0.2, scores, 1).argmin())
    for row in (strong, weak):
        image, class_id = int(record.detections[row, 0]), int(record.detections[row, 6])
        sample = record.samples[image]
        at = int(box_ious(record.detections[row : row + 1, 1:5], sample.boxes.astype(np.float64)).argmax())
        classes = sample.classes.copy()
        classes[at] = 1 - class_id
        record = changed(record, image, replace(sample, classes=classes))
    first, second = find_suspects(record)[:2]
    assert first.score > second.score
    assert first.confidence == record.detections[strong, 5] and second.confidence == record.detections[weak, 5]


def test_unlabelled_finds_of_a_class_that_is_often_left_unlabelled_are_less_suspicious() -> None:
    def suspicion(images: int) -> float:
        record, rng = the_record(), np.random.default_rng(0)
        extra = [[i, 270, y, 310, y + 40, rng.uniform(0.6, 0.95), 0] for i in range(images) for y in (60, 120, 180)]
        found = find_suspects(replace(record, detections=np.concatenate((record.detections, np.array(extra)))))
        return max(each.score for each in found if each.kind is SuspectKind.MISSING)

    assert suspicion(2) > 1.2 * suspicion(40) > 0


def test_objects_that_an_evaluation_ignores_are_no_suspects() -> None:
    record = the_record()
    sample = record.samples[2]
    regions = Ignored(BOXES[:1], np.zeros(1, np.int64), np.ones(1, np.bool_))
    crowd = changed(record, 2, replace(without(sample, 0), ignored=regions))
    assert not [each for each in find_suspects(crowd) if each.score > 0.1]
    classes, difficult = sample.classes.copy(), np.zeros(len(sample.classes), np.bool_)
    classes[1], difficult[1] = 0, True
    assert not [
        each
        for each in find_suspects(changed(record, 2, replace(sample, classes=classes, difficult=difficult)))
        if each.score > 0.1
    ]


def test_two_detections_of_one_place_are_one_suspect() -> None:
    record = the_record()
    extra = np.array([[4, 270, 100, 310, 140, 0.9, 0], [4, 271, 101, 311, 141, 0.85, 1]])
    found = find_suspects(replace(record, detections=np.concatenate((record.detections, extra))))
    assert [(each.image, each.kind, each.found_class) for each in found if each.score > 0.1] == [
        (4, SuspectKind.MISSING, 0)
    ]


@pytest.mark.parametrize("rows", [np.zeros((0, 7)), np.array([[0, 1, 1, 9, 9, 0.9, 1]])])
def test_splits_without_objects_or_detections_have_none(rows: NDArray[np.float64]) -> None:
    empty = Sample(Path("a.jpg"), 32, 32, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    assert all(each.kind is SuspectKind.MISSING for each in find_suspects(DetectionRecord(NAMES, (empty,), rows)))
    assert find_suspects(DetectionRecord(NAMES, (), np.zeros((0, 7)))) == []


def test_the_rate_of_wrong_labels_is_found_again() -> None:
    """Labels are drawn from the model itself: right by the sigmoid of the logit, then denied at a rate of 8%."""
    rng = np.random.default_rng(1)
    scores = rng.uniform(0.01, 0.99, 20_000)
    right = rng.random(len(scores)) < scores
    lost = rng.random(len(scores)) < 0.08
    model = fit_noise(scores, right & ~lost)
    assert model.lost == pytest.approx(0.08, abs=0.015)
    assert (model.slope, model.offset) == (pytest.approx(1, abs=0.08), pytest.approx(0, abs=0.08))
    for low, high in ((0.3, 0.5), (0.6, 0.8), (0.9, 0.99)):
        within = (scores > low) & (scores < high) & ~(right & ~lost)
        assert model.wrongly_denied(scores[within]).mean() == pytest.approx(right[within].mean(), abs=0.06)
