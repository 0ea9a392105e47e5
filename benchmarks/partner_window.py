"""Accuracy with mosaic partners from windows of an epoch's order, compared with partners from all images.

    python benchmarks/partner_window.py --okra OKRA/data.yaml --bccd BCCD --out FOLDER
        [--targets bccd okra] [--windows all 64 16] [--seeds 0 1 2] [--epochs 24] [--imgsz 192]
        [--write docs/performance.md]

YOLOv8n from random weights. The data sets are small (205 and 176 training images), so the windows are, too: with 64, an
image meets a third of the others in an epoch, with 16 only those of its own batch; for a data set that does not fit
into memory, the 1,024 of a window are a smaller part, but far more images. Each run is `lehr train`, and appends a line
of JSON to `FOLDER/runs.jsonl`; a recorded run is not trained again, so the program can be stopped and restarted at any
time. `--write` writes the table of all recorded runs into a document, between its markers.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from lehr.checkpoint.results_csv import RESULTS

try:
    from benchmarks.records import Record, read_records, spread, train_missing, write_between
except ImportError:  # run as a script
    from records import (  # type: ignore[no-redef]
        Record,
        read_records,
        spread,
        train_missing,
        write_between,
    )

MODEL, BATCH = "yolov8n", 16
BEGIN, END = "<!-- partner windows: written by benchmarks/partner_window.py -->\n", "<!-- end of partner windows -->"


def train(target: str, window: str, seed: int, given: argparse.Namespace) -> Record:
    """Train a run, and return its record."""
    project, run = given.out / "runs", f"{target}-{window}-{given.epochs}-{given.imgsz}-{seed}"
    shutil.rmtree(project / run, ignore_errors=True)
    command = [sys.executable, "-m", "lehr", "train", "--data", str(getattr(given, target)), "--model", MODEL]
    command += ["--partner-window", window, "--imgsz", str(given.imgsz), "--epochs", str(given.epochs)]
    command += ["--batch", str(BATCH), "--seed", str(seed), "--workers", "0", "--device", "cpu"]
    command += ["--project", str(project), "--name", run]
    with (given.out / f"{run}.txt").open("w", encoding="utf-8") as log:
        if subprocess.run(command, stdout=log, stderr=subprocess.STDOUT, check=False).returncode:
            raise SystemExit(f"{run} failed; see {log.name}")
    with (project / run / RESULTS).open(encoding="utf-8") as file:
        course = [(float(row["val/map50"]), float(row["val/map"])) for row in csv.DictReader(file)]
    map50, best = max(course, key=lambda pair: pair[1])
    names = {"target": target, "window": window, "seed": seed, "epochs": given.epochs, "imgsz": given.imgsz}
    return {**names, "map50": map50, "map": best, "last": course[-1][1]}


def table_of(records: Sequence[Record]) -> str:
    """Return a Markdown table of the recorded runs."""
    kinds = ("target", "window", "imgsz", "epochs")
    head = ("data", "`--partner-window`", "pixels", "epochs", "seeds", "mAP50", "mAP50-95", "of the last epoch")
    lines = [f"| {' | '.join(head)} |", "|---" * len(head) + "|"]

    def key(record: Record) -> tuple[Any, ...]:
        return tuple(record[kind] for kind in kinds)

    for cell, found in itertools.groupby(sorted(records, key=lambda each: (*map(str, key(each)), each["seed"])), key):
        runs = list(found)
        figures = [spread([run[name] for run in runs]) for name in ("map50", "map", "last")]
        lines.append(f"| {' | '.join((*map(str, cell), str(len(runs)), *figures))} |")
    return "\n".join(lines)


def write_table(document: Path, records: Sequence[Record]) -> None:
    """Write the table into a document, between its markers."""
    write_between(document, BEGIN, END, table_of(records), "partner windows")


def wanted(given: argparse.Namespace) -> Iterator[tuple[Record, partial[Record]]]:
    """Yield what the record of each run contains, and a function that trains the run."""
    for seed, window, target in itertools.product(given.seeds, given.windows, given.targets):
        run = {"target": target, "window": window, "seed": seed, "epochs": given.epochs, "imgsz": given.imgsz}
        yield run, partial(train, target, window, seed, given)


def main() -> None:
    """Train what is not trained yet, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--okra", type=Path, required=True)
    parser.add_argument("--bccd", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and their records")
    parser.add_argument("--targets", nargs="*", default=["bccd", "okra"], choices=["bccd", "okra"])
    parser.add_argument("--windows", nargs="*", default=["all", "64", "16"])
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--imgsz", type=int, default=192)
    parser.add_argument("--write", type=Path, help="document to write the table into")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    records = given.out / "runs.jsonl"
    train_missing(records, wanted(given))
    if given.write:
        write_table(given.write, read_records(records))


if __name__ == "__main__":
    main()
