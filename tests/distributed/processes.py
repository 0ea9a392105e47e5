"""Several processes for tests, by torch's launcher, and runs that note what each of their steps does."""

from __future__ import annotations

import csv
import hashlib
import signal
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs
from torch.distributed.launcher.api import LaunchConfig, elastic_launch

from lehr.config import build_config
from lehr.data.batch import Batch
from lehr.engine.run import resume, train
from lehr.engine.trainer import Trainer
from lehr.errors import Stopped

SMALL = {"imgsz": 64, "batch": 4, "epochs": 2, "width": 0.125, "depth": 0.33, "device": "cpu", "close_mosaic": 1}
MINUTE = 60.0


def together(count: int, work: Callable[..., Any], *arguments: Any, folder: Path) -> dict[int, Any]:
    """What each of several processes returns of some work, by rank.

    Args:
        count: processes.
        work: done by each; of a module, since processes import it.
        arguments: what it is given.
        folder: for the launcher's logs.
    """
    config = LaunchConfig(
        min_nodes=1,
        max_nodes=1,
        nproc_per_node=count,
        run_id=uuid.uuid4().hex,
        rdzv_backend="c10d",
        rdzv_endpoint="localhost:0",
        local_addr="localhost",
        max_restarts=0,
        logs_specs=DefaultLogsSpecs(log_dir=str(folder / ".launcher")),
    )
    return dict(sorted(elastic_launch(config, work)(*arguments).items()))


def traced(
    options: dict[str, Any], target: str | None = None, notes: list[dict[str, Any]] | None = None
) -> list[dict[str, Any]]:
    """What each step of a run does, as this process sees it: its images and pictures, and the loss of the whole batch.

    Args:
        options: of the run, or those that change where it goes on.
        target: a run to go on with; None for a new one.
        notes: added to, for runs that end with an error.
    """
    notes = [] if notes is None else notes
    step = Trainer._step

    def noted(trainer: Trainer, batch: Any, epoch: int, batches: int) -> None:
        state = trainer.state
        before = state.sums.losses.clone()
        state.sums.losses.zero_()
        own = [] if batch.idle else batch.indices.tolist()
        pictures = [hashlib.blake2b(image.contiguous().numpy().tobytes()).hexdigest()[:16] for image in batch.images]
        note: dict[str, Any] = {"step": state.step, "images": own, "pictures": pictures[: len(own)]}
        step(trainer, batch, epoch, batches)
        note["losses"] = state.sums.losses[:-1].tolist()
        state.sums.losses += before
        notes.append(note)

    Trainer._step = noted  # type: ignore[method-assign]
    try:
        if target is None:
            train(build_config({**SMALL, **options}))
        else:
            resume(Path(target), options)
    finally:
        Trainer._step = step  # type: ignore[method-assign]
    return notes


def traced_in_double(options: dict[str, Any], target: str | None = None) -> list[dict[str, Any]]:
    """As `traced`, computed in float64, where rounding does not grow into other weights within a short run.

    In float32 it does: two runs that differ by the rounding of one sum part after some tens of steps, since which
    point answers for an object is a choice between numbers that may be close.
    """
    torch.set_default_dtype(torch.float64)
    plain = torch.Tensor.float
    torch.Tensor.float = torch.Tensor.double  # type: ignore[method-assign]  # losses are computed in at least float32
    normalized = Batch.normalized
    Batch.normalized = lambda batch: batch.images.to(torch.float64) / 255  # type: ignore[method-assign]
    try:
        return traced(options, target)
    finally:
        Batch.normalized = normalized  # type: ignore[method-assign]
        torch.Tensor.float = plain  # type: ignore[method-assign]
        torch.set_default_dtype(torch.float32)


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
    inner = Trainer._step

    def stopping(trainer: Trainer, *arguments: Any) -> None:
        if trainer.state.step == step and trainer.ranks.rank == rank:
            signal.raise_signal(signal.SIGTERM)
        inner(trainer, *arguments)

    notes: list[dict[str, Any]] = []
    Trainer._step = stopping  # type: ignore[method-assign]
    try:
        traced(options, notes=notes)
    except Stopped:
        return notes
    finally:
        Trainer._step = inner  # type: ignore[method-assign]
    raise AssertionError("the run did not stop")
