"""What pruning saves: the same search without it and with each pruner, epochs and best fitness side by side.

`python benchmarks/pruning.py --trials 20 --seeds 2` prints a table for docs/evolution.md. Each search is one of `lehr
evolve` on a small data set of squares, started from a learning rate that is far too low.
"""

from __future__ import annotations

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import cv2
import numpy as np

IMAGES = {"train": 128, "val": 48}
OPTIONS = ["--imgsz", "64", "--width", "0.125", "--batch", "4", "--device", "cpu", "--optimizer", "AdamW"]
OPTIONS += ["--nominal-batch", "1", "--lr0", "3e-4", "--ema-decay", "0.98", "--warmup", "none", "--close-mosaic", "3"]
SPACE = "lr0: {low: 1e-5, high: 0.03, gain: 15}\nbox: [3, 30]\ncls: [0.2, 4]\nscale: [0, 0.9]\nmosaic: [0, 1]\nhsv_v:\n"


def make_squares(root: Path) -> Path:
    """Images of one to three bright squares on noise, their classes by size, of some contrast."""
    for split, count in IMAGES.items():
        for kind in ("images", "labels"):
            (root / kind / split).mkdir(parents=True)
        for number in range(count):
            rng = np.random.default_rng([len(split), number])
            image = rng.integers(0, 90, (64, 64, 3), dtype=np.uint8)
            rows = []
            for _ in range(rng.integers(1, 4)):
                side = int(rng.integers(8, 30))
                x, y = (int(v) for v in rng.integers(0, 64 - side, 2))
                image[y : y + side, x : x + side] = rng.integers(100, 255, 3)
                rows.append(f"{int(side > 18)} {(x + side / 2) / 64} {(y + side / 2) / 64} {side / 64} {side / 64}")
            cv2.imwrite(str(root / "images" / split / f"{number}.png"), image)
            (root / "labels" / split / f"{number}.txt").write_text("\n".join(rows) + "\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [small, large]\n")
    return root / "data.yaml"


def search(data: Path, space: Path, place: Path, pruner: str, seed: int, trials: int, epochs: int) -> dict[str, float]:
    """One search; what it came to."""
    began = time.monotonic()
    command = [sys.executable, "-m", "lehr", "evolve", "--data", str(data), *OPTIONS, "--epochs", str(epochs)]
    command += ["--space", str(space), "--pruner", pruner, "--seed", str(seed), "--trials", str(trials), "--jobs", "2"]
    subprocess.run([*command, "--project", str(place)], check=True, stdout=subprocess.DEVNULL)
    seconds = time.monotonic() - began
    with (place / "evolve" / "evolve.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    shutil.rmtree(place)
    ended = [row for row in rows if row["state"] == "finished"]
    return {
        "epochs": sum(int(row["epochs"]) for row in rows),
        "finished": len(ended),
        "first": float(rows[0]["fitness"]),
        "best": max(float(row["fitness"]) for row in ended),
        "seconds": seconds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=20)
    parser.add_argument("--epochs", type=int, default=12)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--pruners", default="none,median,halving,hyperband")
    given = parser.parse_args()
    planned = given.trials * given.epochs
    print("| pruner | seed | epochs | saved | trials to their end | first | best | seconds |")
    print("|---|---|---|---|---|---|---|---|")
    with tempfile.TemporaryDirectory() as place:
        root = Path(place)
        data, space = make_squares(root / "data"), root / "space.yaml"
        space.write_text(SPACE)
        for seed in range(given.seeds):
            for pruner in given.pruners.split(","):
                found = search(data, space, root / "runs", pruner, seed, given.trials, given.epochs)
                print(
                    f"| {pruner} | {seed} | {found['epochs']:.0f} of {planned} | {1 - found['epochs'] / planned:.0%} | "
                    f"{found['finished']:.0f} | {found['first']:.3f} | {found['best']:.3f} | {found['seconds']:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
