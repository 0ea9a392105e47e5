"""Confusion matrix and gains: equal to counts by hand, and to the package of TIDE's authors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from tests.analysis.by_hand import confuse_by_hand
from tests.analysis.cases import random_record

from lehr.analysis.confusion import confuse
from lehr.analysis.gains import SHORT, measure_gains
from lehr.analysis.mistakes import classify
from lehr.analysis.record import DetectionRecord


def without_ties(seed: int) -> DetectionRecord:
    record = random_record(seed)
    places = np.random.default_rng(seed).permutation(len(record.detections))
    detections = record.detections.copy()
    detections[:, 5] = 0.05 + 0.9 * places / len(places)
    return replace(record, detections=detections)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("confidence", [0.0, 0.4])
def test_confusion_is_a_count_by_hand(seed: int, confidence: float) -> None:
    record = random_record(seed, ignored=seed % 2 == 1)
    confusion = confuse(record, classify(record, confidence))
    assert confusion.counts.tolist() == confuse_by_hand(record, confidence).tolist()
    assert confusion.counts[:-1].sum() == sum(len(sample.instance_classes) for sample in record.samples)
    shares = confusion.shares
    assert np.nansum(shares, 1)[:3] == pytest.approx(1) and np.isnan(shares[3]).all()  # no object of the last class
    counts = [count for _, _, count in confusion.confused()]
    assert counts == sorted(counts, reverse=True)
    assert sum(counts) == confusion.counts[:-1, :-1].sum() - np.trace(confusion.counts[:-1, :-1])


def by_tidecv(record: DetectionRecord) -> tuple[float, dict[str, float], dict[str, int]]:
    """Average precision, what mending each kind adds, and how many there are of it, by the package."""
    import tidecv  # with pandas and seaborn, which takes seconds

    truth, found = tidecv.Data("truth", max_dets=10_000), tidecv.Data("found", max_dets=10_000)
    for image, sample in enumerate(record.samples):
        truth.add_image(image, str(sample.path))
        for x1, y1, x2, y2, class_id in np.c_[sample.boxes.astype(float), sample.classes].tolist():
            truth.add_ground_truth(image, int(class_id), [x1, y1, x2 - x1, y2 - y1])
    for image, x1, y1, x2, y2, score, class_id in record.detections.tolist():
        found.add_detection(int(image), int(class_id), score, [x1, y1, x2 - x1, y2 - y1])
    run = tidecv.TIDE().evaluate(truth, found)
    gains = {**run.fix_main_errors(), **run.fix_special_errors()}
    counts = {error.short_name: count for error, count in run.count_errors().items()}
    return run.ap / 100, {error.short_name: gain / 100 for error, gain in gains.items()}, counts


@pytest.mark.parametrize(("seed", "rounding"), [(0, 2e-4), (1, 1e-9), (2, 1e-9)])
def test_gains_are_those_of_the_package_of_tide(seed: int, rounding: float) -> None:
    # Three differences from it are known. Of equal scores it puts mended detections before right ones: so there are
    # none here. A class without objects has an average precision of 0 to it, and none to COCO: so its numbers are three
    # quarters of these, the fourth class being without objects. And its recalls 0.01, 0.02, ... are rounded otherwise
    # than COCO's in the last place, so that a recall that should equal one may count as above it or below.
    record = without_ties(seed)
    gains = measure_gains(record, classify(record, 0.0).ignored)
    assert gains is not None
    base, theirs, counts = by_tidecv(record)
    assert gains.average_precision * 3 / 4 == pytest.approx(base, abs=rounding)
    ours = {SHORT[kind]: gain for kind, gain in gains.kinds.items()}
    ours |= {"FalsePos": gains.false_positives, "FalseNeg": gains.false_negatives}
    assert {name: gain * 3 / 4 for name, gain in ours.items()} == pytest.approx(theirs, abs=rounding)
    assert {SHORT[kind]: count for kind, count in classify(record, 0.0).counts().items()} == counts
    assert all(gain > 0 for gain in ours.values())


@pytest.mark.parametrize("iou", [0.5, 0.75])
def test_gains_look_at_nothing_that_the_evaluation_ignores(iou: float) -> None:
    record = random_record(3, ignored=True)
    every = classify(record, 0.0, iou)
    gains = measure_gains(record, every.ignored, iou)
    assert gains is not None
    ignored = every.ignored
    plain = replace(
        record,
        samples=tuple(sample.counted() for sample in record.samples),
        detections=np.delete(record.detections, ignored, 0),
    )
    assert (
        len(ignored) > 5 and measure_gains(plain, classify(plain, 0.0, iou).ignored, iou) == gains and gains.iou == iou
    )


def test_there_is_nothing_to_gain_without_objects() -> None:
    record = random_record(3)
    bare = [replace(each, boxes=each.boxes[:0], classes=each.classes[:0]) for each in record.samples]
    bare_record = replace(record, samples=tuple(bare))
    assert measure_gains(bare_record, classify(bare_record, 0.0).ignored) is None
