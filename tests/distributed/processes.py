"""Runs that note what each of their steps does, for several processes that train together."""

from __future__ import annotations

import csv
import hashlib
import signal
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from lehr.callbacks.events import BatchEnd, BatchStart
from lehr.config import build_config
from lehr.data.batch import Batch
from lehr.engine.run import resume, train
from lehr.errors import Stopped

SMALL = {"imgsz": 64, "batch": 4, "epochs": 2, "width": 0.125, "depth": 0.33, "device": "cpu", "close_mosaic": 1}
SMALL |= {"amp": "off"}  # by default it is what the hardware has, which machines differ in
MINUTE = 60.0


class Tracer:
    """Notes what each step of a run does, as this process sees it.

    Args:
        notes: added to.
    """

    all_ranks = True

    def __init__(self, notes: list[dict[str, Any]]) -> None:
        self.notes = notes

    def on_train_batch_start(self, event: BatchStart) -> None:
        """Note a step, its images and its pictures."""
        batch = event.batch
        own = [] if batch.idle else batch.indices.tolist()
        pictures = [hashlib.blake2b(image.contiguous().numpy().tobytes()).hexdigest()[:16] for image in batch.images]
        self.notes.append({"step": event.step, "images": own, "pictures": pictures[: len(own)]})

    def on_train_batch_end(self, event: BatchEnd) -> None:
        """Note the loss of the whole batch, where it is finite."""
        note = next(each for each in reversed(self.notes) if each["step"] == event.step)
        note["losses"] = list(event.losses.values()) if event.finite else [0.0] * len(event.losses)


def traced(
    options: dict[str, Any],
    target: str | None = None,
    notes: list[dict[str, Any]] | None = None,
    callbacks: Sequence[object] = (),
) -> list[dict[str, Any]]:
    """Return what each step of a run does, as this process sees it.

    That is its images and pictures, and the loss of the whole batch.

    Args:
        options: of the run, or those that change where it resumes.
        target: a run to go on with; None for a new one.
        notes: added to, for runs that end with an error.
        callbacks: listen to the run too.
    """
    notes = [] if notes is None else notes
    listeners = (*callbacks, Tracer(notes))
    if target is None:
        train(build_config({**SMALL, **options}), callbacks=listeners)
    else:
        resume(Path(target), options, callbacks=listeners)
    return notes


def traced_in_double(options: dict[str, Any], target: str | None = None) -> list[dict[str, Any]]:
    """As `traced`, computed in float64, where rounding does not grow into other weights within a short run.

    In float32 it does: two runs that differ by the rounding of one sum part after some tens of steps, since which
    point answers for an object is a choice between numbers that may be close.
    """
    set_default = torch.set_default_dtype
    set_default(torch.float64)
    torch.set_default_dtype = lambda dtype: None  # a run sets its own, whatever its caller has
    plain = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]  # losses are computed in at least float32
    normalized = Batch.normalized
    Batch.normalized = lambda batch, dtype: batch.images.to(torch.float64) / 255  # type: ignore[method-assign]
    try:
        return traced(options, target)
    finally:
        Batch.normalized = normalized  # type: ignore[method-assign]
        torch.Tensor.float = plain  # type: ignore[method-assign]
        torch.set_default_dtype = set_default
        set_default(torch.float32)


def read_results(folder: Path) -> list[dict[str, str]]:
    """The rows of a run's results.csv."""
    with (folder / "results.csv").open(encoding="utf-8") as file:
        return list(csv.DictReader(file))


def state_of(folder: Path) -> dict[str, torch.Tensor]:
    """The tensors of a run's last weights."""
    from safetensors.torch import load_file

    return load_file(folder / "last.safetensors")


def stopped_at(step: int, options: dict[str, Any], rank: int = 0) -> list[dict[str, Any]]:
    """As `traced`, of a run of which one process is asked to stop during a step.

    Args:
        step: counted over the run from 0.
        options: of the run.
        rank: the process that is asked.
    """

    class Stop:
        all_ranks = True

        def on_train_batch_start(self, event: BatchStart) -> None:
            if event.step == step and event.run.rank == rank:
                signal.raise_signal(signal.SIGTERM)

    notes: list[dict[str, Any]] = []
    try:
        traced(options, notes=notes, callbacks=[Stop()])
    except Stopped:
        return notes
    raise AssertionError("the run did not stop")
