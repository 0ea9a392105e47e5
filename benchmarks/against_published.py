"""Images per second of training, Lehr next to the published trainers of YOLOv8 and YOLOv5, in alternating turns.

The published trainer runs as a black box in a separate environment that has it installed:

    python benchmarks/against_published.py --python OTHER_ENV/bin/python --data DATA [--model yolov5n] [--pairs 3]
                                           [--imgsz 320] [--batch 16] [--device cpu] [--threads N] [-- OPTIONS]

Both train from scratch, by default at 320 pixels with batch 16: YOLOv8 with the defaults of each trainer, YOLOv5 with
the published recipe (SGD, little augmentation). On a CPU, the published trainer of YOLOv8 uses a single thread; here it
gets one per core at the start of each epoch, unless `--threads` says otherwise. Options after `--` are passed to
`lehr train`, e.g. `--compile default`. Neither validation nor the first epoch of a turn is counted. The relevant result
is the ratio within a pair, since a machine's speed changes by the hour.
"""

from __future__ import annotations

import argparse
import csv
import re
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from lehr.runtime.device import available_cores

PUBLISHED = """
import sys, time
import torch
from ultralytics import YOLO
rates, threads, start = [], [], [0.0]
def begin(trainer):
    if sys.argv[8] != "0":
        torch.set_num_threads(int(sys.argv[8]))
    start[0] = time.perf_counter()
def end(trainer):
    rates.append(len(trainer.train_loader.dataset) / (time.perf_counter() - start[0]))
    threads.append(torch.get_num_threads())
model = YOLO(sys.argv[7] + ".yaml")
model.add_callback("on_train_epoch_start", begin)
model.add_callback("on_train_epoch_end", end)
model.train(data=sys.argv[1], imgsz=int(sys.argv[4]), batch=int(sys.argv[5]), epochs=int(sys.argv[2]), close_mosaic=0,
            val=False, plots=False, project=sys.argv[3], device=sys.argv[6], verbose=False)
print("THREADS", min(threads))
print("RATES", *rates)
"""


@dataclass(frozen=True, slots=True)
class Case:
    """A training that both trainers run.

    Attributes:
        model: name of the model.
        data: the data YAML.
        imgsz: side of the images, pixels.
        batch: images per step.
        epochs: epochs per turn.
        device: cpu, or the number of a CUDA device.
        threads: threads of the published trainer of YOLOv8 on a CPU; 0 keeps its own choice.
        options: further options of `lehr train`.
    """

    model: str
    data: Path
    imgsz: int
    batch: int
    epochs: int
    device: str
    threads: int
    options: tuple[str, ...]


def published_v5(python: str, case: Case, folder: Path) -> float:
    """Images per second of the published YOLOv5 trainer, from the seconds per batch at the end of its progress bars."""
    command = [str(Path(python).with_name("yolov5")), "train", "--data", str(case.data), "--weights", ""]
    command += ["--img", str(case.imgsz), "--cfg", f"{case.model}.yaml", "--batch", str(case.batch)]
    command += ["--epochs", str(case.epochs), "--device", case.device]
    command += ["--project", str(folder / "published"), "--name", "run", "--exist_ok"]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    bars = re.findall(r"(\d+)/(\d+) \[[\d:]+<[\d:]+, +([\d.]+)(s/it|it/s)\]\s*\n\s*Class", done.stdout + done.stderr)
    each = case.batch
    rates = [each / float(number) if unit == "s/it" else each * float(number) for _, _, number, unit in bars]
    if len(rates) < 2:
        sys.exit(f"The published trainer failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return statistics.median(rates[1:])


def published(python: str, case: Case, folder: Path) -> float:
    """Images per second of the published YOLOv8 trainer: the median of all epochs except the first."""
    command = [python, "-c", PUBLISHED, str(case.data), str(case.epochs), str(folder)]
    command += [str(case.imgsz), str(case.batch), case.device, case.model, str(case.threads)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    lines = [line for line in done.stdout.splitlines() if line.startswith("RATES")]
    if not lines:
        sys.exit(f"The published trainer failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    if case.threads and f"THREADS {case.threads}" not in done.stdout.splitlines():
        print(f"The published trainer did not keep {case.threads} threads in all epochs.", file=sys.stderr)
    return statistics.median(float(word) for word in lines[0].split()[2:])


def lehr(case: Case, folder: Path, name: str) -> float:
    """Images per second of Lehr: the median of all epochs except the first."""
    options = ["--model", case.model, *(["--hyp", "low"] if case.model.startswith("yolov5") else [])]
    options += ["--data", case.data, "--imgsz", case.imgsz, "--batch", case.batch, "--epochs", case.epochs]
    options += ["--close-mosaic", 0, "--project", folder, "--name", name, "--device", case.device, *case.options]
    command = [sys.executable, "-m", "lehr", "train", *map(str, options)]
    subprocess.run(command, capture_output=True, check=True)
    rows = list(csv.DictReader((folder / name / "results.csv").open()))
    return statistics.median(float(row["images_per_second"]) for row in rows[1:])


def main() -> None:
    """Print a line per pair, and the median ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="Python of an environment with the published trainer")
    parser.add_argument("--data", required=True, help="data set, as for `lehr train --data`")
    parser.add_argument("--model", default="yolov8n", help="a YOLOv8 or YOLOv5, e.g. yolov5n")
    parser.add_argument("--pairs", type=int, default=3, help="turns of each trainer")
    parser.add_argument("--epochs", type=int, default=3, help="epochs per turn")
    parser.add_argument("--imgsz", type=int, default=320)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--device", default="cpu", help="cpu, or the number of a CUDA device")
    parser.add_argument(
        "--threads",
        type=int,
        help="threads of the published trainer of YOLOv8 on a CPU (default: one per core; 0: its own choice)",
    )
    ours, _, more = " ".join(sys.argv[1:]).partition(" -- ")
    given = parser.parse_args(ours.split())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        convert = ["data", "convert", given.data, "--to", "yolo", "--out", str(folder / "data")]
        subprocess.run([sys.executable, "-m", "lehr", *convert], check=True, capture_output=True)
        data = folder / "data" / "data.yaml"
        data.write_text(f"path: {data.parent}\n" + data.read_text())
        threads = available_cores() if given.threads is None else given.threads
        threads = threads if given.device == "cpu" else 0
        sizes = (given.imgsz, given.batch, given.epochs)
        case = Case(given.model, data, *sizes, given.device, threads, tuple(more.split()))
        print(f"{'pair':>4} {'published':>10} {'lehr':>10} {'ratio':>6}   images/s")
        ratios = []
        for pair in range(given.pairs):
            other = published_v5 if given.model.startswith("yolov5") else published
            theirs, own = other(given.python, case, folder), lehr(case, folder, f"pair-{pair}")
            ratios.append(own / theirs)
            print(f"{pair + 1:>4} {theirs:>10.2f} {own:>10.2f} {ratios[-1]:>6.2f}", flush=True)
        print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
