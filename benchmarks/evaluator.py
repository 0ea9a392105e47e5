"""Time of the parts of an evaluation: suppression, COCO's metrics here, and the same metrics by pycocotools.

    python benchmarks/evaluator.py [--images 500] [--classes 80] [--imgsz 640] [--objects 7] [--detections 100]

The predictions are random. The twelve metrics of both evaluators are compared as well.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import time
from pathlib import Path

import numpy as np
import torch
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval

from lehr.evaluation.metrics import evaluate_detections
from lehr.evaluation.nms import suppress
from lehr.sample import Sample


def made_up(images: int, classes: int, objects: int = 7, detections: int = 100) -> tuple[list[Sample], np.ndarray]:
    """Draw ground truth and detections, some of them right; `objects` and `detections` are numbers per image."""
    rng = np.random.default_rng(0)
    samples, rows = [], []
    for index in range(images):
        corner, size = rng.uniform(0, 500, (objects, 2)), np.exp(rng.uniform(2, 5, (objects, 2)))
        boxes = np.concatenate((corner, corner + size), 1).astype(np.float32)
        numbers = rng.integers(0, classes, objects)
        samples.append(Sample(Path(f"{index}.jpg"), 640, 640, boxes, numbers))
        pick = rng.integers(0, objects, detections)
        moved = boxes[pick] + rng.normal(0, 0.2, (detections, 4)) * np.tile(size[pick], 2)
        moved[:, 2:] = np.maximum(moved[:, 2:], moved[:, :2] + 1)
        right = rng.random(detections) < 0.5
        kinds = np.where(right, numbers[pick], rng.integers(0, classes, detections))
        rows.append(np.column_stack((np.full(detections, index), moved, rng.random(detections), kinds)))
    return samples, np.concatenate(rows)


def by_pycocotools(samples: list[Sample], rows: np.ndarray, classes: int) -> np.ndarray:
    """Return COCO's twelve metrics, computed by pycocotools."""
    truth = COCO()
    annotations = []
    for image, sample in enumerate(samples, 1):
        for (x1, y1, x2, y2), kind in zip(sample.boxes.astype(float).tolist(), sample.classes.tolist(), strict=True):
            box = [x1, y1, x2 - x1, y2 - y1]
            number = len(annotations) + 1
            one = {"id": number, "image_id": image, "category_id": kind + 1, "bbox": box, "iscrowd": 0}
            annotations.append({**one, "area": box[2] * box[3]})
    truth.dataset = {
        "images": [{"id": i, "width": 640, "height": 640} for i in range(1, len(samples) + 1)],
        "categories": [{"id": i, "name": str(i)} for i in range(1, classes + 1)],
        "annotations": annotations,
    }
    truth.createIndex()
    boxes = np.column_stack((rows[:, 1:3], rows[:, 3:5] - rows[:, 1:3]))
    found = truth.loadRes(
        [
            {"image_id": int(row[0]) + 1, "bbox": box.tolist(), "score": row[5], "category_id": int(row[6]) + 1}
            for row, box in zip(rows, boxes, strict=True)
        ]
    )
    evaluation = COCOeval(truth, found, "bbox")
    evaluation.evaluate()
    evaluation.accumulate()
    evaluation.summarize()
    return np.asarray(evaluation.stats)


def main() -> None:
    """Print a line per part."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=500)
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--imgsz", type=int, default=640)
    parser.add_argument("--objects", type=int, default=7)
    parser.add_argument("--detections", type=int, default=100)
    given = parser.parse_args()

    anchors = sum((given.imgsz // stride) ** 2 for stride in (8, 16, 32))
    generator = torch.Generator().manual_seed(0)
    corner = torch.rand(16, anchors, 2, generator=generator) * given.imgsz * 0.8
    boxes = torch.cat((corner, corner + torch.rand(16, anchors, 2, generator=generator) * given.imgsz * 0.2), -1)
    print(f"{'part':<44} {'ms/image':>9}")
    for share in (0.0005, 0.02):
        scores = torch.rand(16, anchors, given.classes, generator=generator)
        scores = torch.where(scores < 1 - share, 1e-5, scores)
        suppress(boxes, scores)
        start = time.perf_counter()
        suppress(boxes, scores)
        each = (time.perf_counter() - start) / 16 * 1e3
        pairs = int((scores > 0.001).sum()) // 16
        print(f"{f'suppression, {pairs} pairs above confidence':<44} {each:>9.2f}")

    samples, rows = made_up(given.images, given.classes, given.objects, given.detections)
    start = time.perf_counter()
    m = evaluate_detections(samples, [str(i) for i in range(given.classes)], rows)
    ours = time.perf_counter() - start
    start = time.perf_counter()
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = by_pycocotools(samples, rows, given.classes)
    slow = time.perf_counter() - start
    print(f"{'numbers, P, R and F1 of each class':<44} {ours / given.images * 1e3:>9.2f}")
    print(f"{'the twelve numbers by pycocotools':<44} {slow / given.images * 1e3:>9.2f}")
    twelve = [m.map, m.map50, m.map75, m.map_small, m.map_medium, m.map_large]
    twelve += [m.recall_1, m.recall_10, m.recall_100, m.recall_small, m.recall_medium, m.recall_large]
    largest = max(abs((a if a is not None else -1.0) - b) for a, b in zip(twelve, theirs, strict=True))
    print(f"largest difference of the twelve numbers: {largest:.1e}")


if __name__ == "__main__":
    main()
