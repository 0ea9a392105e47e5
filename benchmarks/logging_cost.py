"""Cost of the run's log, CSV, TensorBoard and the page, in percent of a training, counted and compared in one run.

    python -m benchmarks.logging_cost --data DATA [--model yolov8n] [--batch 16] [--imgsz 160] [--epochs 48] [--control]

Counted: seconds that the training's thread spends in the listeners, and processor time of the loggers' threads, in
epochs with loggers. Compared: epochs with and without loggers in the order off, on, on, off, so that a machine that
becomes slower or faster affects both alike; whole epochs, validation included, by wall clock and by processor time.
"On" is a second log of the run (`events.jsonl`) that feeds `csv` and `tensorboard`; "off" has neither. With
`--control`, no epoch has loggers, but all else is the same: the difference is then the noise of the comparison. The
page is built once at the end, and counts as a share of the whole run.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lehr.callbacks.callback import EVENT_METHODS
from lehr.callbacks.events import FitEpochEnd, TrainEpochStart
from lehr.callbacks.loading import load_loggers
from lehr.callbacks.run_log import RunLogCallback
from lehr.config import build_config
from lehr.engine.run import train
from lehr.report.run_page import build_page

LOGGERS = ("csv", "tensorboard")
PATTERN = (False, True, True, False)
"""Loggers on or off, epoch by epoch."""
WARM_UP = len(PATTERN)
"""First epochs, which do not count, because they are slower."""
OFTEN = ("on_train_batch_end", "on_fit_epoch_end", "on_best_improved", "on_model_save")
"""Events that the loggers receive only in their epochs; those that open and close them are always sent."""


class Alternating:
    """Sends the events of every other pair of epochs to the log and its loggers, and measures all epochs.

    Args:
        folder: folder that they write to.
        control: whether they receive no events at all, in any epoch.
    """

    name = "benchmark"

    def __init__(self, folder: Path, control: bool) -> None:
        self._control = control
        self._log, self._folder, self._on = RunLogCallback(load_loggers(LOGGERS)), folder, False
        self._started = (0.0, 0.0)
        self.times: list[tuple[bool, float, float]] = []
        self.in_listeners = self.in_threads = self.steps = 0.0

    def __getattr__(self, name: str) -> Callable[[Any], None]:
        if name not in EVENT_METHODS:
            raise AttributeError(name)
        return lambda event: self._tell(name, event)

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Start the clock of an epoch."""
        self._on = PATTERN[event.epoch % len(PATTERN)]
        self._started = time.perf_counter(), time.process_time()
        self._tell("on_train_epoch_start", event)

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Stop the clock of an epoch, after the loggers have received its row."""
        self._tell("on_fit_epoch_end", event)
        now = time.perf_counter(), time.process_time()
        self.in_threads = logger_seconds()
        self.times.append((self._on, now[0] - self._started[0], now[1] - self._started[1]))

    def _tell(self, name: str, event: Any) -> None:
        if self._control or (name in OFTEN and not self._on):
            return
        if getattr(event, "run", None) is not None:
            event = dataclasses.replace(event, run=dataclasses.replace(event.run, folder=self._folder))
        started = time.perf_counter()
        getattr(self._log, name)(event)
        if name in OFTEN:
            self.in_listeners += time.perf_counter() - started
            self.steps += name == "on_train_batch_end"


def logger_seconds() -> float:
    """Processor time so far of the loggers' threads, and of those with which TensorBoard writes, seconds."""
    threads = [each for each in threading.enumerate() if each.ident is not None]
    own = [each for each in threads if each.name.startswith("logger-") or type(each).__name__ == "_AsyncWriterThread"]
    return sum(time.clock_gettime(time.pthread_getcpuclockid(each.ident)) for each in own if each.ident is not None)


def slower(times: Sequence[tuple[bool, float]], rounds: int = 5_000) -> tuple[float, float, float]:
    """Median percentage by which epochs with loggers take longer, and its 95% interval by bootstrap over turns.

    Args:
        times: whether loggers were on, and seconds, epoch by epoch; whole turns of `PATTERN`.
        rounds: rounds of the bootstrap.
    """
    turns = np.array([seconds for _, seconds in times]).reshape(-1, len(PATTERN))
    on = np.array(PATTERN)
    ratios = turns[:, on].mean(1) / turns[:, ~on].mean(1)
    picks = np.random.default_rng(0).integers(0, len(ratios), (rounds, len(ratios)))
    low, high = np.percentile(np.median(ratios[picks], axis=1), (2.5, 97.5))
    return tuple(100 * (value - 1) for value in (float(np.median(ratios)), float(low), float(high)))  # type: ignore[return-value]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", required=True)
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--imgsz", type=int, default=160)
    parser.add_argument("--epochs", type=int, default=48)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--control", action="store_true")
    given = parser.parse_args()
    control = vars(given).pop("control")
    if given.epochs % len(PATTERN) or given.epochs < 3 * len(PATTERN):
        parser.error(f"--epochs must be a multiple of {len(PATTERN)}, and at least {3 * len(PATTERN)}")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "loggers").mkdir()
        measured = Alternating(folder / "loggers", control)
        options = {**vars(given), "project": folder, "name": "run", "report": False, "guard": "off", "amp": "off"}
        began = time.perf_counter()
        train(build_config(options), callbacks=(measured,), verbose=False)
        whole = time.perf_counter() - began
        began = time.perf_counter()
        build_page(folder / "run", plot_kinds=())
        page = time.perf_counter() - began
    times = measured.times[WARM_UP:]
    size = f"{given.model}, batch {given.batch}, {given.imgsz} pixels, {given.device}"
    typical = statistics.median(seconds for _, seconds, _ in times)
    print(f"{'Control: ' if control else ''}{size}: {len(times)} epochs, {typical:.2f} s each\n")
    if measured.steps:
        logged = sum(seconds for on, seconds, _ in measured.times if on)
        print("| counted | ms per step | share of the time |\n|---|---:|---:|")
        for name, taken in (("listeners", measured.in_listeners), ("threads of loggers", measured.in_threads)):
            print(f"| {name} | {1e3 * taken / measured.steps:.3f} | {100 * taken / logged:.3f}% |")
        print()
    print("| compared | slowdown with loggers | 95% interval |\n|---|---:|---:|")
    for name, column in (("clock", 1), ("processor", 2)):
        percent, low, high = slower([(bool(each[0]), float(each[column])) for each in times])
        print(f"| {name} | {percent:+.2f}% | {low:+.2f} to {high:+.2f}% |")
    print(f"\nThe page: {page:.2f} s, {100 * page / whole:.2f}% of {whole:.0f} s")


if __name__ == "__main__":
    main()
