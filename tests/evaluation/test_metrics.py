"""COCO's numbers equal pycocotools'; precision, recall and F1 equal a count by hand."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path

import numpy as np
import pytest

from lehr.evaluation.metrics import CONFIDENCES, evaluate_detections
from lehr.sample import Sample


def make_case(seed: int, images: int = 25, classes: int = 4) -> tuple[list[Sample], tuple[str, ...], np.ndarray]:
    """Truth of all sizes; detections near it, repeated, misplaced, and out of thin air; scores with ties."""
    rng = np.random.default_rng(seed)
    samples, rows = [], []
    for index in range(images):
        count = int(rng.integers(0, 9))
        corner, size = rng.uniform(0, 400, (count, 2)), np.exp(rng.uniform(np.log(8), np.log(200), (count, 2)))
        boxes = np.concatenate((corner, corner + size), 1).astype(np.float32)
        numbers = rng.integers(0, classes - 1, count)  # the last class has no object
        samples.append(Sample(Path(f"{index}.jpg"), 640, 640, boxes, numbers))
        for box, number in zip(boxes, numbers, strict=True):
            for _ in range(int(rng.integers(0, 4))):
                moved = box + rng.normal(0, 0.08, 4) * np.tile(box[2:] - box[:2], 2)
                if (moved[2:] > moved[:2]).all():
                    kind = number if rng.random() < 0.9 else rng.integers(classes)
                    rows.append([index, *moved, round(rng.random(), 2), kind])
        for _ in range(int(rng.integers(0, 140 if index == 3 else 5))):
            x, y, w, h = rng.uniform(1, 300, 4)
            rows.append([index, x, y, x + w, y + h, round(rng.random(), 2), rng.integers(classes)])
    return samples, tuple(f"c{i}" for i in range(classes)), np.array(rows, np.float64).reshape(-1, 7)


def by_pycocotools(samples: list[Sample], names: tuple[str, ...], rows: np.ndarray) -> np.ndarray:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    truth = COCO()
    truth.dataset = {
        "images": [{"id": i + 1, "width": s.width, "height": s.height} for i, s in enumerate(samples)],
        "categories": [{"id": i + 1, "name": name} for i, name in enumerate(names)],
        "annotations": [],
    }
    for i, sample in enumerate(samples):
        for (x1, y1, x2, y2), number in zip(sample.boxes.astype(float).tolist(), sample.classes.tolist(), strict=True):
            truth.dataset["annotations"].append(
                {
                    "id": len(truth.dataset["annotations"]) + 1,
                    "image_id": i + 1,
                    "category_id": number + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "area": (x2 - x1) * (y2 - y1),
                    "iscrowd": 0,
                }
            )
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        found = truth.loadRes(
            [
                {
                    "image_id": int(i) + 1,
                    "bbox": [x1, y1, x2 - x1, y2 - y1],
                    "score": score,
                    "category_id": int(number) + 1,
                }
                for i, x1, y1, x2, y2, score, number in rows.tolist()
            ]
        )
        evaluation = COCOeval(truth, found, "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


@pytest.mark.parametrize("seed", range(4))
def test_the_twelve_numbers_equal_pycocotools(seed: int) -> None:
    samples, names, rows = make_case(seed)
    m = evaluate_detections(samples, names, rows)
    ours = [m.map, m.map50, m.map75, m.map_small, m.map_medium, m.map_large]
    ours += [m.recall_1, m.recall_10, m.recall_100, m.recall_small, m.recall_medium, m.recall_large]
    theirs = by_pycocotools(samples, names, rows)
    np.testing.assert_allclose([-1 if value is None else value for value in ours], theirs, atol=1e-6)
    assert 0.05 < theirs[0] < 0.95


def iou(a: np.ndarray, b: np.ndarray) -> float:
    sides = np.clip(np.minimum(a[2:], b[2:]) - np.maximum(a[:2], b[:2]), 0, None)
    inter = sides.prod()
    return float(inter / ((a[2:] - a[:2]).prod() + (b[2:] - b[:2]).prod() - inter))


def counted(samples: list[Sample], rows: np.ndarray, number: int, confidence: float) -> tuple[float, float]:
    """Precision and recall of a class at IoU 0.5, detections matched one after another, best score first."""
    hits = shots = objects = 0
    for index, sample in enumerate(samples):
        truth = sample.boxes[sample.classes == number].astype(float)
        objects += len(truth)
        free = np.ones(len(truth), bool)
        own = rows[(rows[:, 0] == index) & (rows[:, 6] == number) & (rows[:, 5] >= confidence)]
        for row in own[np.argsort(-own[:, 5], kind="stable")]:
            shots += 1
            overlaps = [iou(row[1:5], box) if free[i] else -1 for i, box in enumerate(truth)]
            if overlaps and max(overlaps) >= 0.5:
                free[int(np.argmax(overlaps))] = False
                hits += 1
    return hits / max(shots, 1), hits / max(objects, 1)


def test_precision_recall_and_f1_equal_a_count_by_hand_at_the_best_confidence() -> None:
    samples, names, rows = make_case(7)
    m = evaluate_detections(samples, names, rows)
    for number, name in enumerate(names[:-1]):
        precision, recall = counted(samples, rows, number, m.confidence)
        own = m.classes[name]
        assert own.precision == pytest.approx(precision) and own.recall == pytest.approx(recall)
        assert own.f1 == pytest.approx(2 * precision * recall / (precision + recall))

    def mean_f1(confidence: float) -> float:
        pairs = [counted(samples, rows, number, confidence) for number in range(len(names) - 1)]
        return float(np.mean([2 * p * r / max(p + r, 1e-12) for p, r in pairs]))

    assert m.f1 == pytest.approx(mean_f1(m.confidence))
    assert all(m.f1 is not None and mean_f1(other) <= m.f1 + 1e-9 for other in CONFIDENCES[::37])


def test_a_class_without_objects_counts_nowhere() -> None:
    samples, names, rows = make_case(1)
    m = evaluate_detections(samples, names, rows)
    last = m.classes[names[-1]]
    assert (last.map, last.map50, last.precision, last.instances) == (None, None, None, 0)
    assert m.map == pytest.approx(np.mean([m.classes[name].map for name in names[:-1]]))
    assert m.instances == sum(len(s.classes) for s in samples) and m.images == len(samples)


def test_perfect_detections_score_one_and_none_score_zero() -> None:
    samples, names, _ = make_case(2)
    truth = np.array(
        [[i, *box, 0.9, number] for i, s in enumerate(samples) for box, number in zip(s.boxes, s.classes, strict=True)]
    )
    perfect = evaluate_detections(samples, names, truth)
    assert perfect.map == pytest.approx(1) and perfect.f1 == pytest.approx(1) and perfect.fitness == pytest.approx(1)
    nothing = evaluate_detections(samples, names, np.zeros((0, 7)))
    assert nothing.map == 0 and nothing.recall == 0 and nothing.fitness == 0


def test_a_class_that_is_never_found_has_no_precision() -> None:
    """1 would raise the mean precision for each class that the model knows nothing of."""
    box = np.array([[4, 4, 30, 30]] * 3, np.float32)
    samples = [Sample(Path("a"), 64, 64, box, np.arange(3))]
    found = np.array([[0, 4, 4, 30, 30, 0.8, 0], [0, 4, 4, 30, 30, 0.05, 1]])
    m = evaluate_detections(samples, ("a", "b", "c"), found)
    assert m.confidence == 0 and [each.precision for each in m.classes.values()] == [1, 1, 0]
    assert m.precision == pytest.approx(2 / 3)
    wrong = [[0, 40, 40, 60, 60, score, number] for number, score in ((0, 0.1), (1, 0.02)) for _ in range(40)]
    right = [[0, 4, 4, 30, 30, 0.8, 0], [0, 4, 4, 30, 30, 0.02, 1]]
    m = evaluate_detections(samples, ("a", "b", "c"), np.array([*wrong, *right]))
    assert m.confidence > 0.1 and [each.precision for each in m.classes.values()] == [1, 0, 0]
    assert evaluate_detections(samples, ("a", "b", "c"), np.zeros((0, 7))).precision == 0


def test_a_split_without_objects_can_be_evaluated() -> None:
    empty = [Sample(Path("a"), 64, 64, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))]
    m = evaluate_detections(empty, ("a",), np.array([[0, 1, 1, 9, 9, 0.5, 0]]))
    assert m.map is None and m.recall is None and m.precision == 0 and m.false_positives == 1 and m.fitness == 0


def test_fitness_is_mostly_the_strict_map() -> None:
    m = evaluate_detections(*make_case(3))
    assert m.map is not None and m.map50 is not None and m.map50 > m.map + 0.1
    assert m.fitness == pytest.approx(0.1 * m.map50 + 0.9 * m.map)
