"""Accuracy of the published trainer of YOLOv8, tuned for small data in the same way as Lehr, by COCO's metrics.

    python benchmarks/accuracy_against_published.py --python OTHER_ENV/bin/python --data DATA_YAML
        [--seeds 0 1 2] [--model yolov8n] [--imgsz 416] [--epochs 40] [--batch 16] [--project runs/published]

The published trainer runs as a black box in a separate environment that has it installed. It trains from random weights
with the settings that Lehr's `--optimizer auto` chooses for short runs: AdamW, learning rate `0.01 / (4 + classes)`,
and an optimizer step per batch (`nbs`). Its best epoch is that of its own `best.pt`. It is evaluated twice: by its own
validation, and by COCO's metrics from the detections that it writes as JSON, so that the same evaluator judges both
trainers. `benchmarks/accuracy.py` makes Lehr's side of the table. Finished runs are not trained again.
"""

from __future__ import annotations

import argparse
import csv
import json
import statistics
import subprocess
import sys
from pathlib import Path

import numpy as np

from lehr.data.load import load_dataset, require_split
from lehr.evaluation.metrics import Metrics, evaluate_detections

TRAIN = """
import sys
from ultralytics import YOLO
data, model, imgsz, epochs, batch, seed, project, name, classes = sys.argv[1:]
YOLO(model + ".yaml").train(
    data=data, imgsz=int(imgsz), epochs=int(epochs), batch=int(batch), nbs=int(batch), seed=int(seed),
    optimizer="AdamW",
    lr0=round(0.002 * 5 / (4 + int(classes)), 6), momentum=0.9, warmup_bias_lr=0.0, pretrained=False, device="cpu",
    workers=0, cache="ram", plots=False, verbose=False, project=project, name=name, exist_ok=True)
"""
VALIDATE = """
import sys
from ultralytics import YOLO
data, weights, imgsz, project = sys.argv[1:]
YOLO(weights).val(
    data=data, imgsz=int(imgsz), batch=16, device="cpu", workers=0, save_json=True, plots=False, verbose=False,
    project=project, name="val", exist_ok=True)
"""


def coco_numbers(data: str, detections: Path) -> Metrics:
    """Evaluate the detections that the published trainer wrote, as Lehr evaluates its own.

    Args:
        data: the data YAML.
        detections: its `predictions.json`.
    """
    dataset = load_dataset(data)
    samples = require_split(dataset, "val")
    index = {sample.path.name: i for i, sample in enumerate(samples)}
    found = json.loads(detections.read_text(encoding="utf-8"))
    first = min(each["category_id"] for each in found)  # classes count from 0 or 1, depending on the version
    rows = [
        (index[each["file_name"]], x, y, x + width, y + height, each["score"], each["category_id"] - first)
        for each in found
        for x, y, width, height in [each["bbox"]]
    ]
    return evaluate_detections(samples, dataset.names, np.array(rows, np.float64))


def best_epoch(results: Path) -> dict[str, str]:
    """Return the row of the best epoch, by the mAP50-95 of the published trainer itself."""
    with results.open(encoding="utf-8") as file:
        rows = [{name.strip(): value.strip() for name, value in row.items()} for row in csv.DictReader(file)]
    return max(rows, key=lambda row: float(row["metrics/mAP50-95(B)"]))


def main() -> None:
    """Train, validate, and print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="Python of an environment with the published trainer")
    parser.add_argument("--data", required=True)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--imgsz", type=int, default=416)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--project", type=Path, default=Path("runs/published"))
    given = parser.parse_args()
    classes = len(load_dataset(given.data).names)
    project = given.project.resolve()
    print("| run | best epoch | its own mAP50 | its own mAP50-95 | COCO's mAP50 | COCO's mAP50-95 |")
    print("|---|---|---|---|---|---|")
    table = []
    for seed in given.seeds:
        folder = project / f"seed-{seed}"
        weights = folder / "weights" / "best.pt"
        sizes = [str(each) for each in (given.imgsz, given.epochs, given.batch, seed)]
        if not weights.is_file():
            run = [given.data, given.model, *sizes, str(project), folder.name, str(classes)]
            subprocess.run([given.python, "-c", TRAIN, *run], check=True, stdout=sys.stderr)
        run = [given.data, str(weights), sizes[0], str(folder)]
        subprocess.run([given.python, "-c", VALIDATE, *run], check=True, stdout=sys.stderr)
        best = best_epoch(folder / "results.csv")
        coco = coco_numbers(given.data, folder / "val" / "predictions.json")
        own = [float(best[f"metrics/{name}(B)"]) for name in ("mAP50", "mAP50-95")]
        table.append([*own, coco.map50 or 0.0, coco.map or 0.0])
        cells = " | ".join(f"{value:.4f}" for value in table[-1])
        print(f"| {folder.name} | {best['epoch']} | {cells} |", flush=True)
    means = " | ".join(f"{statistics.mean(column):.4f}" for column in zip(*table, strict=True))
    print(f"| mean | | {means} |")


if __name__ == "__main__":
    main()
