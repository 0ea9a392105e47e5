"""Memory, open files, threads and shared memory of a long training, over all its processes and epochs.

    python benchmarks/soak.py [--epochs 200] [--images 64] [--workers 2] [--plot FILE.svg] [--csv FILE.csv] [-- OPTIONS]

Trains a small model on a small generated data set, with loading processes, validation and checkpoints, and samples the
run's processes twice per second. What is flat stays flat for any number of epochs. The rule: a line fitted to the last
three quarters of the run rises by less than 2% of the mean, or by less than one MiB, file, thread or process.

Shared pages are counted once (the sum of PSS); pages of torch's libraries are also shared with other processes on the
machine that use them. Shared memory is the part that belongs to no file. Options after `--` are passed to `lehr train`.
"""

from __future__ import annotations

import argparse
import csv
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path

import numpy as np

PERIOD = 0.5
"""Seconds between two samples."""
SETTLED = 0.25
"""Share of the run that is not judged: caches fill, and processes start."""
RISE = 0.02
"""Share of the mean by which a quantity may rise."""
SMALLEST = {"memory_mib": 1.0, "largest_mib": 1.0, "shared_mib": 1.0, "files": 1.0, "threads": 1.0, "processes": 1.0}
"""Rise that each quantity is allowed in any case."""
NAMES = {
    "memory_mib": "memory of all processes, MiB",
    "largest_mib": "memory of the largest process (RSS), MiB",
    "shared_mib": "shared memory, MiB",
    "files": "open files",
    "threads": "threads",
    "processes": "processes",
}


@dataclass(frozen=True, slots=True)
class Look:
    """A sample of a run's processes.

    Attributes:
        epoch: epochs done.
        memory_mib: memory of all, shared pages counted once.
        largest_mib: RSS of the largest.
        shared_mib: shared memory of all, counted once.
        files: open files of all.
        threads: threads of all.
        processes: number of processes.
    """

    epoch: float
    memory_mib: float
    largest_mib: float
    shared_mib: float
    files: float
    threads: float
    processes: float


def tree(pid: int) -> list[int]:
    """Ids of a process and its descendants."""
    found, parents = [pid], {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                line = Path(f"/proc/{name}/stat").read_text(encoding="utf-8", errors="replace")
                parents.setdefault(int(line.rpartition(")")[2].split()[1]), []).append(int(name))
            except OSError:
                continue
    for each in found:
        found += parents.get(each, [])
    return found


def look(pids: Sequence[int], epoch: float) -> Look | None:
    """Sample processes; return None if one has ended meanwhile."""
    memory = shared = files = threads = 0
    largest = 0
    try:
        for pid in pids:
            folder = Path(f"/proc/{pid}")
            sizes: dict[str, int] = {}
            for line in (folder / "smaps_rollup").read_text(encoding="ascii").splitlines()[1:]:
                key, value, *_ = line.split()
                sizes[key] = int(value)
            memory += sizes["Pss:"]
            shared += sizes.get("Pss_Shmem:", 0)
            largest = max(largest, sizes["Rss:"])
            files += len(os.listdir(folder / "fd"))  # noqa: PTH208
            threads += len(os.listdir(folder / "task"))  # noqa: PTH208
    except (OSError, ValueError):
        return None
    return Look(epoch, memory / 1024, largest / 1024, shared / 1024, files, threads, len(pids))


def judged(looks: Sequence[Look]) -> dict[str, tuple[float, float, bool]]:
    """Judge each quantity by the last three quarters of a run.

    Args:
        looks: samples, in order.

    Returns:
        By quantity: its mean, the rise of the fitted line over these three quarters, and whether that is flat.
    """
    last = looks[int(SETTLED * len(looks)) :]
    epochs = np.array([each.epoch for each in last])
    verdicts = {}
    for name, smallest in SMALLEST.items():
        values = np.array([getattr(each, name) for each in last], dtype=float)
        slope = float(np.polyfit(epochs, values, 1)[0]) if np.ptp(epochs) > 0 else 0.0
        mean, rise = float(values.mean()), slope * float(np.ptp(epochs))
        verdicts[name] = mean, rise, rise < max(smallest, RISE * mean)
    return verdicts


def watched(command: Sequence[str], run: Path, epochs: int, left: set[str]) -> list[Look]:
    """Run a training and sample its processes, from the end of its first epoch to that of its last.

    Args:
        command: command that starts it.
        run: its folder.
        epochs: number of its epochs.
        left: receives the names of files that it leaves in /dev/shm.
    """
    before = set(os.listdir("/dev/shm"))  # noqa: PTH208
    looks: list[Look] = []
    own = set()
    with (run.parent / "log").open("w+", encoding="utf-8") as log:
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        results = run / "results.csv"
        while process.poll() is None:
            rows = results.read_text(encoding="utf-8").count("\n") - 1 if results.exists() else 0
            if 0 < rows < epochs and (now := look(pids := tree(process.pid), rows)) is not None:
                looks.append(now)
                own |= {str(pid) for pid in pids}
            time.sleep(PERIOD)
        if process.returncode != 0:
            log.seek(0)
            sys.exit(f"The training failed:\n{log.read()[-2000:]}")
    after = set(os.listdir("/dev/shm")) - before  # noqa: PTH208
    left |= {name for name in after if any(pid in name for pid in own)}
    return looks


def draw(looks: Sequence[Look], verdicts: Mapping[str, tuple[float, float, bool]], path: Path) -> None:
    """Draw each quantity over the epochs."""
    from lehr.plots.figure import new_figure, save_figure, set_title, styled
    from lehr.plots.style import COLOURS, GREY, QUIET, SMALL, THIN

    epochs = [each.epoch for each in looks]
    with styled():
        figure, axes = new_figure(2, 3, width=9.0, height=2.5)
        for index, (axis, (name, title)) in enumerate(zip(axes, NAMES.items(), strict=True)):
            values = [getattr(each, name) for each in looks]
            axis.plot(epochs, values, color=COLOURS[index], linewidth=THIN)
            axis.set(ylim=(0, 1.15 * max(values)), xlabel="epoch")
            set_title(axis, title)
            axis.axvspan(epochs[0], epochs[int(SETTLED * len(epochs))], color=GREY, alpha=0.15, linewidth=0)
            slope = f"{verdicts[name][1]:+.1f}"
            axis.annotate(slope, (0.98, 0.05), xycoords="axes fraction", ha="right", fontsize=SMALL, color=QUIET)
        save_figure(figure, path)


def main() -> None:
    """Print the table; exit with 1 if something grows."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=200)
    parser.add_argument("--images", type=int, default=64, help="images per epoch, and half as many to validate on")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--plot", type=Path, help="file for the plot, e.g. docs/soak.svg")
    parser.add_argument("--csv", type=Path, help="file for all samples")
    ours, _, more = "\0".join(sys.argv[1:]).partition("\0--\0")
    given = parser.parse_args(ours.split("\0") if ours else [])
    from lehr.data.formats.shapes import write_shapes

    with tempfile.TemporaryDirectory() as name:
        folder, left = Path(name), set[str]()
        write_shapes(folder / "data", {"train": given.images, "val": max(1, given.images // 2)})
        options = ["--data", folder / "data" / "data.yaml", "--model", "yolov8n", "--width", 0.125, "--imgsz", 64]
        options += ["--batch", 16, "--epochs", given.epochs, "--patience", 0, "--workers", given.workers]
        options += ["--device", "cpu", "--project", folder, "--name", "run", *(more.split("\0") if more else [])]
        started = time.monotonic()
        looks = watched([sys.executable, "-m", "lehr", "train", *map(str, options)], folder / "run", given.epochs, left)
        seconds = time.monotonic() - started
    if len(looks) < 8:
        sys.exit("The run was too short to judge: ask for more --epochs.")
    verdicts = judged(looks)
    print(f"{given.epochs} epochs, {given.workers} loading processes, {len(looks)} samples in {seconds:.0f} s")
    print(f"{'':<42}{'mean':>9}{'rise':>9}")
    for name, (mean, rise, flat) in verdicts.items():
        print(f"{NAMES[name]:<42}{mean:>9.1f}{rise:>+9.2f}  {'flat' if flat else 'GROWS'}")
    print(f"{'files left in /dev/shm':<42}{len(left):>9}")
    if given.csv:
        with given.csv.open("w", newline="", encoding="utf-8") as file:
            rows = csv.writer(file)
            rows.writerow(field.name for field in fields(Look))
            rows.writerows([round(value, 3) for value in astuple(each)] for each in looks)
    if given.plot:
        draw(looks, verdicts, given.plot)
    sys.exit(0 if all(flat for *_, flat in verdicts.values()) and not left else 1)


if __name__ == "__main__":
    main()
