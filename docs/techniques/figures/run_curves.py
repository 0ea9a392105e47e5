"""Draws curves from a small training run that was recorded; NAMEs choose among them.

`record` trains that run again, a few minutes on one core, and writes what it did to `recorded-run.csv`: yolov8n with
`--width 0.125` on 96 images of `shapes` at 64 pixels, a constant rate, seed 0. The techniques' own code does the rest.
`record-guard` goes on from its best weights twice, once with the classes of the labels shuffled, and writes
`recorded-guard.csv`.
"""

from __future__ import annotations

import csv
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lehr.callbacks.callback import FunctionCallback
from lehr.callbacks.events import BatchStart, FitEpochEnd, StartEvaluated
from lehr.config import build_config
from lehr.data.formats.shapes import write_shapes
from lehr.engine.run import train
from lehr.plots.figure import integer_ticks, legend, new_figure, save_figure, styled
from lehr.plots.style import COLOURS, PALE
from lehr.techniques.early_stopping import EarlyStopping
from lehr.techniques.ema import ModelEma
from lehr.techniques.ema_decay import ema_decay, resolve_tau

HERE = Path(__file__).parent
RECORDED, GUARDED = HERE / "recorded-run.csv", HERE / "recorded-guard.csv"
RUN = {"model": "yolov8n", "width": 0.125, "imgsz": 64, "epochs": 100, "batch": 16, "nominal_batch": 16, "seed": 0}
RUN |= {"optimizer": "AdamW", "lr0": 0.002, "lr_schedule": "constant", "close_mosaic": 0, "patience": 0}
RUN |= {"device": "cpu", "amp": "off", "ema_tau": 200}
PATIENCE = 8
"""Epochs without a better result; the recorded run has gaps of 9, after which it gets better."""
WEIGHT = "model.0.conv.weight"
"""The parameter whose first number is recorded."""


def record() -> None:
    """Train the run, and write down its fitness after each epoch and a weight before each step."""
    weights: list[float] = []
    fitness: list[float] = []

    def before_step(event: BatchStart) -> None:
        weights.append(float(event.run.model.state_dict()[WEIGHT].flatten()[0]))

    def after_epoch(event: FitEpochEnd) -> None:
        fitness.append(event.metrics.fitness)

    callbacks = [
        FunctionCallback("on_train_batch_start", before_step),
        FunctionCallback("on_fit_epoch_end", after_epoch),
    ]
    with tempfile.TemporaryDirectory() as folder:
        write_shapes(Path(folder) / "data", {"train": 96, "val": 48})
        data = str(Path(folder) / "data" / "data.yaml")
        train(build_config({**RUN, "data": data, "project": folder}), callbacks)
    with RECORDED.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("kind", "number", "value"))
        for kind, values in (("weight", weights), ("fitness", fitness)):
            rows.writerows((kind, number, f"{value:.5g}") for number, value in enumerate(values))


def record_guard() -> None:
    """Train the run for 40 epochs and 15 more from its weights, with its labels and with shuffled ones."""
    courses: dict[str, list[float]] = {"honest": [], "shuffled": []}
    with tempfile.TemporaryDirectory() as folder:
        write_shapes(Path(folder) / "data", {"train": 96, "val": 48})
        data = Path(folder) / "data" / "data.yaml"
        start = train(build_config({**RUN, "epochs": 40, "data": str(data), "project": folder})).best
        more = {**RUN, "epochs": 15, "lr0": 0.001, "data": str(data), "project": folder, "weights": start}
        for kind, course in courses.items():
            if kind == "shuffled":
                shuffle_classes(Path(folder) / "data" / "labels" / "train")

            def note(event: StartEvaluated | FitEpochEnd, course: list[float] = course) -> None:
                course.append(event.metrics.fitness)

            names = ("on_start_evaluated", "on_fit_epoch_end")
            train(build_config(more), [FunctionCallback(name, note) for name in names])
    with GUARDED.open("w", newline="", encoding="utf-8") as file:
        rows = csv.writer(file, lineterminator="\n")
        rows.writerow(("kind", "number", "value"))
        for kind, course in courses.items():
            rows.writerows((kind, number, f"{value:.5g}") for number, value in enumerate(course))


def shuffle_classes(labels: Path) -> None:
    """Give each object of a split the class of another one."""
    rng = np.random.default_rng(0)
    files = sorted(labels.glob("*.txt"))
    rows = [file.read_text().split("\n") for file in files]
    classes = rng.permutation([row.split()[0] for lines in rows for row in lines if row]).tolist()
    for file, lines in zip(files, rows, strict=True):
        file.write_text("".join(f"{classes.pop()} {row.split(maxsplit=1)[1]}\n" for row in lines if row))


def recorded(kind: str, path: Path = RECORDED) -> list[float]:
    """The recorded values of a kind, in order."""
    with path.open(encoding="utf-8") as file:
        return [float(row["value"]) for row in csv.DictReader(file) if row["kind"] == kind]


def ema() -> None:
    """The decay over the updates, and a weight of the recorded run with its averages."""
    figure, (decay, value) = new_figure(1, 2, height=3.2)
    updates = np.arange(1, 12_001)
    decay.plot(updates, [ema_decay(int(update), 0.9999, 2000) for update in updates], label="tau 2000")
    for length in (1000, 4000):
        tau, run = resolve_tau("auto", length), np.arange(1, length + 1)
        decay.plot(run, [ema_decay(int(update), 0.9999, tau) for update in run], label=f"auto, {length} updates")
    decay.set(xlabel="update", ylabel="decay", ylim=(0, 1.02))
    legend(decay)
    weights = recorded("weight")
    value.plot(weights, color=PALE, linewidth=0.9, label="weight")
    for asked, label in ((2000.0, "average, tau 2000"), ("auto", "average, tau auto")):
        value.plot(averaged(weights, resolve_tau(asked, len(weights))), linewidth=1, label=label)  # type: ignore[arg-type]
    value.set(xlabel="update", ylabel="value of a weight")
    legend(value)
    save_figure(figure, HERE / "ema.svg")


def averaged(values: list[float], tau: float) -> list[float]:
    """The moving average of a weight after each update.

    Args:
        values: the weight before the first update, and after each.
        tau: updates over which the decay rises.
    """
    model = torch.nn.Linear(1, 1, bias=False)
    torch.nn.init.constant_(model.weight, values[0])
    average, averages = ModelEma(model, 0.9999, tau), [values[0]]
    for value in values[1:]:
        torch.nn.init.constant_(model.weight, value)
        average.update()
        averages.append(float(average.model.weight))
    return averages


def early_stopping() -> None:
    """The fitness of the recorded run, and where it would have been stopped."""
    figure, (axis,) = new_figure(1, 1, width=7, height=3)
    fitness, stopping = recorded("fitness"), EarlyStopping(patience=PATIENCE)
    epochs = np.arange(len(fitness))
    for epoch in epochs:
        stopping.update(int(epoch), fitness[epoch])
        if stopping.should_stop(int(epoch)):
            break
    axis.plot(epochs, fitness, color=PALE, label="what would have followed")
    axis.plot(epochs[: epoch + 1], fitness[: epoch + 1], color=COLOURS[0], label="trained")
    axis.plot(stopping.best_epoch, stopping.best, "o", color=COLOURS[1], label=f"best, epoch {stopping.best_epoch}")
    axis.axvline(epoch, color=COLOURS[3], linestyle=":", label=f"stopped, epoch {epoch} (patience {PATIENCE})")
    axis.set(xlabel="epoch", ylabel="fitness")
    legend(axis)
    save_figure(figure, HERE / "early-stopping.svg")


def guard() -> None:
    """The fitness of two runs that began from the same weights, and what is the best at each epoch."""
    figure, axes = new_figure(1, 2, height=3)
    for axis, kind, title in zip(axes, ("honest", "shuffled"), ("the same labels", "shuffled classes"), strict=True):
        start, *fitness = recorded(kind, GUARDED)
        epochs, stopping = np.arange(len(fitness) + 1), EarlyStopping(patience=0)
        best = []
        for epoch, value in enumerate((start, *fitness), -1):
            stopping.update(epoch, value)
            best.append(stopping.best)
        axis.plot(epochs, (start, *fitness), color=COLOURS[0], label="epoch")
        axis.plot(0, start, "o", color=COLOURS[1], label="start")
        axis.step(epochs, best, where="post", color=COLOURS[1], linestyle=":", label="best")
        axis.set(xlabel="row of results.csv", ylabel="fitness", title=title, ylim=(0, 0.32))
    for axis in axes:
        integer_ticks(axis)
    legend(figure)
    save_figure(figure, HERE / "guard.svg")


PICTURES: dict[str, Callable[[], None]] = {"ema": ema, "early-stopping": early_stopping, "guard": guard}

if __name__ == "__main__":
    if sys.argv[1:] == ["record"]:
        record()
    elif sys.argv[1:] == ["record-guard"]:
        record_guard()
    else:
        for function in dict.fromkeys(PICTURES[name] for name in sys.argv[1:] or PICTURES):
            with styled():
                function()
