"""Images per second of a training, alone and next to a busy process, in alternation, for several thread settings.

    python benchmarks/neighbour.py [--model yolov8n] [--imgsz 160] [--batch 16] [--images 192] [--turns 5]
                                   [--busy 1] [--settings GOMP_SPINCOUNT=300000 ...]

A setting is a list of environment variables, e.g. `GOMP_SPINCOUNT=0`, or `cores=1` for a training limited to one core;
`lehr` is the unchanged command. There is one run per setting, all on the same generated data; each trains an epoch when
it is its turn, and waits otherwise. The neighbours are processes that count and never wait. Ratios are taken within a
turn, since a machine's speed changes by the minute; their medians are printed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

GATE, RATES = "LEHR_NEIGHBOUR_GATE", "LEHR_NEIGHBOUR_RATES"
"""Environment variables with ends of two pipes: one says when a run may train, the run answers on the other."""
DEFAULT = "GOMP_SPINCOUNT=300000"
"""GNU OpenMP's own choice if nothing is set."""
SETTINGS = ("lehr", DEFAULT, "GOMP_SPINCOUNT=0", "GOMP_SPINCOUNT=1000", "GOMP_SPINCOUNT=30000", "cores=1")


class Gate:
    """Callback that makes a run wait before each epoch until it is its turn."""

    def on_train_epoch_start(self, event: object) -> None:
        """Wait; end the process when the pipe is closed."""
        if not os.read(int(os.environ[GATE]), 1):
            os._exit(0)

    def on_train_epoch_end(self, event: Any) -> None:
        """Send the images per second."""
        os.write(int(os.environ[RATES]), f"{event.images_per_second}\n".encode())


class Trainee:
    """A run that trains one epoch at a time.

    Args:
        setting: environment variables or cores of its process.
        options: options of the run.
        folder: parent of its run folder and its log.
    """

    def __init__(self, setting: str, options: list[str], folder: Path) -> None:
        here = Path(__file__).resolve()
        hear, self._gate = os.pipe()
        answer, tell = os.pipe()
        environment = {**os.environ, GATE: str(hear), RATES: str(tell)}
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [os.environ.get("PYTHONPATH"), str(here.parent)]))
        cores = sorted(os.sched_getaffinity(0))
        for name, _, value in (word.partition("=") for word in setting.split(",")):
            if name == "cores":
                cores = cores[: int(value)]
            elif value:
                environment[name] = value
        name = "".join(letter if letter.isalnum() else "-" for letter in setting)
        self._log = (folder / f"{name}.log").open("w+", encoding="utf-8")
        command = [sys.executable, "-m", "lehr", "train", *options, "--project", str(folder), "--name", name]
        own = os.sched_getaffinity(0)
        os.sched_setaffinity(0, cores)  # inherited by the process started next
        self._process = subprocess.Popen(
            [*command, "--callback", "neighbour:Gate", "--strict-callbacks"],
            stdout=self._log,
            stderr=subprocess.STDOUT,
            env=environment,
            pass_fds=(hear, tell),
        )
        os.sched_setaffinity(0, own)
        os.close(hear)
        os.close(tell)
        self._answers = os.fdopen(answer)

    def epoch(self) -> float:
        """Train an epoch; return its images per second."""
        os.write(self._gate, b"g")
        answer = self._answers.readline()
        if not answer:
            self._log.seek(0)
            sys.exit(f"A run failed:\n{self._log.read()[-2000:]}")
        return float(answer)

    def close(self) -> None:
        """End the run."""
        os.close(self._gate)
        self._answers.close()
        self._process.kill()
        self._process.wait()
        self._log.close()


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """Run busy processes during the block."""
    processes = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def main() -> None:
    """Print a line per turn, and the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--images", type=int, default=192, help="images per epoch")
    parser.add_argument("--workers", type=int, help="loading processes (default: as many as Lehr chooses)")
    parser.add_argument("--turns", type=int, default=5)
    parser.add_argument("--busy", type=int, default=1, help="number of busy processes")
    parser.add_argument("--settings", nargs="+", default=SETTINGS)
    given = parser.parse_args()
    from lehr.data.formats.shapes import write_shapes

    with tempfile.TemporaryDirectory() as name, contextlib.ExitStack() as stack:
        folder = Path(name)
        write_shapes(folder / "data", {"train": given.images, "val": given.batch})
        options = ["--data", str(folder / "data" / "data.yaml"), "--model", given.model, "--device", "cpu"]
        options += ["--imgsz", str(given.imgsz), "--batch", str(given.batch), "--epochs", "10000", "--patience", "0"]
        options += [] if given.workers is None else ["--workers", str(given.workers)]
        runs: dict[str, Trainee] = {}
        for setting in given.settings:
            runs[setting] = Trainee(setting, options, folder)
            stack.callback(runs[setting].close)
            for _ in range(2):  # until memory is allocated and loading processes have started
                runs[setting].epoch()
        alone: dict[str, list[float]] = {setting: [] for setting in runs}
        beside: dict[str, list[float]] = {setting: [] for setting in runs}
        for turn in range(given.turns):
            for setting, run in runs.items():
                alone[setting].append(run.epoch())
                with neighbours(given.busy):
                    beside[setting].append(run.epoch())
                rates = f"{alone[setting][-1]:8.2f} alone, {beside[setting][-1]:8.2f} with a busy process"
                print(f"turn {turn + 1}: {setting:<24}{rates}", flush=True)
    first = next(iter(alone))
    print(f"\n{given.model} at {given.imgsz}, batch {given.batch}, {len(os.sched_getaffinity(0))} cores, median ratios")
    print(f"{'setting':<24}{'images/s alone':>15}{'busy':>9}{'busy/alone':>14}{f'alone/{first}':>14}")
    for setting in runs:
        own = statistics.median(b / a for a, b in zip(alone[setting], beside[setting], strict=True))
        against = statistics.median(a / b for a, b in zip(alone[setting], alone[first], strict=True))
        medians = statistics.median(alone[setting]), statistics.median(beside[setting])
        print(f"{setting:<24}{medians[0]:>15.2f}{medians[1]:>9.2f}{own:>14.2f}{against:>14.3f}")


if __name__ == "__main__":
    main()
