"""Fine-tuning against training from random weights, and the rates, warmups and layers that suit a trained start.

    python benchmarks/fine_tuning.py --okra OKRA/data.yaml --bccd BCCD --yolov8n W8 --yolov5n W5 --out FOLDER
        [--only REGEX] [--seeds 0 1 2] [--epochs 24] [--imgsz 192] [--write docs/fine-tuning.md] [--through COMMAND]

W8 and W5 are weights trained on BCCD (blood cells). The targets are okra, whose twelve classes the weights have never seen, and BCCD
without its platelets, whose two classes they know. Each run is `lehr train` and appends one line of JSON to
`FOLDER/runs.jsonl`; what is there is not trained again, so the program can be ended and started at any time. `--only`
takes the runs whose name, such as `okra/yolov8n/freeze 10`, it is found in; `--only ^$` trains nothing and writes the tables.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr.data.load import load_dataset
from lehr.search.fitness import DEFAULT, parse_fitness, read_epochs
from lehr.techniques.auto import default_rate

LEFT_OUT = "Platelets"
"""Class of BCCD that the second target lacks."""
SHARE = 4
"""Times as many epochs from random weights as from trained ones."""
BATCH = 16
CLASSES = {"okra": 12, "cells": 2}
LAUNCH = (
    "from lehr.techniques import warmup; warmup.MIN_STEPS = 1; from lehr.cli.app import main; main()"
)
"""`lehr` with warmups as short as they are asked for, and not of 100 steps at least."""
MULTIPLES = (3, 1, 0.3, 0.1, 0.03)
WARMUPS = {"2 epochs": ("--warmup-epochs", "2"), "1 epoch": ("--warmup-epochs", "1"), "none": ("--warmup", "none")}


@dataclass(frozen=True, slots=True)
class Cell:
    """A row of the tables.

    Attributes:
        target: the data, a name of `CLASSES`.
        model: the model, which is also the name of the weights.
        setting: the row's name.
        options: of `lehr train`.
        trained: whether it starts from the weights.
        long: whether it takes all the epochs.
    """

    target: str
    model: str
    setting: str
    options: tuple[str, ...] = ()
    trained: bool = True
    long: bool = False

    @property
    def name(self) -> str:
        """The name that `--only` looks at."""
        return f"{self.target}/{self.model}/{self.setting}"


def cells() -> Iterator[Cell]:
    """All rows of the tables."""
    for target, model in (("okra", "yolov8n"), ("cells", "yolov8n"), ("okra", "yolov5n")):
        yield Cell(target, model, "random weights", trained=False, long=True)
        yield Cell(target, model, "random weights, a quarter", trained=False)
        yield Cell(target, model, "defaults")
        yield Cell(target, model, "defaults, all epochs", long=True)
        yield Cell(target, model, "freeze 10", ("--freeze", "10"))
        for multiple in MULTIPLES:
            rate = ("--lr0", f"{default_rate('AdamW', CLASSES[target]) * multiple:g}")
            for warmup, options in WARMUPS.items():
                yield Cell(target, model, f"AdamW x{multiple:g}, warmup {warmup}", (*rate, *options))
            yield Cell(target, model, f"all epochs, AdamW x{multiple:g}", (*rate, "--warmup-epochs", "1"), long=True)
            backbone = (*rate, "--warmup-epochs", "1", "--backbone-lr-mult", "0.1")
            yield Cell(target, model, f"backbone x0.1, AdamW x{multiple:g}", backbone)
            for bias in ("0.1", "0"):
                sgd = ("--optimizer", "SGD", "--nominal-batch", str(BATCH), "--lr0", f"{0.01 * multiple:g}")
                more = ("--warmup-epochs", "1", "--warmup-bias-lr", bias)
                yield Cell(target, model, f"SGD x{multiple:g}, biases from {bias}", (*sgd, *more))


def without_class(source: str, name: str, folder: Path) -> Path:
    """Write a copy of a data set, in YOLO's layout, without the objects of a class; return its data YAML."""
    dataset = load_dataset(source)
    kept = [each for each in dataset.names if each != name]
    index = {dataset.names.index(each): number for number, each in enumerate(kept)}
    for split in ("train", "val"):
        for kind in ("images", "labels"):
            (folder / kind / split).mkdir(parents=True, exist_ok=True)
        for sample in dataset.splits[split]:
            shutil.copyfile(sample.path, folder / "images" / split / sample.path.name)
            size = (sample.width, sample.height) * 2
            rows = []
            for (x1, y1, x2, y2), label in zip(sample.boxes.tolist(), sample.classes.tolist(), strict=True):
                if label in index:
                    shares = [value / side for value, side in zip(((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1), size, strict=True)]
                    rows.append(f"{index[label]} " + " ".join(f"{share:.6f}" for share in shares) + "\n")
            (folder / "labels" / split / f"{sample.path.stem}.txt").write_text("".join(rows), encoding="utf-8")
    names = "".join(f"  {number}: {each}\n" for number, each in enumerate(kept))
    text = f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}"
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return folder / "data.yaml"


def train(cell: Cell, seed: int, data: Path, given: argparse.Namespace) -> dict[str, Any]:
    """Train a run, and return its record."""
    project, run = given.out / "runs", f"{re.sub('[^a-z0-9.]+', '-', cell.name.lower())}-{seed}"
    shutil.rmtree(project / run, ignore_errors=True)
    epochs = given.epochs if cell.long else given.epochs // SHARE
    command = [*given.through.split(), sys.executable, "-c", LAUNCH, "train", "--data", str(data), "--model", cell.model]
    command += ["--imgsz", str(given.imgsz), "--epochs", str(epochs), "--batch", str(BATCH), "--workers", "0"]
    command += ["--seed", str(seed), "--project", str(project), "--name", run, *cell.options]
    if cell.trained:
        command += ["--weights", str(getattr(given, cell.model))]
    with (given.out / f"{run}.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{run} failed; see {log.name}")
    return {
        "target": cell.target,
        "model": cell.model,
        "setting": cell.setting,
        "seed": seed,
        "epochs": epochs,
        "imgsz": given.imgsz,
        **numbers(project / run / "results.csv"),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def numbers(results: Path) -> dict[str, Any]:
    """The figures of a run: mAP50-95 of the best epoch that was trained, of the last one, and images a second."""
    fitness = parse_fitness(DEFAULT)
    with results.open(encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file)]
    epochs = read_epochs(results)
    pairs = [(row, epoch) for row, epoch in zip(rows, epochs, strict=True) if int(row["epoch"]) > 0]
    best = max(pairs, key=lambda pair: fitness(pair[1].metrics))[0]
    return {
        "map": float(best["val/map"]),
        "map50": float(best["val/map50"]),
        "best_epoch": int(best["epoch"]),
        "last": float(pairs[-1][0]["val/map"]),
        "course": [float(row["val/map"]) for row, _ in pairs],
        "images_per_second": statistics.median(epoch.images_per_second for _, epoch in pairs[1:] or pairs),
    }


def main() -> None:
    """Train what is not trained yet, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("okra", "bccd", "yolov8n", "yolov5n"):
        parser.add_argument(f"--{name}", required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and their records")
    parser.add_argument("--only", default="", help="regular expression that is found in the names of the runs")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=24, help="epochs from random weights")
    parser.add_argument("--imgsz", type=int, default=192)
    parser.add_argument("--through", default="", help="command that each training is run by, such as taskset -c 0")
    parser.add_argument("--list", action="store_true", help="list the runs and train nothing")
    given = parser.parse_args()
    chosen = [cell for cell in cells() if re.search(given.only, cell.name)]
    if given.list:
        print(*(cell.name for cell in chosen), sep="\n")
        return
    records = given.out / "runs.jsonl"
    given.out.mkdir(parents=True, exist_ok=True)
    data = {"okra": Path(given.okra), "cells": given.out / "cells" / "data.yaml"}
    if not data["cells"].exists():
        without_class(given.bccd, LEFT_OUT, data["cells"].parent)
    for seed in given.seeds:
        for cell in chosen:
            lines = records.read_text(encoding="utf-8").splitlines() if records.exists() else []
            done = {(r["target"], r["model"], r["setting"], r["seed"]) for r in map(json.loads, lines)}
            if (cell.target, cell.model, cell.setting, seed) not in done:
                record = train(cell, seed, data[cell.target], given)
                with records.open("a", encoding="utf-8") as file:
                    file.write(json.dumps(record) + "\n")
                print(cell.name, seed, record["map"], record["last"], flush=True)


if __name__ == "__main__":
    main()
