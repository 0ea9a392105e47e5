"""Train with several seeds, and print the best epoch of each run as a Markdown table.

    python benchmarks/accuracy.py --seeds 0 1 2 -- --data DATA --model yolov8n --imgsz 320 --batch 16 --epochs 40
    python benchmarks/accuracy.py --summarise runs/seed-0 runs/seed-1 runs/seed-2

Options after `--` are passed to `lehr train`. The best epoch is that of `best.safetensors`.
"""

from __future__ import annotations

import argparse
import csv
import statistics
import subprocess
import sys
from pathlib import Path

from lehr.search.fitness import DEFAULT, parse_fitness, read_epochs

COLUMNS = ("val/map50", "val/map", "val/precision", "val/recall", "val/f1")


def best_row(folder: Path) -> dict[str, str]:
    """Return the row of the best epoch in a run's results.csv, by the default fitness."""
    fitness, epochs = parse_fitness(DEFAULT), read_epochs(folder / "results.csv")
    rows = list(csv.DictReader((folder / "results.csv").open()))
    return max(zip(rows, epochs, strict=True), key=lambda pair: fitness(pair[1].metrics))[0]


def main() -> None:
    """Train the seeds, and print the table."""
    arguments = sys.argv[1:]
    options: list[str] = []
    if "--" in arguments:
        options = arguments[arguments.index("--") + 1 :]
        arguments = arguments[: arguments.index("--")]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--project", type=Path, default=Path("runs"))
    parser.add_argument("--summarise", type=Path, nargs="*", help="folders of finished runs; nothing is trained")
    given = parser.parse_args(arguments)
    folders: list[Path] = given.summarise or []
    if not folders:
        for seed in given.seeds:
            run = ["--seed", str(seed), "--project", str(given.project), "--name", f"seed-{seed}"]
            subprocess.run([sys.executable, "-m", "lehr", "train", *options, *run], check=True)
            folders.append(given.project / f"seed-{seed}")
    print("| run | best epoch | mAP50 | mAP50-95 | P | R | F1 | last epoch's mAP50 | last epoch's mAP50-95 | minutes |")
    print("|---|---|---|---|---|---|---|---|---|---|")
    table = []
    for folder in folders:
        best = best_row(folder)
        last = list(csv.DictReader((folder / "results.csv").open()))[-1]
        values = [float(best[name]) for name in COLUMNS]
        values += [float(last["val/map50"]), float(last["val/map"])]
        table.append(values)
        cells = " | ".join(f"{value:.4f}" for value in values)
        print(f"| {folder.name} | {best['epoch']} | {cells} | {float(last['seconds']) / 60:.1f} |")
    means = " | ".join(f"{statistics.mean(column):.4f}" for column in zip(*table, strict=True))
    print(f"| mean | | {means} | |")


if __name__ == "__main__":
    main()
