"""What saving costs a training: epochs after which the state was saved, beside epochs after which it was not.

    python benchmarks/checkpoint_cost.py [--data shapes] [--model yolov8n] [--imgsz 128] [--pairs 10]

Trains in one process, saving after every other epoch only; a save is written while the next epoch trains, so that epoch
is the one that pays for it. Printed are the seconds of both kinds of epochs, turn by turn, and what can be measured
without comparing: the seconds that the training itself spent on handing the state over, and the processor time of the
thread that writes, as a share of all cores: what it takes at most from a training that uses them all.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from lehr.runtime.malloc import tune_malloc

tune_malloc()

from lehr.checkpoint.writer import AsyncWriter  # noqa: E402
from lehr.config import build_config  # noqa: E402
from lehr.engine.checkpointer import Checkpointer  # noqa: E402
from lehr.engine.run import train  # noqa: E402
from lehr.engine.trainer import Trainer  # noqa: E402
from lehr.runtime.device import available_cores  # noqa: E402


def main() -> None:
    """Prints a row a pair of epochs, and the shares."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", default="shapes")
    parser.add_argument("--model", default="yolov8n")
    parser.add_argument("--imgsz", type=int, default=128)
    parser.add_argument("--pairs", type=int, default=10)
    parser.add_argument("--device", default="auto")
    given = parser.parse_args()
    save, written, train_epoch = Checkpointer.save, AsyncWriter._written, Trainer._train_epoch
    handing_over: list[float] = []
    writing: list[float] = []
    epochs: dict[bool, list[float]] = {True: [], False: []}

    def some(checkpointer: Checkpointer, *args: Any, **kwargs: Any) -> None:
        epoch = checkpointer._setup.state.epoch
        if epoch % 2:
            started = time.perf_counter()
            save(checkpointer, *args, **kwargs)
            handing_over.append(time.perf_counter() - started)

    def timed_writing(saver: AsyncWriter, job: Any) -> str | None:
        started = time.thread_time()
        problem = written(saver, job)
        writing.append(time.thread_time() - started)
        return problem

    def timed_epoch(trainer: Trainer, epoch: int) -> None:
        started = time.perf_counter()
        train_epoch(trainer, epoch)
        if epoch > 0:
            epochs[epoch % 2 == 1].append(time.perf_counter() - started)

    Checkpointer.save, AsyncWriter._written, Trainer._train_epoch = some, timed_writing, timed_epoch  # type: ignore[method-assign]
    # Mosaic throughout, so that all epochs are alike.
    options = {"data": given.data, "model": given.model, "imgsz": given.imgsz, "device": given.device, "patience": 0}
    with tempfile.TemporaryDirectory() as folder:
        train(
            build_config(
                {**options, "epochs": 2 * given.pairs + 2, "close_mosaic": 0, "project": Path(folder) / "runs"}
            )
        )
    pairs = list(zip(epochs[True], epochs[False], strict=False))[: given.pairs]
    print(f"\n{given.model} on {given.data} at {given.imgsz}\n{'pair':>4} {'saved':>8} {'not':>8}  ratio")
    for number, (with_save, without) in enumerate(pairs, 1):
        print(f"{number:>4} {with_save:8.2f} {without:8.2f} {with_save / without:6.3f}")
    without = statistics.median(each for _, each in pairs)
    ratio = statistics.median(one / other for one, other in pairs)
    print(f"median ratio {ratio:.3f}; an epoch takes {without:.2f} s")
    cores = available_cores()
    for what, seconds, among in (
        ("the training waits", handing_over, 1),
        (f"the thread that writes computes, among {cores} cores,", writing, cores),
    ):
        each = statistics.median(seconds)
        shares = (each / among / period for period in (without, 300))
        print("{} {:.1f} ms a save: {:.2%} of an epoch, {:.3%} of five minutes".format(what, each * 1000, *shares))


if __name__ == "__main__":
    main()
