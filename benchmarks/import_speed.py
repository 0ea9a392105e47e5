"""Time and memory to read a checkpoint of the size of YOLOv8x, as its trainer writes it: float16, modules pickled.

Each step runs in a separate process, after a small checkpoint has been read, so that loading torch and Lehr does not
count. The memory is the peak of the process, less what it held before.

    python -m benchmarks.import_speed
    python -m benchmarks.import_speed --model yolov8n --repeats 5
"""

from __future__ import annotations

import argparse
import contextlib
import io
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

MEGABYTE = 10**6
CHILD = """
import sys, time
from pathlib import Path
from benchmarks.import_speed import STEPS, peak_bytes
step, small, large = STEPS[sys.argv[1]], Path(sys.argv[2]), Path(sys.argv[3])
step(small)
large.with_suffix(".safetensors").unlink(missing_ok=True)
large.read_bytes()  # so that a disk does not count
Path("/proc/self/clear_refs").write_text("5")
before, started = peak_bytes(), time.perf_counter()
step(large)
print(time.perf_counter() - started, peak_bytes() - before)
"""


def _read(path: Path) -> object:
    from lehr.weights.published.reading import read_torch_file

    return read_torch_file(path)


def _take(path: Path) -> object:
    from lehr.weights.published.checkpoint import read_checkpoint

    return read_checkpoint(path)


def _load(path: Path) -> object:
    from lehr.weights.load import load_model

    return load_model(path)


def _import(path: Path) -> object:
    from lehr.cli.import_ import import_

    with contextlib.redirect_stdout(io.StringIO()):
        return import_(path, path.with_suffix(".safetensors"))


STEPS: dict[str, Callable[[Path], object]] = {
    "read": _read,
    "read and check": _take,
    "lehr import": _import,
    "load as a model": _load,
}
"""Read only; also identify the model and predict once; also write the weights; load as a model in float32."""


def peak_bytes() -> int:
    """Return the peak memory of this process since the count was last reset (Linux), bytes."""
    status = Path("/proc/self/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmHWM:"))) * 1024


def measure(step: str, small: Path, large: Path) -> tuple[float, int]:
    """Run a step in a separate process; return seconds, and bytes of memory.

    Args:
        step: name of the step.
        small: a checkpoint that is read first.
        large: the checkpoint that is measured.
    """
    paths = os.pathsep.join(str(Path(__file__).parents[1] / each) for each in (".", "src"))
    done = subprocess.run(
        [sys.executable, "-c", CHILD, step, str(small), str(large)],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
        check=True,
    )
    seconds, taken = done.stdout.split()
    return float(seconds), int(taken)


def main() -> None:
    """Write the checkpoint, measure each step several times, and print a line per step."""
    from tests.weights.published.published_files import write_published

    from lehr.models.build import build_model

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov8x")
    parser.add_argument("--classes", type=int, default=80)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        names = tuple(f"class{index}" for index in range(arguments.classes))
        large = write_published(Path(folder, "large.pt"), build_model(arguments.model, names))
        small = write_published(Path(folder, "small.pt"), build_model("yolov8n", names, width=0.125))
        size = large.stat().st_size
        print(f"{arguments.model}, {size / MEGABYTE:.1f} MB")
        for step in STEPS:
            results = [measure(step, small, large) for _ in range(arguments.repeats)]
            seconds, taken = (statistics.median(each) for each in zip(*results, strict=True))
            print(f"{step:16} {seconds:6.2f} s  {taken / MEGABYTE:6.1f} MB, {taken / size:.2f} times the file")


if __name__ == "__main__":
    main()
