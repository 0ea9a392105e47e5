"""Images per second on 1, 2, ... N devices, next to the predictions of a model of the step, which goes up to 1,024.

    python benchmarks/scaling.py --device 0,1,2,3 --imgsz 640 --batch 128 [--model yolov8n] [--data shapes] [--weak]
    python benchmarks/scaling.py --device cpu --processes 1,2 --threads-per-process 1
    python benchmarks/scaling.py --device 0,1,2,3 --compare-dp
    python benchmarks/scaling.py --typical

Each number of processes is a separate run of `lehr train`; the runs alternate, since a machine's speed changes by the
hour, and medians count. All have the same batch; with `--weak`, each process has `--batch` images. Options after `--`
are passed to `lehr train`.

The model (`benchmarks.scaling_model`) is given the measurements of one process with two batch sizes, and of an
all-reduce of several sizes between all processes; of the runs that it is compared with, it knows only the first.

On a CPU, one process would use every core, so that two could not be faster. With `--threads-per-process 1`, each run
has as many cores as processes: one process on one core is compared with two on two.

`--compare-dp` runs all devices with `--parallel ddp` and `--parallel dp` in alternation. `--typical` measures nothing:
it prints the tables of docs/scaling.md.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from scaling_model import BUCKET_BYTES, Machine, Prediction, Work, predict, strong_scaling, weak_scaling

SIZES = (64 * 2**10, 2**20, 16 * 2**20, 64 * 2**20)
"""Bytes of the measured all-reduces."""
REPEATS = 15
POWERS = tuple(2**power for power in range(11))
"""Numbers of devices in the predicted tables."""

INFINIBAND = Machine(8, inside=360e9, across=360e9, inside_latency=2e-6, across_latency=8e-6)
ETHERNET = Machine(8, inside=360e9, across=10e9, inside_latency=2e-6, across_latency=20e-6)
PCIE = Machine(4, inside=20e9, across=1e9, inside_latency=5e-6, across_latency=50e-6)
TYPICAL_MACHINES = {"NVLink, InfiniBand": INFINIBAND, "NVLink, 100 Gb/s": ETHERNET, "PCIe, 10 Gb/s": PCIE}
TYPICAL_WORK = {
    "YOLOv8n": (Work(base=0.015, each=0.0008, gradient_bytes=4 * 3_157_184, spread=0.02), 32),
    "YOLOv8x": (Work(base=0.030, each=0.0045, gradient_bytes=4 * 68_229_632, spread=0.02), 16),
}
"""A step at 640 pixels, and images per device."""


@dataclass(frozen=True, slots=True)
class Case:
    """A training to be measured.

    Attributes:
        devices: numbers of the CUDA devices; empty on a CPU.
        model: name of the model.
        data: data set, as for `lehr train --data`.
        imgsz: side of the images, pixels; None for the default of the data.
        epochs: epochs per run; the first does not count.
        threads: cores per process, which it is limited to; None if each run may use all.
        options: further options of `lehr train`.
    """

    devices: tuple[str, ...]
    model: str
    data: str
    imgsz: int | None
    epochs: int
    threads: int | None
    options: tuple[str, ...]

    def command(self, count: int, batch: int, folder: Path, parallel: str) -> list[str]:
        """Return the command of a run with some processes, without its data."""
        command = [sys.executable, "-m", "lehr", "train", "--model", self.model, "--epochs", str(self.epochs)]
        command += [
            "--close-mosaic",
            "0",
            "--batch",
            str(batch),
            "--project",
            str(folder.parent),
            "--name",
            folder.name,
        ]
        command += ["--imgsz", str(self.imgsz)] if self.imgsz else []
        if self.devices:
            command += ["--device", ",".join(self.devices[:count])]
        else:
            command += ["--device", "cpu", *(["--processes", str(count)] if count > 1 else [])]
        command += ["--parallel", parallel] if parallel != "ddp" else []
        return [*self.pinned(count), *command, *self.options]

    def pinned(self, count: int) -> list[str]:
        """Return the prefix that limits a command to the cores of some processes."""
        if self.threads is None:
            return []
        cores = sorted(os.sched_getaffinity(0))
        if len(cores) < count * self.threads:
            sys.exit(f"{count} processes of {self.threads} cores each need more than the {len(cores)} cores here.")
        return ["taskset", "-c", ",".join(map(str, cores[: count * self.threads]))]

    def environment(self) -> dict[str, str]:
        """Return the environment of a command: as many threads per process as it has cores."""
        return {**os.environ, **({"OMP_NUM_THREADS": str(self.threads)} if self.threads else {})}


@dataclass(frozen=True, slots=True)
class Run:
    """Measurements of a run.

    Attributes:
        rate: images/s of all processes, the median of its epochs except the first.
        gradient_bytes: 4 per trained parameter of the model.
    """

    rate: float
    gradient_bytes: int


def train(case: Case, data: str, count: int, batch: int, folder: Path, parallel: str = "ddp") -> Run:
    """Run `lehr train` with some processes."""
    command = [*case.command(count, batch, folder, parallel), "--data", data]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=case.environment())
    if done.returncode:
        sys.exit(f"{' '.join(command)}\nended with {done.returncode}:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    rows = list(csv.DictReader((folder / "results.csv").open()))
    rate = statistics.median(float(row["images_per_second"]) for row in rows[1:])
    return Run(rate, 4 * parameters(folder / "last.safetensors"))


def parameters(weights: Path) -> int:
    """Number of trained parameters in a file of weights, without BatchNorm's running statistics."""
    with weights.open("rb") as file:
        header = json.loads(file.read(int.from_bytes(file.read(8), "little")))
    counted = 0
    for name, tensor in header.items():
        if name != "__metadata__" and not name.endswith(("running_mean", "running_var", "num_batches_tracked")):
            begin, end = tensor["data_offsets"]
            counted += (end - begin) // {"F64": 8, "F32": 4}.get(tensor["dtype"], 2)
    return counted


def take_turns(
    case: Case, runs: Sequence[tuple[int, int, str]], turns: int, folder: Path
) -> dict[tuple[int, int, str], list[Run]]:
    """Run each of several trainings once per turn.

    Args:
        case: the training.
        runs: processes, images per step, and kind of parallelism of each.
        turns: number of turns.
        folder: parent of all run folders.
    """
    measured: dict[tuple[int, int, str], list[Run]] = {run: [] for run in runs}
    for turn in range(turns):
        for count, batch, parallel in measured:
            name = folder / f"turn-{turn}-{parallel}-{count}-{batch}"
            measured[count, batch, parallel].append(train(case, case.data, count, batch, name, parallel))
            rate = measured[count, batch, parallel][-1].rate
            print(f"turn {turn + 1}: {count} x {batch // count} images, {parallel}: {rate:.2f} images/s", flush=True)
    return measured


def step_sync(devices: Sequence[str], sizes: Sequence[int], repeats: int) -> None:
    """Run all-reduces of some sizes in each of some processes; the first prints the median seconds of each as JSON."""
    import torch
    import torch.distributed as dist

    device = torch.device("cuda", int(devices[int(os.environ["LOCAL_RANK"])])) if devices else torch.device("cpu")
    if devices:
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if devices else "gloo", device_id=device if devices else None)
    seconds = {}
    for size in sizes:
        tensor, taken = torch.zeros(size // 4, device=device), []
        for repeat in range(repeats + 3):
            dist.barrier()
            if devices:
                torch.cuda.synchronize(device)
            started = time.perf_counter()
            dist.all_reduce(tensor)
            if devices:
                torch.cuda.synchronize(device)
            if repeat >= 3:
                taken.append(time.perf_counter() - started)
        seconds[size] = statistics.median(taken)
    if dist.get_rank() == 0:
        print(json.dumps(seconds), flush=True)
    dist.destroy_process_group()


def measure_exchange(
    case: Case, count: int, sizes: Sequence[int] = SIZES, repeats: int = REPEATS
) -> list[tuple[int, float]]:
    """Measure bytes and seconds of all-reduces between some processes on this machine."""
    command = [*case.pinned(count), sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", str(count), str(Path(__file__).resolve()), "--exchange", ",".join(case.devices)]
    command += ["--sizes", ",".join(map(str, sizes)), "--repeats", str(repeats)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=case.environment())
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        sys.exit(f"The all-reduce failed:\n{done.stdout[-2000:]}\n{done.stderr[-2000:]}")
    return [(int(size), seconds) for size, seconds in json.loads(lines[-1]).items()]


def line(points: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Fit a line to some points with the least relative errors; return its start and slope, neither below 0.

    Args:
        points: at least two, with y above 0.
    """
    weighted = [(1 / y**2, x, y) for x, y in points]
    ones, xs, ys = (sum(column) for column in zip(*((w, w * x, w * y) for w, x, y in weighted), strict=True))
    squares, products = (sum(column) for column in zip(*((w * x * x, w * x * y) for w, x, y in weighted), strict=True))
    slope = (ones * products - xs * ys) / (ones * squares - xs * xs)
    start = (ys - slope * xs) / ones
    if start < 0:
        return 0.0, products / squares
    return (start, slope) if slope >= 0 else (ys / ones, 0.0)


def network(points: Sequence[tuple[int, float]], count: int) -> tuple[float, float]:
    """Return the bandwidth in bytes/s and the seconds per message of a ring of some devices, from its all-reduces."""
    start, slope = line(points)
    return 2 * (count - 1) / count / max(slope, 1e-15), start / (2 * (count - 1))


def predicted_table(title: str, predictions: Sequence[Prediction]) -> None:
    """Print the predictions of the model for increasing numbers of devices."""
    print(f"\n{title}\n\n| devices | batch | ms per step | waiting for gradients | images/s | efficiency | limit |")
    print("|---:|---:|---:|---:|---:|---:|---|")
    for one in predictions:
        print(
            f"| {one.devices:,} | {one.batch:,} | {one.seconds * 1e3:,.1f} | {one.reducing * 1e3:,.1f} | "
            f"{one.images_per_second:,.0f} | {one.efficiency:.1%} | {one.limit} |"
        )


def typical() -> None:
    """Print the predicted tables of the documentation, of which nothing is measured."""
    print("The same number of images on each device, efficiency:\n")
    names = [f"{model}, {machine}" for model in TYPICAL_WORK for machine in TYPICAL_MACHINES]
    print(f"| devices | {' | '.join(names)} |\n|---:|{'---:|' * len(names)}")
    columns = [
        weak_scaling(work, machine, images, POWERS)
        for work, images in TYPICAL_WORK.values()
        for machine in TYPICAL_MACHINES.values()
    ]
    for row in zip(*columns, strict=True):
        print(f"| {row[0].devices:,} | {' | '.join(f'{one.efficiency:.1%}' for one in row)} |")
    work, images = TYPICAL_WORK["YOLOv8n"]
    title = f"YOLOv8n, {images} images per device, NVLink, InfiniBand:"
    predicted_table(title, weak_scaling(work, INFINIBAND, images, POWERS))
    work, _ = TYPICAL_WORK["YOLOv8x"]
    predicted_table("YOLOv8x, a batch of 1,024, NVLink, InfiniBand:", strong_scaling(work, INFINIBAND, 1024, POWERS))


def compare(case: Case, batch: int, turns: int, folder: Path) -> None:
    """Print images per second of one process per device, and of one process for all of them."""
    count = len(case.devices)
    runs = take_turns(case, [(count, batch, "ddp"), (count, batch, "dp")], turns, folder)
    ddp, dp = (statistics.median(run.rate for run in each) for each in runs.values())
    print(f"\n{case.model} on {case.data}, batch {batch}, {count} devices, medians of {turns} turns\n")
    print(f"| | images/s |\n|---|---:|\n| `--parallel ddp` | {ddp:.1f} |\n| `--parallel dp` | {dp:.1f} |")
    print(f"| ratio | {ddp / dp:.2f} |")


def measured_machine(case: Case, count: int, given: argparse.Namespace) -> Machine:
    """Measure this machine by all-reduces between some processes, and print them."""
    points = measure_exchange(case, count)
    inside, latency = network(points, count)
    print(f"\nAll-reduce between {count} processes, {'nccl' if case.devices else 'gloo'}\n")
    print("| bytes | ms | bus bandwidth, GB/s |\n|---:|---:|---:|")
    for size, seconds in points:
        print(f"| {size:,} | {seconds * 1e3:.2f} | {2 * (count - 1) / count * size / seconds / 1e9:.2f} |")
    print(f"\nA message takes {latency * 1e6:.0f} us, then {inside / 1e9:.2f} GB/s.")
    devices = given.machine_devices or count
    return Machine(devices, inside, given.network * 1e9, latency, given.network_latency * 1e-6, given.input_rate)


def measure(case: Case, counts: Sequence[int], given: argparse.Namespace, folder: Path) -> None:
    """Measure the runs; print them next to the model's predictions, then predictions for up to 1,024 devices."""
    batches = {count: given.batch * count if given.weak else given.batch for count in counts}
    most = max(counts)
    smaller = given.batch // (2 if given.weak else max(most, 2))
    plans = [*((count, batch, "ddp") for count, batch in batches.items()), (1, smaller, "ddp")]
    runs = take_turns(case, plans, given.turns, folder)
    rates = {(count, batch): statistics.median(run.rate for run in each) for (count, batch, _), each in runs.items()}
    base, each = line([(batch, batch / rates[1, batch]) for batch in (smaller, given.batch)])
    gradient_bytes = runs[plans[0]][0].gradient_bytes
    overlap = given.overlap if given.overlap is not None else 0.6 if case.devices else 0.0
    work = Work(base, each, gradient_bytes, overlap, spread=given.spread)
    alone = Machine(1, 1.0, 1.0, 0.0, 0.0, given.input_rate)
    machine = measured_machine(case, most, given) if most > 1 else alone
    print(
        f"One device takes {base * 1e3:.1f} ms and {each * 1e3:.2f} ms per image; {gradient_bytes / 1e6:.1f} MB of "
        f"gradients in {-(-gradient_bytes // BUCKET_BYTES)} buckets, overlap {overlap:g}, spread {given.spread:g}."
    )
    where = f"devices {','.join(case.devices)}" if case.devices else f"a CPU, {case.threads or 'all'} cores per process"
    size = f"{given.batch} per process" if given.weak else f"{given.batch} in total"
    print(f"\n{case.model} on {case.data}, batch {size}, on {where}, medians of {given.turns} turns\n")
    print("| processes | images/s | minimum | maximum | efficiency | predicted images/s | predicted efficiency |")
    print("|---:|---:|---:|---:|---:|---:|---:|")
    for count, batch in batches.items():
        one, rate = predict(work, machine, count, batch, given.batch), rates[count, batch]
        turns = [run.rate for run in runs[count, batch, "ddp"]]
        efficiency = rate / count / rates[1, given.batch]
        print(
            f"| {count} | {rate:.1f} | {min(turns):.1f} | {max(turns):.1f} | {efficiency:.1%} "
            f"| {one.images_per_second:.1f} | {one.efficiency:.1%} |"
        )
    if most > 1:
        predicted_tables(work, machine, given, given.batch if given.weak else smaller)


def predicted_tables(work: Work, machine: Machine, given: argparse.Namespace, images: int) -> None:
    """Print predictions for more devices: with the same number of images each, and with the same batch."""
    where = f"{machine.devices} devices per machine, {given.network:g} GB/s between machines"
    predicted_table(f"Predicted: {images} images per device, {where}", weak_scaling(work, machine, images, POWERS))
    counts = [count for count in POWERS if given.batch % count == 0]
    title = f"Predicted: a batch of {given.batch}, {where}"
    predicted_table(title, strong_scaling(work, machine, given.batch, counts))


def arguments() -> tuple[argparse.Namespace, tuple[str, ...]]:
    """Parse the command line; return it, and the options to pass to `lehr train`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cpu", help="cpu, or numbers of CUDA devices, e.g. 0,1,2,3")
    parser.add_argument("--processes", help="numbers of processes, including 1 (1,2; on CUDA 1,2,4,... and all)")
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--imgsz", type=int)
    parser.add_argument("--batch", type=int, default=16, help="images per step; with --weak, per process")
    parser.add_argument("--epochs", type=int, default=3, help="epochs per run, at least 2")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--weak", action="store_true", help="let the batch grow with the processes")
    parser.add_argument("--threads-per-process", type=int, help="on a CPU: cores reserved for each process")
    parser.add_argument("--compare-dp", action="store_true", help="compare one process per device with one for all")
    parser.add_argument("--overlap", type=float, help="share of the step that is backward (default: 0.6; on a CPU 0)")
    parser.add_argument("--spread", type=float, default=0.02, help="deviation of a step's time; an assumption")
    parser.add_argument("--machine-devices", type=int, help="devices per machine in the predictions (as here)")
    parser.add_argument("--network", type=float, default=10.0, help="GB/s between machines in the predictions")
    parser.add_argument("--network-latency", type=float, default=20.0, help="microseconds per message between machines")
    parser.add_argument("--input-rate", type=float, default=float("inf"), help="images/s that a machine can prepare")
    parser.add_argument("--typical", action="store_true", help="print predictions for typical machines only")
    for hidden in ("--exchange", "--sizes"):
        parser.add_argument(hidden, help=argparse.SUPPRESS)
    parser.add_argument("--repeats", type=int, default=REPEATS, help=argparse.SUPPRESS)
    words = sys.argv[1:]
    here = words.index("--") if "--" in words else len(words)
    return parser.parse_args(words[:here]), tuple(words[here + 1 :])


def main() -> None:
    """Measure, and print Markdown tables."""
    given, options = arguments()
    if given.exchange is not None:
        step_sync(
            [name for name in given.exchange.split(",") if name], list(map(int, given.sizes.split(","))), given.repeats
        )
        return
    if given.typical:
        typical()
        return
    devices = () if given.device == "cpu" else tuple(given.device.split(","))
    every = [n for n in POWERS if n < len(devices)] + [len(devices)] if devices else [1, 2]
    counts = sorted({1, *map(int, given.processes.split(","))}) if given.processes else every
    if devices and (given.threads_per_process or max(counts) > len(devices)):
        sys.exit("On CUDA there is one process per device, and no --threads-per-process.")
    if given.compare_dp and len(devices) < 2:
        sys.exit("--compare-dp needs at least two CUDA devices.")
    if given.epochs < 2 or given.batch < 2 or (not given.weak and any(given.batch % n for n in counts)):
        sys.exit("It takes at least 2 epochs, and a --batch of at least 2 that each number of processes divides.")
    case = Case(devices, given.model, given.data, given.imgsz, given.epochs, given.threads_per_process, options)
    with tempfile.TemporaryDirectory() as name:
        if given.compare_dp:
            compare(case, given.batch, given.turns, Path(name))
        else:
            measure(case, counts, given, Path(name))


if __name__ == "__main__":
    main()
