"""Average precision of images with more objects than COCO counts, against a slow count in float64."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tests.evaluation.test_metrics import make_case

from lehr.evaluation import matching, metrics
from lehr.evaluation.metrics import ClassMetrics, Metrics, evaluate_detections
from lehr.sample import Sample


def grid(count: int, class_id: int = 0) -> Sample:
    """An image of objects that do not touch."""
    corners = np.array([(20 * (i % 40), 20 * (i // 40)) for i in range(count)], np.float32)
    return Sample(Path("a.jpg"), 800, 800, np.concatenate((corners, corners + 10), 1), np.full(count, class_id))


def found_all(sample: Sample) -> np.ndarray:
    scores = np.linspace(0.9, 0.5, len(sample.boxes))
    return np.column_stack((np.zeros(len(scores)), sample.boxes, scores, sample.classes))


@pytest.mark.parametrize(("count", "coco"), [(80, 1.0), (100, 1.0), (150, 0.663), (300, 0.337)])
def test_perfect_detections_of_a_dense_image_are_perfect_but_for_coco(count: int, coco: float) -> None:
    sample = grid(count)
    m = evaluate_detections([sample], ("a", "none"), found_all(sample))
    assert m.map50 == pytest.approx(coco, abs=1e-3) and m.recall == 1
    assert m.map_max_det == pytest.approx(1) and m.map50_max_det == pytest.approx(1)
    assert m.fitness == pytest.approx(1)
    of_class = m.classes["a"]
    assert of_class.map50 == pytest.approx(coco, abs=1e-3) and of_class.map_max_det == pytest.approx(1)
    none = m.classes["none"]
    assert (none.map_max_det, none.map50_max_det) == (None, None)


def test_more_than_max_det_can_count_too() -> None:
    sample = grid(1200)
    m = evaluate_detections([sample], ("a",), found_all(sample), max_det=1500)
    assert (m.max_det, m.map_max_det, m.recall) == (1500, pytest.approx(1), 1)


def overlaps(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """IoU of boxes as COCO measures it, by width and height."""
    low, high = np.maximum(one[:, None, :2], other[None, :, :2]), np.minimum(one[:, None, 2:], other[None, :, 2:])
    inter = np.clip(high - low, 0, None).prod(2)
    areas = [(boxes[:, 2:] - boxes[:, :2]).prod(1) for boxes in (one, other)]
    return np.asarray(inter / (areas[0][:, None] + areas[1][None] - inter))


def average_precision(samples: list[Sample], rows: np.ndarray, class_id: int, threshold: float, most: int) -> float:
    """Average precision of a class at an overlap, one detection after another; as Lin et al. (2014) define it."""
    scores: list[float] = []
    hits: list[bool] = []
    objects = 0
    for index, sample in enumerate(samples):
        truth = sample.boxes[sample.classes == class_id].astype(np.float64)
        objects += len(truth)
        own = rows[(rows[:, 0] == index) & (rows[:, 6] == class_id)]
        own = own[np.argsort(-own[:, 5], kind="stable")][:most]
        table = overlaps(own[:, 1:5], truth)
        free = [True] * len(truth)
        for number in range(len(own)):
            best, chosen = min(threshold, 1 - 1e-10), -1
            for candidate in range(len(truth)):
                if free[candidate] and table[number, candidate] >= best:
                    best, chosen = table[number, candidate], candidate
            if chosen >= 0:
                free[chosen] = False
            scores.append(own[number, 5])
            hits.append(chosen >= 0)
    order = np.argsort(-np.array(scores), kind="stable")
    right = np.cumsum(np.array(hits, bool)[order])
    precision, recall = right / np.arange(1, len(right) + 1), right / objects
    levels = []
    for level in np.linspace(0, 1, 101):
        reached = precision[recall >= level]
        levels.append(float(reached.max()) if len(reached) else 0.0)
    return float(np.mean(levels))


def crowd(rng: np.random.Generator) -> tuple[list[Sample], np.ndarray]:
    """One or two images with many objects of two classes; detections near them and elsewhere, scores without ties."""
    samples, rows = [], []
    for index in range(int(rng.integers(1, 3))):
        count = int(rng.integers(1, 160))
        corner, size = rng.uniform(0, 400, (count, 2)), rng.uniform(5, 40, (count, 2))
        boxes = np.concatenate((corner, corner + size), 1).astype(np.float32)
        classes = (rng.random(count) < rng.uniform(0, 0.4)).astype(np.int64)
        samples.append(Sample(Path(f"{index}.jpg"), 640, 640, boxes, classes))
        pick = rng.integers(0, count, int(rng.integers(0, 320)))
        moved = boxes[pick].astype(np.float64) + rng.normal(0, 1.5, (len(pick), 4))
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        wrong = rng.random(len(pick)) < 0.1
        rows.append(
            np.column_stack(
                (
                    np.full(len(pick), index),
                    moved,
                    rng.random(len(pick)),
                    np.where(wrong, rng.integers(2), classes[pick]),
                )
            )
        )
    return samples, np.concatenate(rows)


def test_the_averages_equal_a_slow_count_at_any_number_of_detections() -> None:
    rng, denser = np.random.default_rng(0), 0
    for _ in range(25):
        samples, rows = crowd(rng)
        most = int(rng.choice([40, 100, 130, 300]))
        m = evaluate_detections(samples, ("a", "b"), rows, max_det=most)
        present = [i for i in range(2) if any((sample.classes == i).any() for sample in samples)]
        for threshold, value in ((0.5, "map50"), (None, "map")):
            ious = np.linspace(0.5, 0.95, 10) if threshold is None else [threshold]
            kept, coco = (
                np.array([[average_precision(samples, rows, i, iou, cap) for iou in ious] for i in present]).mean(1)
                for cap in (max(most, 100), 100)
            )
            assert getattr(m, value) == pytest.approx(coco.mean(), abs=1e-9)
            assert getattr(m, f"{value}_max_det") == pytest.approx(kept.mean(), abs=1e-9)
            for place, class_id in enumerate(present):
                assert getattr(m.classes["ab"[class_id]], f"{value}_max_det") == pytest.approx(kept[place], abs=1e-9)
            denser += abs(kept.mean() - coco.mean()) > 1e-3
    assert denser > 5


@pytest.mark.parametrize("seed", [0, 1, 2, 7])
def test_where_coco_cuts_nothing_off_fitness_is_coco_s_to_the_bit(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    evaluations: list[Any] = []
    made = metrics.COCOeval

    def counting(*given: Any) -> Any:
        evaluations.append(given)
        return made(*given)

    for module in (metrics, matching):
        monkeypatch.setattr(module, "COCOeval", counting)
    m = evaluate_detections(*make_case(seed))
    assert m.map is not None and m.map50 is not None
    assert (m.map_max_det, m.map50_max_det, m.max_det) == (m.map, m.map50, 300)
    assert m.fitness == 0.1 * m.map50 + 0.9 * m.map
    assert all((each.map_max_det, each.map50_max_det) == (each.map, each.map50) for each in m.classes.values())
    assert len(evaluations) == 2  # COCO's own, and precision and recall: nothing is matched a third time


def test_numbers_of_a_run_that_knew_only_coco_s_are_read() -> None:
    m = evaluate_detections(*make_case(3))
    new = {"map_max_det", "map50_max_det", "max_det"}
    plain = {name: value for name, value in dataclasses.asdict(m).items() if name not in new}
    plain["classes"] = {
        name: {field: value for field, value in each.items() if field not in new}
        for name, each in plain["classes"].items()
    }
    read = Metrics.from_dict(plain)
    assert read == dataclasses.replace(m, max_det=100) and read.fitness == m.fitness
    assert isinstance(next(iter(read.classes.values())), ClassMetrics)
    assert Metrics.from_dict(dataclasses.asdict(m)) == m
