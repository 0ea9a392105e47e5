"""Crowd regions are ignored as pycocotools does; difficult objects as a slow matching by hand does."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest

from lehr.evaluation.crowding import crowding_notes
from lehr.evaluation.metrics import Metrics, evaluate_detections
from lehr.sample import Ignored, Sample

NAMES = ("a", "b", "c")
IOUS = np.linspace(0.5, 0.95, 10)


def random_boxes(rng: np.random.Generator, count: int, largest: float) -> np.ndarray:
    corner, size = rng.uniform(0, 400, (count, 2)), np.exp(rng.uniform(np.log(8), np.log(largest), (count, 2)))
    return np.concatenate((corner, corner + size), 1).astype(np.float32)


def make_case(
    seed: int, images: int = 12, crowds: bool = True, difficult: bool = True
) -> tuple[list[Sample], np.ndarray]:
    """Objects, some of them difficult, crowd regions, and detections near all of them and elsewhere."""
    rng = np.random.default_rng(seed)
    samples, rows = [], []
    for index in range(12):
        count, regions = int(rng.integers(0, 7)), int(rng.integers(0, 3)) if crowds else 0
        boxes, classes = random_boxes(rng, count, 200), rng.integers(0, 2, count)
        area = random_boxes(rng, regions, 300)
        ignored = Ignored(area, rng.integers(0, 3, regions), np.ones(regions, bool))  # class c has crowds alone
        hard = rng.random(count) < 0.4 if difficult else None
        samples.append(Sample(Path(f"{index}.jpg"), 640, 640, boxes, classes, None, hard, ignored))
        for box, number in zip(boxes, classes, strict=True):
            for _ in range(int(rng.integers(0, 5))):
                moved = box + rng.normal(0, 0.07, 4) * np.tile(box[2:] - box[:2], 2)
                if (moved[2:] > moved[:2]).all():
                    rows.append([index, *moved, round(rng.random(), 2), number])
        for box, number in zip(area, ignored.classes, strict=True):
            for _ in range(3):  # some inside the region, some half outside
                corner = box[:2] + rng.uniform(-0.3, 0.9, 2) * (box[2:] - box[:2])
                rows.append([index, *corner, *(corner + rng.uniform(5, 60, 2)), round(rng.random(), 2), number])
        stray = random_boxes(rng, int(rng.integers(0, 4)), 100)
        rows += [[index, *box, round(rng.random(), 2), rng.integers(3)] for box in stray]
    return samples, np.array(rows, np.float64).reshape(-1, 7)


def by_pycocotools(samples: list[Sample], rows: np.ndarray) -> np.ndarray:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    records = []
    for image, sample in enumerate(samples, 1):
        own = [(box, number, 0) for box, number in zip(sample.boxes, sample.classes, strict=True)]
        own += [(box, number, 1) for box, number in zip(sample.ignored.boxes, sample.ignored.classes, strict=True)]
        for box, number, crowd in own:
            x1, y1, x2, y2 = box.astype(float).tolist()
            record = {"id": len(records) + 1, "image_id": image, "category_id": int(number) + 1, "iscrowd": crowd}
            records.append({**record, "bbox": [x1, y1, x2 - x1, y2 - y1], "area": (x2 - x1) * (y2 - y1)})
    truth = COCO()
    truth.dataset = {
        "images": [{"id": i + 1, "width": s.width, "height": s.height} for i, s in enumerate(samples)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(NAMES, 1)],
        "annotations": records,
    }
    found = [
        {"image_id": int(i) + 1, "bbox": [x1, y1, x2 - x1, y2 - y1], "score": score, "category_id": int(number) + 1}
        for i, x1, y1, x2, y2, score, number in rows.tolist()
    ]
    with contextlib.redirect_stdout(io.StringIO()):
        truth.createIndex()
        evaluation = COCOeval(truth, truth.loadRes(found), "bbox")
        evaluation.evaluate()
        evaluation.accumulate()
        evaluation.summarize()
    return np.asarray(evaluation.stats)


@pytest.mark.parametrize("seed", range(4))
def test_the_twelve_numbers_with_crowds_equal_pycocotools(seed: int) -> None:
    samples, rows = make_case(seed, difficult=False)
    m = evaluate_detections(samples, NAMES, rows)
    ours = [m.map, m.map50, m.map75, m.map_small, m.map_medium, m.map_large]
    ours += [m.recall_1, m.recall_10, m.recall_100, m.recall_small, m.recall_medium, m.recall_large]
    np.testing.assert_allclose(
        [-1 if value is None else value for value in ours], by_pycocotools(samples, rows), atol=1e-6
    )
    without = [
        dataclasses.replace(sample, ignored=Sample.__dataclass_fields__["ignored"].default) for sample in samples
    ]
    assert evaluate_detections(without, NAMES, rows).map < m.map  # else the crowds decide nothing here


def overlap(detection: np.ndarray, box: np.ndarray, crowd: bool) -> float:
    sides = np.clip(np.minimum(detection[2:], box[2:]) - np.maximum(detection[:2], box[:2]), 0, None)
    own, other = (detection[2:] - detection[:2]).prod(), (box[2:] - box[:2]).prod()
    return float(sides.prod() / (own if crowd else own + other - sides.prod()))


def judged(samples: list[Sample], rows: np.ndarray, number: int, iou: float) -> tuple[list[tuple[float, bool]], int]:
    """Score, and whether it is right, of each detection that counts; and how many objects there are."""
    verdicts, instances = [], 0
    for index, sample in enumerate(samples):
        hard = np.zeros(len(sample.classes), bool) if sample.difficult is None else sample.difficult
        free = [box.astype(float) for box in sample.boxes[(sample.classes == number) & ~hard]]
        regions = [(box.astype(float), False) for box in sample.boxes[(sample.classes == number) & hard]]
        ignored = zip(sample.ignored.boxes, sample.ignored.classes, sample.ignored.crowd, strict=True)
        regions += [(box.astype(float), bool(crowd)) for box, of_class, crowd in ignored if of_class == number]
        instances += len(free)
        own = rows[(rows[:, 0] == index) & (rows[:, 6] == number)]
        for row in own[np.argsort(-own[:, 5], kind="stable")]:
            near = [overlap(row[1:5], box, False) for box in free]
            if near and max(near) >= iou:
                free.pop(int(np.argmax(near)))
                verdicts.append((float(row[5]), True))
            elif not any(overlap(row[1:5], box, crowd) >= iou for box, crowd in regions):
                verdicts.append((float(row[5]), False))
    return verdicts, instances


def average_precision(verdicts: list[tuple[float, bool]], instances: int) -> float:
    """Mean over 101 recalls of the best precision at that recall or above."""
    order = sorted(range(len(verdicts)), key=lambda i: -verdicts[i][0])
    points, hits = [], 0
    for count, index in enumerate(order, 1):
        hits += verdicts[index][1]
        points.append((hits / instances, hits / count))
    return float(np.mean([max((p for r, p in points if r >= at), default=0.0) for at in np.linspace(0, 1, 101)]))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("crowds", [False, True])
def test_averages_with_difficult_objects_equal_a_matching_by_hand(seed: int, crowds: bool) -> None:
    samples, rows = make_case(seed, crowds=crowds)
    m = evaluate_detections(samples, NAMES, rows)
    for number, name in enumerate(NAMES[:2]):
        expected = [average_precision(*judged(samples, rows, number, iou)) for iou in IOUS]
        own = m.classes[name]
        assert own.map == pytest.approx(np.mean(expected), abs=1e-6) and own.map_max_det == own.map
        assert own.map50 == pytest.approx(expected[0], abs=1e-6)
        verdicts, instances = judged(samples, rows, number, 0.5)
        above = [right for score, right in verdicts if score >= m.confidence]
        assert own.precision == pytest.approx(sum(above) / len(above))
        assert own.recall == pytest.approx(sum(above) / instances) and own.instances == instances
    assert m.classes["c"].map is None and m.instances == sum(len(s.instance_classes) for s in samples)
    as_objects = [dataclasses.replace(sample, difficult=None) for sample in samples]
    assert evaluate_detections(as_objects, NAMES, rows).map != m.map


def test_the_average_of_all_detections_ignores_too() -> None:
    """More than COCO's 100 detections of a class, all on one difficult object and in one crowd, cost nothing."""
    boxes = np.array([[10, 10, 50, 50], [100, 100, 160, 160]], np.float32)
    crowd = Ignored(np.array([[300, 300, 600, 600]], np.float32), np.zeros(1, np.int64), np.ones(1, bool))
    sample = Sample(Path("a"), 640, 640, boxes, np.zeros(2, np.int64), None, np.array([False, True]), crowd)
    inside = [[0, 300 + i, 310, 320 + i, 330, 0.8, 0] for i in range(130)]
    near = [[0, 100, 100, 160, 161 + i / 100, 0.9, 0] for i in range(130)]
    rows = np.array([*inside, *near, [0, 10, 10, 50, 50, 0.5, 0]])
    m = evaluate_detections([sample], ("a",), rows)
    assert [m.map_max_det, m.map50_max_det, m.precision, m.recall, m.instances] == pytest.approx([1, 1, 1, 1, 1])
    assert m.map == 0  # of the 100 best, as COCO counts them, none is on the object
    wrong = np.array([[0, 200, 10, 240, 50, 0.95, 0], *rows])
    assert evaluate_detections([sample], ("a",), wrong).map50_max_det == pytest.approx(0.5)


def test_only_detections_of_its_class_are_ignored_by_a_region_until_classes_are_one() -> None:
    crowd = Ignored(np.array([[0, 0, 300, 300]], np.float32), np.array([1]), np.ones(1, bool))
    boxes = np.array([[400, 400, 440, 440]], np.float32)
    sample = Sample(Path("a"), 640, 640, boxes, np.zeros(1, np.int64), ignored=crowd)
    rows = np.array([[0, 400, 400, 440, 440, 0.5, 0], [0, 10, 10, 50, 50, 0.9, 0]])

    def map50(sample: Sample) -> float | None:
        return evaluate_detections([sample], ("a", "b"), rows).map50

    assert map50(sample) == pytest.approx(0.5) and map50(sample.renumbered(np.array([0, 0]))) == pytest.approx(1)
    swapped = sample.renumbered(np.array([1, 0]))
    assert swapped.classes.tolist() == [1] and swapped.ignored.classes.tolist() == [0]
    without = sample.renumbered(np.array([0, -1]))
    assert not len(without.ignored.classes) and len(without.boxes) == 1


def test_difficult_objects_as_ignored_regions_give_the_same_numbers() -> None:
    samples, rows = make_case(5)
    left = [sample.without_difficult() for sample in samples]
    assert sum(len(s.boxes) for s in left) < sum(len(s.boxes) for s in samples)

    def numbers(samples: list[Sample]) -> Metrics:
        return evaluate_detections(samples, NAMES, rows)

    assert numbers(left) == numbers(samples)


def test_what_is_ignored_does_not_make_an_image_dense() -> None:
    boxes = np.tile(np.array([1, 1, 9, 9], np.float32), (150, 1))
    sample = Sample(Path("a"), 64, 64, boxes, np.zeros(150, np.int64), None, np.arange(150) >= 40)
    assert not crowding_notes([sample], 300)
    assert crowding_notes([dataclasses.replace(sample, difficult=None)], 300)
