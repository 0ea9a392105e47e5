"""Events of a run that nobody trained, for what listens to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from lehr.callbacks.callback import Callback
from lehr.callbacks.events import (
    BatchEnd,
    Event,
    FitEpochEnd,
    Teardown,
    TrainEnd,
    TrainEpochEnd,
    TrainEpochStart,
    TrainStart,
    ValBatchEnd,
    ValEnd,
    ValStart,
)
from lehr.callbacks.run_info import Run
from lehr.config import build_config
from lehr.evaluation.metrics import ClassMetrics, Metrics

NAMES = ("red blood cell", "white blood cell", "platelet")


def made_run(folder: Path, epochs: int = 100, crowded: bool = False, batches: int = 40, **options: Any) -> Run:
    """A run of three classes, on 640 images."""
    config = build_config({"data": "cells.yaml", "epochs": epochs, "device": "cpu", **options})
    network: Any = None
    return Run(
        folder=folder,
        config=config,
        names=NAMES,
        parts=("box", "cls", "dfl"),
        batches=batches,
        train_images=640,
        val_images=120,
        crowded=crowded,
        device=torch.device("cpu"),
        rank=0,
        processes=1,
        model=network,
        averaged=network,
    )


def made_metrics(fitness: float, instances: int = 1204) -> Metrics:
    """Metrics whose averages grow with the fitness; all None where there are no instances."""
    names = Metrics.__slots__
    numbers: dict[str, Any] = dict.fromkeys(names, fitness if instances else None)
    numbers |= {"map50": min(1.6 * fitness, 1.0), "map50_max_det": min(1.6 * fitness, 1.0)} if instances else {}
    each = {
        name: numbers[name] for name in ("map", "map50", "map_max_det", "map50_max_det", "precision", "recall", "f1")
    }
    classes = {name: ClassMetrics(**each, instances=instances // 3) for name in NAMES}
    counts = {"max_det": 300, "confidence": 0.25, "images": 120, "instances": instances, "classes": classes}
    return Metrics(
        **numbers | counts | {"false_positives": 5, "images_with_false_positives": 3, "false_positives_per_image": 0.04}
    )


def epoch_end(run: Run, epoch: int, metrics: Metrics, best: bool, **changes: Any) -> FitEpochEnd:
    """An epoch's end whose losses fall."""
    end = FitEpochEnd(
        run=run,
        epoch=epoch,
        step=(epoch + 1) * run.batches,
        row={"skipped": 0, "replaced": 0},
        losses={part: 4.0 / (epoch + 2) + place for place, part in enumerate(run.parts)},
        instances=9876,
        metrics=metrics,
        rates={"weights": 0.01 / (epoch + 1), "norms": 0.01, "biases": 0.01},
        images_per_second=85.34,
        seconds=30.0 * (epoch + 1),
        remaining=30.0 * (run.config.epochs - epoch - 1),
        memory=3210.0,
        best=best,
    )
    return replace(end, **changes)


def events_of(run: Run, fitness: list[float], instances: int = 1204) -> Iterator[Event]:
    """All events of a run of so many epochs as there are results."""
    yield TrainStart(run, 0, 0, False)
    best, best_epoch = -1.0, -1
    for epoch, value in enumerate(fitness):
        metrics, step = made_metrics(value, instances), epoch * run.batches
        yield TrainEpochStart(run, epoch, step, run.batches)
        for batch in range(run.batches):
            yield batch_end(run, epoch, step + batch)
        losses = dict.fromkeys(run.parts, 1.0)
        yield TrainEpochEnd(run, epoch, step + run.batches, losses, 640, 9876, 0, 0, 7.5, 85.34)
        yield ValStart(run, epoch, step + run.batches)
        yield ValBatchEnd(run, epoch, run.val_images)
        evaluation: Any = None
        yield ValEnd(run, epoch, step + run.batches, evaluation)
        if value > best or not instances:
            best, best_epoch = value, epoch
        yield epoch_end(run, epoch, metrics, best_epoch == epoch)
    best_file, last_file = run.folder / "best.safetensors", run.folder / "last.safetensors"
    steps = len(fitness) * run.batches
    yield TrainEnd(
        run, len(fitness), steps, best_epoch, made_metrics(best, instances), best_file, last_file, 3031.0, False
    )
    yield Teardown(run)


def batch_end(run: Run, epoch: int, step: int) -> BatchEnd:
    """A batch's end, finite."""
    losses = dict.fromkeys(run.parts, 1.5 * run.config.batch)
    rates = {"weights": 0.01, "norms": 0.01, "biases": 0.01}
    return BatchEnd(run, epoch, step, run.config.batch, losses, True, True, 1.0, rates, 0.9, 1, None)


def feed(listener: Callback, events: Iterator[Event]) -> None:
    """Hand events to a listener, in turn."""
    for event in events:
        getattr(listener, event.method)(event)
