"""Images a second of training, Lehr beside the published YOLOv8 trainer, turn by turn.

The published trainer is run as a black box, in an environment of its own that has it installed:

    python benchmarks/against_published.py --python OTHER_ENV/bin/python --data DATA [--pairs 3]

Both train YOLOv8n from scratch at 320 pixels, batch 16, with their defaults. Validation is not counted; the first epoch
of each turn is not counted either. What counts is the ratio within a pair, since a machine's speed changes by the hour.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

PUBLISHED = """
import sys, time
from ultralytics import YOLO
rates, start = [], [0.0]
def begin(trainer): start[0] = time.perf_counter()
def end(trainer): rates.append(len(trainer.train_loader.dataset) / (time.perf_counter() - start[0]))
model = YOLO("yolov8n.yaml")
model.add_callback("on_train_epoch_start", begin)
model.add_callback("on_train_epoch_end", end)
model.train(data=sys.argv[1], imgsz=320, batch=16, epochs=int(sys.argv[2]), close_mosaic=0, val=False, plots=False,
            project=sys.argv[3], device="cpu", verbose=False)
print("RATES", *rates)
"""


def published(python: str, data: Path, epochs: int, folder: Path) -> float:
    """Images a second of the published trainer: the median of all epochs but the first."""
    command = [python, "-c", PUBLISHED, str(data), str(epochs), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RATES")]
    if not lines:
        sys.exit(f"The published trainer failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return statistics.median(float(word) for word in lines[0].split()[2:])


def lehr(data: Path, epochs: int, folder: Path, name: str) -> float:
    """Images a second of Lehr: the median of all epochs but the first."""
    options = ["--data", data, "--imgsz", 320, "--batch", 16, "--epochs", epochs, "--close-mosaic", 0]
    options += ["--project", folder, "--name", name, "--device", "cpu"]
    command = [sys.executable, "-m", "lehr", "train", *map(str, options)]
    subprocess.run(command, capture_output=True, check=True)
    rows = list(csv.DictReader((folder / name / "results.csv").open()))
    return statistics.median(float(row["images_per_second"]) for row in rows[1:])


def main() -> None:
    """Prints a line a pair, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="the interpreter that has the published trainer")
    parser.add_argument("--data", required=True, help="what `lehr train --data` takes")
    parser.add_argument("--pairs", type=int, default=3, help="turns of both")
    parser.add_argument("--epochs", type=int, default=3, help="epochs a turn")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        convert = ["data", "convert", given.data, "--to", "yolo", "--out", str(folder / "data")]
        subprocess.run([sys.executable, "-m", "lehr", *convert], check=True, capture_output=True)
        data = folder / "data" / "data.yaml"
        data.write_text(f"path: {data.parent}\n" + data.read_text())
        print(f"{'pair':>4} {'published':>10} {'lehr':>10} {'ratio':>6}   images/s")
        ratios = []
        for pair in range(given.pairs):
            theirs = published(given.python, data, given.epochs, folder)
            ours = lehr(data, given.epochs, folder, f"pair-{pair}")
            ratios.append(ours / theirs)
            print(f"{pair + 1:>4} {theirs:>10.2f} {ours:>10.2f} {ratios[-1]:>6.2f}", flush=True)
        print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
