"""Cost of saving: epochs that train while a checkpoint is written, next to epochs that do not.

    python benchmarks/checkpoint_cost.py [--data shapes] [--model yolov8n] [--imgsz 128] [--pairs 10]

Trains in one process. The save of an epoch is written while the next epoch trains, which is thereby slowed down; every
other epoch waits until the save is on disk before it starts and is timed. Prints the seconds of both kinds of epochs in
pairs, and what can be measured without a comparison: the seconds that the training itself spends on handing the state
over, and the processor time of the writing thread as a share of all cores, the most that it can take from a training
that uses them all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import threading
import time
from pathlib import Path

from lehr.runtime.tuning import tune_process

tune_process()

from lehr.callbacks.events import FitEpochEnd, ModelSave, TrainEpochEnd, TrainEpochStart  # noqa: E402
from lehr.checkpoint.format import read_position  # noqa: E402
from lehr.checkpoint.run_folder import LAST  # noqa: E402
from lehr.checkpoint.writer import THREAD  # noqa: E402
from lehr.config import build_config  # noqa: E402
from lehr.engine.run import train  # noqa: E402
from lehr.runtime.device import available_cores  # noqa: E402


class Cost:
    """Times epochs, the handover of the state, and the writing thread.

    Attributes:
        handing_over: seconds that the training waited at each save.
        writing: processor seconds of the writing thread for each save.
        epochs: seconds of the epochs that train during a save (True), and of the others (False).
    """

    def __init__(self) -> None:
        self.handing_over: list[float] = []
        self.writing: list[float] = []
        self.epochs: dict[bool, list[float]] = {True: [], False: []}
        self._ended: float | None = None
        self._started = 0.0
        self._computed = 0.0

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Note the time at which the handover of the state begins."""
        self._ended = time.perf_counter()

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Note the time of the handover, and start an epoch; every other one starts only after the save."""
        if self._ended is not None:
            self.handing_over.append(time.perf_counter() - self._ended)
        while event.epoch % 2 == 0 and event.epoch and read_position(event.run.folder / LAST).epoch < event.epoch:
            time.sleep(0.01)
        self._started = time.perf_counter()

    def on_train_epoch_end(self, event: TrainEpochEnd) -> None:
        """Note the time of the epoch."""
        if event.epoch > 0:
            self.epochs[event.epoch % 2 == 1].append(time.perf_counter() - self._started)

    def on_model_save(self, event: ModelSave) -> None:
        """Note the processor time of the writing thread since the last save."""
        thread = next(each for each in threading.enumerate() if each.name == THREAD)
        assert thread.ident is not None
        computed = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        self.writing.append(computed - self._computed)
        self._computed = computed


def main() -> None:
    """Print a row per pair of epochs, and the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    cost = Cost()
    # Mosaic throughout, so that all epochs are alike.
    options = {"data": given.data, "model": given.model, "imgsz": given.imgsz, "device": given.device, "patience": 0}
    with tempfile.TemporaryDirectory() as folder:
        train(
            build_config(
                {**options, "epochs": 2 * given.pairs + 2, "close_mosaic": 0, "project": Path(folder) / "runs"}
            ),
            callbacks=[cost],
        )
    pairs = list(zip(cost.epochs[True], cost.epochs[False], strict=False))[: given.pairs]
    print(f"\n{given.model} on {given.data} at {given.imgsz}\n{'pair':>4} {'saved':>8} {'not':>8}  ratio")
    for number, (with_save, without) in enumerate(pairs, 1):
        print(f"{number:>4} {with_save:8.2f} {without:8.2f} {with_save / without:6.3f}")
    without = statistics.median(each for _, each in pairs)
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"median ratio {ratio:.3f}; an epoch takes {without:.2f} s")
    cores = available_cores()
    for what, seconds, among in (
        ("the training waits", cost.handing_over, 1),
        (f"the writing thread, as a share of {cores} cores, computes", cost.writing, cores),
    ):
        each = statistics.median(seconds)
        shares = (each / among / period for period in (without, 300))
        print("{} {:.1f} ms per save: {:.2%} of an epoch, {:.3%} of five minutes".format(what, each * 1000, *shares))


if __name__ == "__main__":
    main()
