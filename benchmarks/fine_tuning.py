"""Fine-tuning compared with training from random weights; rates, warmups and frozen layers for trained weights.

    python benchmarks/fine_tuning.py --okra OKRA/data.yaml --bccd BCCD --yolov8n W8 --yolov5n W5 --out FOLDER
        [--only REGEX] [--seeds 0 1 2] [--epochs 24] [--imgsz 192] [--write docs/fine-tuning.md]

W8 and W5 are weights trained on BCCD (blood cells). They start a model for okra, whose twelve classes they do not know,
and one for BCCD without its platelets, whose two classes they know. Each run is `lehr train`, for `--epochs` epochs
from random weights and a quarter of them from the trained weights, and appends a line of JSON to `FOLDER/runs.jsonl`. A
recorded run is not trained again, so the program can be stopped and restarted at any time. `--only` selects the runs
whose name, such as `okra/yolov8n/freeze 10`, contains a match; `--list` prints the names; `--only ^$` trains nothing.
`--write` writes the tables of all recorded runs into a document, between the markers of each table.
"""

from __future__ import annotations

import argparse
import csv
import itertools
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from lehr.checkpoint.results_csv import RESULTS
from lehr.data.load import load_dataset
from lehr.search.fitness import DEFAULT, parse_fitness, read_epochs
from lehr.techniques.auto import default_rate

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

LEFT_OUT = "Platelets"
"""Class of BCCD that the second target lacks."""
SHARE = 4
"""Ratio of the epochs from random weights to those from trained weights."""
BATCH = 16
PAIRS = (("okra", "yolov8n"), ("cells", "yolov8n"), ("okra", "yolov5n"), ("cells", "yolov5n"))
"""Data set and model; the model also names the weights."""
CLASSES = {"okra": 12, "cells": 2}
LAUNCH = "from lehr.techniques import warmup; warmup.MIN_STEPS = 1; from lehr.cli.app import main; main()"
"""`lehr` without the minimum warmup of 100 steps."""
MULTIPLES = (10, 6, 3, 1, 0.5, 0.3, 0.1, 0.03)
WARMUPS = {
    "4 epochs": ("--warmup-epochs", "4"),
    "2 epochs": ("--warmup-epochs", "2"),
    "1 epoch": ("--warmup-epochs", "1"),
    "none": ("--warmup", "none"),
}
DEFAULTS = {"okra": (3.0, "2 epochs"), "cells": (0.3, "1 epoch")}
"""Rate and warmup that `lehr train --weights` takes in 3 to 6 epochs; the weights know the classes of cells only."""
OTHERS: dict[str, tuple[Any, ...]] = {
    "rate x10, backbone x1": (10, "1 epoch", "--backbone-lr-mult", "0.1"),
    "rate x3, no mosaic": (3, "2 epochs", "--mosaic", "0"),
    "rate x1, freeze 10": (1, "2 epochs", "--freeze", "10"),
    "rate x1, batch 4": (1, "1 epoch", "--batch", "4"),
    "rate x1, batch 4, no mosaic": (1, "1 epoch", "--batch", "4", "--mosaic", "0"),
    "rate x0.3, batch 4": (0.3, "1 epoch", "--batch", "4"),
}
"""Further settings: multiple of the rate, warmup, options."""
SCRATCH, QUARTER = "random weights", "random weights, a quarter"
TABLES = ("quarter", "rates", "freezing", "others")
"""Tables of the document."""


@dataclass(frozen=True, slots=True)
class Cell:
    """A setting that is trained on a data set, once per seed.

    Attributes:
        target: name of the data set, a key of `CLASSES`.
        model: name of the model, and of the weights.
        setting: its name in the tables.
        table: the table that it belongs to.
        options: options of `lehr train`.
        trained: whether it starts from the weights.
        epochs: divisor of `--epochs`, which gives the epochs of a run.
    """

    target: str
    model: str
    setting: str
    table: str
    options: tuple[str, ...] = ()
    trained: bool = True
    epochs: int = SHARE

    @property
    def name(self) -> str:
        """Name that `--only` is matched with."""
        return f"{self.target}/{self.model}/{self.setting}"

    def key(self, asked: int, imgsz: int) -> Record:
        """Return what the records of its runs have in common, for a given image size and `--epochs`."""
        return {"target": self.target, "model": self.model, "setting": self.setting, "asked": asked, "imgsz": imgsz}


def rate(target: str, multiple: float, warmup: str) -> tuple[str, ...]:
    """Return the options of a warmup and a learning rate, given as a multiple of that of a random start."""
    return ("--lr0", f"{default_rate('AdamW', CLASSES[target]) * multiple:g}", *WARMUPS[warmup])


def default(target: str) -> str:
    """Return the name of the setting that `lehr train --weights` takes for a data set in a run this short."""
    multiple, warmup = DEFAULTS[target]
    return f"rate x{multiple:g}, warmup {warmup}"


def cells() -> Iterator[Cell]:
    """Yield all settings."""
    for target, model in PAIRS:
        usual = rate(target, *DEFAULTS[target])
        yield Cell(target, model, SCRATCH, "quarter", trained=False, epochs=1)
        yield Cell(target, model, QUARTER, "quarter", trained=False)
        for multiple in MULTIPLES:
            for warmup in WARMUPS:
                setting = f"rate x{multiple:g}, warmup {warmup}"
                yield Cell(target, model, setting, "rates", rate(target, multiple, warmup))
        yield Cell(target, model, "freeze 10", "freezing", (*usual, "--freeze", "10"))
        for setting, (multiple, warmup, *options) in OTHERS.items():
            yield Cell(target, model, setting, "others", (*rate(target, multiple, warmup), *options))


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
                    place = ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1)
                    shares = [value / side for value, side in zip(place, size, strict=True)]
                    rows.append(f"{index[label]} " + " ".join(f"{share:.6f}" for share in shares) + "\n")
            (folder / "labels" / split / f"{sample.path.stem}.txt").write_text("".join(rows), encoding="utf-8")
    names = "".join(f"  {number}: {each}\n" for number, each in enumerate(kept))
    text = f"path: {folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}"
    (folder / "data.yaml").write_text(text, encoding="utf-8")
    return folder / "data.yaml"


def train(cell: Cell, seed: int, data: Path, given: argparse.Namespace) -> Record:
    """Train a run, and return its record."""
    project, run = given.out / "runs", f"{re.sub('[^a-z0-9.]+', '-', cell.name.lower())}-{given.epochs}-{seed}"
    shutil.rmtree(project / run, ignore_errors=True)
    command = [sys.executable, "-c", LAUNCH, "train", "--data", str(data), "--model", cell.model]
    command += ["--imgsz", str(given.imgsz), "--epochs", str(given.epochs // cell.epochs), "--workers", "0"]
    command += ["--seed", str(seed), "--project", str(project), "--name", run, *cell.options]
    command += [] if "--batch" in cell.options else ["--batch", str(BATCH)]
    command += ["--weights", str(getattr(given, cell.model))] if cell.trained else []
    with (given.out / f"{run}.txt").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{run} failed; see {log.name}")
    return {
        **cell.key(given.epochs, given.imgsz),
        "seed": seed,
        **numbers(project / run / RESULTS),
        "peak_mib": round(usage.ru_maxrss / 1024),
    }


def numbers(results: Path) -> Record:
    """Return the figures of a run: its best epoch, its last one, the course of all, and images per second."""
    fitness, epochs = parse_fitness(DEFAULT), read_epochs(results)
    with results.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    start = [float(row["val/map"]) for row in rows if int(row["epoch"]) == 0]
    trained = list(zip([row for row in rows if int(row["epoch"]) > 0], epochs, strict=True))
    best = max(trained, key=lambda pair: fitness(pair[1].metrics))[0]
    course = [float(row["val/map"]) for row, _ in trained]
    return {
        "epochs": len(course),
        "map": float(best["val/map"]),
        "best_epoch": int(best["epoch"]),
        "last": course[-1],
        "course": course,
        "images_per_second": statistics.median(epoch.images_per_second for _, epoch in trained[1:] or trained),
        **({"start": start[0]} if start else {}),
    }


def of_setting(records: Sequence[Record], cell: Cell, asked: int, imgsz: int) -> list[Record]:
    """Return the recorded runs of a setting for a given image size and `--epochs`, sorted by seed."""
    found = [each for each in records if cell.key(asked, imgsz).items() <= each.items()]
    return sorted(found, key=lambda each: int(each["seed"]))


def table_of(name: str, records: Sequence[Record]) -> str:
    """Return a Markdown table of the recorded runs."""
    head = ("data", "start", "setting", "pixels", "epochs", "seeds", "the start's mAP50-95", "best epoch", "last epoch")
    lines = [f"| {' | '.join((*head, 'peak memory, MiB'))} |", "|---" * (len(head) + 1) + "|"]
    sizes = sorted({(int(each["imgsz"]), -int(each["asked"])) for each in records})
    for cell, (imgsz, asked) in itertools.product(cells(), sizes):
        runs = of_setting(records, cell, -asked, imgsz)
        usual = cell.table == "rates" and cell.setting == default(cell.target)
        if runs and (cell.table == name or (usual and name != "rates")):
            setting = f"{cell.setting} (default)" if usual else cell.setting
            start = f"{cell.model}-bccd" if cell.trained else f"random {cell.model}"
            peaks = [each["peak_mib"] for each in runs if each.get("peak_mib")]
            starts = [each["start"] for each in runs if "start" in each]
            before = f"{starts[0]:.3f}" if starts else ""
            figures = [before, spread([each["map"] for each in runs]), spread([each["last"] for each in runs])]
            memory = f"{statistics.mean(peaks):,.0f}" if peaks else ""
            counts = (str(imgsz), str(runs[0]["epochs"]), str(len(runs)))
            row = (cell.target, start, setting, *counts, *figures, memory)
            lines.append(f"| {' | '.join(row)} |")
    return "\n".join(lines)


def write_tables(document: Path, records: Sequence[Record]) -> None:
    """Write the tables into a document, each between its markers."""
    for name in TABLES:
        begin, end = f"<!-- {name}: written by benchmarks/fine_tuning.py -->\n", f"<!-- end of {name} -->"
        write_between(document, begin, end, table_of(name, records), name)


def arguments() -> argparse.Namespace:
    """Parse the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("okra", "bccd", "yolov8n", "yolov5n"):
        parser.add_argument(f"--{name}", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True, help="folder of the runs and their records")
    parser.add_argument("--only", default="", help="regular expression to search for in the names of the runs")
    parser.add_argument("--seeds", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--epochs", type=int, default=24, help="epochs from random weights")
    parser.add_argument("--imgsz", type=int, default=192)
    parser.add_argument("--list", action="store_true", help="list the runs and train nothing")
    parser.add_argument("--write", type=Path, help="document to write the tables into")
    return parser.parse_args()


def main() -> None:
    """Train what is not trained yet, and write the tables."""
    given = arguments()
    chosen = [cell for cell in cells() if re.search(given.only, cell.name)]
    if given.list:
        print(*(cell.name for cell in chosen), sep="\n")
        return
    records = given.out / "runs.jsonl"
    given.out.mkdir(parents=True, exist_ok=True)
    data = {"okra": given.okra, "cells": given.out / "cells" / "data.yaml"}
    if chosen and not data["cells"].exists():
        without_class(str(given.bccd), LEFT_OUT, data["cells"].parent)
    runs = itertools.product(given.seeds, chosen)
    train_missing(
        records,
        (
            (cell.key(given.epochs, given.imgsz) | {"seed": seed}, partial(train, cell, seed, data[cell.target], given))
            for seed, cell in runs
        ),
    )
    if given.write:
        write_tables(given.write, read_records(records))


if __name__ == "__main__":
    main()
