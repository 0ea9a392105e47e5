"""Curves, sizes and calibration: equal to the evaluator's numbers, and to a count by hand."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from hotcoco import COCOeval
from tests.analysis.by_hand import classify_by_hand
from tests.analysis.cases import random_record

from lehr.analysis.mistakes import classify
from lehr.analysis.quality import RANGES, SMALL, Quality, measure_quality
from lehr.analysis.record import DetectionRecord
from lehr.evaluation.metrics import CONFIDENCES, as_coco, evaluate_detections
from lehr.sample import Sample


def measured(record: DetectionRecord) -> Quality:
    return measure_quality(record, classify(record, 0.0))


@pytest.mark.parametrize("seed", range(4))
def test_areas_under_the_curves_are_the_evaluators_average_precision(seed: int) -> None:
    record = random_record(seed, ignored=seed % 2 == 1)
    quality = measured(record)
    metrics = evaluate_detections(record.samples, record.names, record.detections)
    assert (quality.images, quality.instances.sum()) == (metrics.images, metrics.instances)
    assert (quality.map, quality.map50) == pytest.approx((metrics.map_max_det, metrics.map50_max_det), abs=1e-12)
    assert quality.at_best() == pytest.approx((metrics.precision, metrics.recall, metrics.f1), abs=1e-12)
    assert quality.confidence == metrics.confidence
    areas = [quality.mean_precision(iou).mean() for iou in range(10)]
    assert areas[0] == pytest.approx(metrics.map50, abs=1e-9) and areas[5] == pytest.approx(metrics.map75, abs=1e-9)
    assert np.mean(areas) == pytest.approx(metrics.map, abs=1e-9)
    for index, (name, numbers) in enumerate(metrics.classes.items()):
        if numbers.map50 is None:
            assert np.isnan(quality.average_precision[:, index]).all() and quality.instances[index] == 0, name
        else:
            assert quality.precision[0, :, index].mean() == pytest.approx(numbers.map50, abs=1e-9)
            assert quality.average_precision[:, index].mean() == pytest.approx(numbers.map, abs=1e-9)
    sizes = {size.size: size for size in quality.sizes}
    assert [sizes[name].map for name in ("small", "medium", "large")] == pytest.approx(
        [metrics.map_small, metrics.map_medium, metrics.map_large], abs=1e-9
    )
    assert [sizes[name].recall for name in ("small", "medium", "large")] == pytest.approx(
        [metrics.recall_small, metrics.recall_medium, metrics.recall_large], abs=1e-9
    )
    assert sum(size.instances for size in quality.sizes) == metrics.instances


def test_areas_are_those_of_all_kept_detections_where_images_are_dense() -> None:
    rng = np.random.default_rng(0)
    corners = rng.uniform(0, 900, (150, 2))
    boxes = np.concatenate((corners, corners + 30), 1).astype(np.float32)
    sample = Sample(Path("a.jpg"), 1000, 1000, boxes, np.zeros(150, np.int64))
    rows = np.concatenate((np.zeros((150, 1)), boxes, rng.uniform(0.1, 1, (150, 1)), np.zeros((150, 1))), 1)
    quality = measured(DetectionRecord(("a",), (sample,), rows))
    metrics = evaluate_detections((sample,), ("a",), rows)
    assert metrics.map50 is not None and metrics.map50 < 0.7
    assert quality.mean_precision(0).mean() == pytest.approx(metrics.map50_max_det, abs=1e-9)


@pytest.mark.parametrize("seed", range(2))
def test_precision_and_recall_at_a_confidence_are_counts_by_hand(seed: int) -> None:
    record = random_record(seed, ignored=seed == 1)
    quality = measured(record)
    for at in (150, 500, 833):
        found = classify_by_hand(record, CONFIDENCES[at])
        for class_id in range(4):
            right = sum(record.detections[row, 6] == class_id for row, _ in found.right)
            wrong = sum(row >= 0 and record.detections[row, 6] == class_id for _, _, row, _, _ in found.mistakes)
            precision, recall = quality.precision_at[class_id, at], quality.recall_at[class_id, at]
            assert precision == pytest.approx(right / max(right + wrong, 1))
            assert recall == pytest.approx(right / max(quality.instances[class_id], 1))
            f1 = 2 * right / max(2 * right + wrong + quality.instances[class_id] - right, 1)
            assert quality.f1_at[class_id, at] == pytest.approx(f1)
    confidences, best = quality.best_confidences()
    places = np.searchsorted(CONFIDENCES, confidences)
    assert best == pytest.approx(quality.f1_at.max(1)) == quality.f1_at[np.arange(4), places]


@pytest.mark.parametrize("seed", range(3))
def test_calibration_is_hotcocos_and_counts_by_hand(seed: int) -> None:
    record = random_record(seed)
    calibration = measured(record).calibration
    evaluation = COCOeval(*as_coco(record.samples, record.names, record.detections), "bbox")
    evaluation.evaluate()
    theirs = evaluation.calibration(n_bins=10, iou_threshold=0.5)
    right = {row for row, _ in classify_by_hand(record, 0.0).right}
    scores = record.detections[:, 5]
    assert theirs["num_detections"] == calibration.counts.sum() == len(scores)
    assert calibration.error == pytest.approx(theirs["ece"]) and calibration.worst == pytest.approx(theirs["mce"])
    for index, of_theirs in enumerate(theirs["bins"]):
        rows = [row for row, score in enumerate(scores) if min(int(score * 10), 9) == index]
        assert calibration.counts[index] == len(rows) == of_theirs["count"]
        assert calibration.right[index] == pytest.approx(sum(row in right for row in rows) / len(rows))
        assert calibration.right[index] == pytest.approx(of_theirs["avg_accuracy"])
        assert calibration.scores[index] == pytest.approx(scores[rows].mean())
    by_class = theirs["per_category"]
    assert calibration.errors == pytest.approx([by_class.get(name, np.nan) for name in record.names], nan_ok=True)


def test_nothing_found_and_nothing_there_has_no_numbers_and_stays_json() -> None:
    nothing = Sample(Path("a.jpg"), 100, 100, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    one = Sample(Path("b.jpg"), 100, 100, np.array([[0, 0, 9, 9]], np.float32), np.zeros(1, np.int64))
    false = np.array([[0, 1, 1, 50, 50, 0.9, 0]])
    for samples, rows in [((nothing,), np.zeros((0, 7))), ((nothing,), false), ((one,), np.zeros((0, 7)))]:
        quality = measured(DetectionRecord(("a", "b"), samples, rows))
        told = json.loads(json.dumps(quality.as_dict(), allow_nan=False))
        assert told["sizes"][2] == {"size": "large", "instances": 0, "map": None, "map50": None, "recall": None}
        assert told["classes"][1]["best_f1"] is None and len(told["classes"][0]["precision"]) == 101
        assert (told["calibration"]["expected_error"] is None) == (len(rows) == 0)
    assert told["sizes"][0]["instances"] == 1 and told["sizes"][0]["map"] == 0 and RANGES["small"] == (0, SMALL)
