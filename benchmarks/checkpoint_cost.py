"""What saving costs a training: epochs that train while the state is written, beside epochs that do not.

    python benchmarks/checkpoint_cost.py [--data shapes] [--model yolov8n] [--imgsz 128] [--pairs 10]

Trains in one process. The save of an epoch is written while the next epoch trains, so that epoch pays for it; every
other epoch waits, before it begins and is timed, until the save is on the disk. Printed are the seconds of both kinds
of epochs, turn by turn, and what can be measured without comparing: the seconds that the training itself spent on
handing the state over, and the processor time of the thread that writes, as a share of all cores: what it takes at most
from a training that uses them all.
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
    """Times epochs, the handing over of the state, and the thread that writes.

    Attributes:
        handing_over: seconds that the training waited at each save.
        writing: processor seconds of the writing thread, a save each.
        epochs: seconds of the epochs that train beside a save (True), and of the others (False).
    """

    def __init__(self) -> None:
        self.handing_over: list[float] = []
        self.writing: list[float] = []
        self.epochs: dict[bool, list[float]] = {True: [], False: []}
        self._ended: float | None = None
        self._started = 0.0
        self._computed = 0.0

    def on_fit_epoch_end(self, event: FitEpochEnd) -> None:
        """Note when the state is about to be handed over."""
        self._ended = time.perf_counter()

    def on_train_epoch_start(self, event: TrainEpochStart) -> None:
        """Note how long that took, and begin an epoch, after the save where it is to have none beside it."""
        if self._ended is not None:
            self.handing_over.append(time.perf_counter() - self._ended)
        while event.epoch % 2 == 0 and event.epoch and read_position(event.run.folder / LAST).epoch < event.epoch:
            time.sleep(0.01)
        self._started = time.perf_counter()

    def on_train_epoch_end(self, event: TrainEpochEnd) -> None:
        """Note how long an epoch took."""
        if event.epoch > 0:
            self.epochs[event.epoch % 2 == 1].append(time.perf_counter() - self._started)

    def on_model_save(self, event: ModelSave) -> None:
        """Note what the writing thread has computed since the last save."""
        thread = next(each for each in threading.enumerate() if each.name == THREAD)
        assert thread.ident is not None
        computed = time.clock_gettime(time.pthread_getcpuclockid(thread.ident))
        self.writing.append(computed - self._computed)
        self._computed = computed


def main() -> None:
    """Prints a row a pair of epochs, and the shares."""
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
        (f"the thread that writes computes, among {cores} cores,", cost.writing, cores),
    ):
        each = statistics.median(seconds)
        shares = (each / among / period for period in (without, 300))
        print("{} {:.1f} ms a save: {:.2%} of an epoch, {:.3%} of five minutes".format(what, each * 1000, *shares))


if __name__ == "__main__":
    main()
