"""Cost of the page of a large run: 5,000 validation images, 80 classes, 300 epochs; seconds, memory, bytes.

    python benchmarks/report_page.py [--images 5000] [--classes 80] [--epochs 300] [--detections 100] [--plots]

Writes the folder of such a run, with random detections around random objects, and has `lehr report` build its page in a
separate process, of which time, peak memory and the size of the page are measured.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

from lehr.analysis.data_summary import DATA_SUMMARY, save_data_summary, summarize_data
from lehr.analysis.record import DetectionRecord
from lehr.analysis.record_file import save_record
from lehr.checkpoint.run_folder import (
    BATCH_WITHOUT_MOSAIC,
    CONFIG,
    DETECTIONS,
    FIRST_BATCH,
    MIDDLE_BATCH,
    PLOTS,
)
from lehr.sample import Dataset, Sample

WIDTH, HEIGHT = 640, 480
OBJECTS = 7
"""Objects per image, about as many as in COCO."""
FOUND = 0.7
"""Share of the objects that have a detection around them."""
STEPS = 5_000
"""Steps in the log."""


def write_run(folder: Path, images: int, classes: int, epochs: int, detections: int, seed: int = 0) -> None:
    """Write the folder of a run from which a page can be built.

    Args:
        folder: folder to create.
        images: images of the validation split; the training split has as many.
        classes: number of classes.
        epochs: epochs in results.csv.
        detections: detections per image.
        seed: seed of everything random.
    """
    rng = np.random.default_rng(seed)
    folder.mkdir(parents=True)
    names = tuple(f"class {number}" for number in range(classes))
    samples = _samples(folder / "images", images, classes, rng)
    record = DetectionRecord(names, samples, _detections(samples, classes, detections, rng), epoch=epochs)
    save_record(record, folder / DETECTIONS)
    summary = summarize_data(Dataset("data.yaml", names, {"train": samples, "val": samples}), 640)
    save_data_summary(folder / DATA_SUMMARY, summary)
    (folder / CONFIG).write_text(f"model: yolov8n\ndata: data.yaml\nepochs: {epochs}\nimgsz: 640\nbatch: 16\n")
    rows = _rows(epochs, rng)
    lines = [",".join(rows[0]), *(",".join(f"{value:.6g}" for value in row.values()) for row in rows)]
    (folder / "results.csv").write_text("\n".join(lines) + "\n")
    with (folder / "events.jsonl").open("w") as file:
        file.writelines(json.dumps(line) + "\n" for line in _log(names, rows, epochs, rng))
    (folder / PLOTS).mkdir()
    sheet = cv2.resize(rng.integers(0, 255, (60, 60, 3), dtype=np.uint8), (1280, 1280))
    for name in (FIRST_BATCH, MIDDLE_BATCH, BATCH_WITHOUT_MOSAIC):
        cv2.imwrite(str(folder / PLOTS / name), sheet)


def _samples(folder: Path, images: int, classes: int, rng: np.random.Generator) -> tuple[Sample, ...]:
    """Write a few distinct images, and link them under further names."""
    folder.mkdir()
    for number in range(min(20, images)):
        pixels = cv2.resize(rng.integers(0, 255, (24, 32, 3), dtype=np.uint8), (WIDTH, HEIGHT))
        cv2.imwrite(str(folder / f"first{number}.jpg"), pixels)
    samples = []
    for number in range(images):
        path = folder / f"{number:06}.jpg"
        os.link(folder / f"first{number % 20}.jpg", path)
        count = rng.poisson(OBJECTS)
        sides = np.exp(rng.uniform(np.log(8), np.log(300), (count, 2)))
        corner = rng.random((count, 2)) * (np.array([WIDTH, HEIGHT]) - sides).clip(0)
        boxes = np.concatenate([corner, (corner + sides).clip(max=[WIDTH, HEIGHT])], 1).astype(np.float32)
        samples.append(Sample(path, WIDTH, HEIGHT, boxes, rng.integers(0, classes, count), path.with_suffix(".txt")))
    return tuple(samples)


def _detections(
    samples: tuple[Sample, ...], classes: int, detections: int, rng: np.random.Generator
) -> np.ndarray[tuple[int, ...], np.dtype[np.float64]]:
    """Draw detections: around most objects, mostly of their class, and others up to the number per image."""
    parts = []
    for index, sample in enumerate(samples):
        hit = rng.random(len(sample.boxes)) < FOUND
        near = sample.boxes[hit] + rng.normal(0, 3, (hit.sum(), 4))
        own = np.where(rng.random(hit.sum()) < 0.9, sample.classes[hit], rng.integers(0, classes, hit.sum()))
        rest = max(0, detections - len(near))
        corner, sides = rng.random((rest, 2)) * [WIDTH - 40, HEIGHT - 40], rng.uniform(8, 40, (rest, 2))
        boxes = np.concatenate([near, np.concatenate([corner, corner + sides], 1)])
        scores = np.concatenate([rng.beta(5, 2, len(near)), rng.beta(1, 12, rest)])
        labels = np.concatenate([own, rng.integers(0, classes, rest)])
        order = np.argsort(-scores)
        rows = np.concatenate([np.full((len(boxes), 1), index), boxes, scores[:, None], labels[:, None]], 1)
        parts.append(rows[order])
    return np.concatenate(parts)


def _rows(epochs: int, rng: np.random.Generator) -> list[dict[str, float]]:
    rows = []
    for epoch in range(1, epochs + 1):
        done = 1 - np.exp(-4 * epoch / epochs)
        row = {"epoch": epoch, "step": epoch * 300, "seconds": epoch * 100, "images_per_second": 50 + rng.random()}
        row |= {f"train/{part}": 3 - 2 * done + rng.random() / 10 for part in ("box", "cls", "dfl")}
        row |= {f"val/{part}": 3.2 - 2 * done + rng.random() / 10 for part in ("box", "cls", "dfl")}
        row |= {f"val/{name}": 0.6 * done for name in ("precision", "recall", "f1", "map50", "map75", "map")}
        rows.append({**row, **{f"lr/{group}": 0.01 * (1 - epoch / epochs) for group in ("weights", "norms", "biases")}})
    return rows


def _log(
    names: tuple[str, ...], rows: list[dict[str, float]], epochs: int, rng: np.random.Generator
) -> list[dict[str, object]]:
    batches = 300
    every = max(1, epochs * batches // STEPS)
    start: dict[str, object] = {"kind": "start", "epoch": 0, "step": 0, "resumed": False, "options": {}, "versions": {}}
    start |= {"machine": {}, "device": "cpu", "processes": 1, "names": list(names), "parts": ["box", "cls", "dfl"]}
    start |= {"images": {}, "batches": batches, "warmup": 900, "closed": 10, "data": "", "notes": [], "time": 0.0}
    lines = [start]
    for step in range(every - 1, epochs * batches, every):
        losses = {part: float(1 + rng.random()) for part in ("box", "cls", "dfl")}
        rates = dict.fromkeys(("weights", "norms", "biases"), 0.01 * (1 - step / (epochs * batches)))
        line: dict[str, object] = {"kind": "step", "epoch": step // batches, "step": step, "batches": every}
        line |= {"images": 16 * every, "losses": losses, "norm": float(rng.gamma(4)), "rates": rates}
        lines.append({**line, "momentum": 0.937, "accumulate": 4, "loss_scale": 65536.0, "finite": True})
    for row in rows:
        epoch = int(row["epoch"])
        line = {"kind": "epoch", "epoch": epoch - 1, "step": epoch * batches, "row": row, "losses": {}, "rates": {}}
        lines.append({**line, "images_per_second": 50.0, "memory": 4000.0, "seconds": 1.0, "best": True})
    return lines


def measure(folder: Path, plots: bool = False) -> tuple[float, float, float]:
    """Build the page of a run in a separate process; return seconds, peak memory in MiB, and size of the page in MB."""
    before = time.perf_counter()
    command = [sys.executable, "-m", "lehr", "report", str(folder), "--plots" if plots else "--no-plots"]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    seconds = time.perf_counter() - before
    memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
    return seconds, memory, (folder / "report.html").stat().st_size / 1e6


def main() -> None:
    """Print the cost of the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, number in (("images", 5000), ("classes", 80), ("epochs", 300), ("detections", 100)):
        parser.add_argument(f"--{name}", type=int, default=number)
    parser.add_argument("--plots", action="store_true", help="also draw the figures as files")
    parser.add_argument("--keep", type=Path, help="write the run into this folder, and keep it")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.keep or Path(temporary) / "run"
        write_run(folder, given.images, given.classes, given.epochs, given.detections)
        seconds, memory, size = measure(folder, given.plots)
    what = (
        f"{given.images} images, {given.classes} classes, {given.epochs} epochs, "
        f"{given.detections} detections per image"
    )
    print(f"{what}: {seconds:.1f} s, {memory:.0f} MiB, {size:.2f} MB")


if __name__ == "__main__":
    main()
