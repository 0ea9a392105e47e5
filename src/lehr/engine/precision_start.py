"""The precision that a run begins in: the one asked for, or the next safer one that passes its check."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.distributed.ranks import ALONE, Ranks
from lehr.engine.compute import Compute, as_input
from lehr.engine.out_of_memory import first_images, is_out_of_memory, release
from lehr.techniques.freezing import hold_statistics
from lehr.techniques.precision import Precision, safer, wanted_precision
from lehr.techniques.precision_check import PrecisionCheck, check_precision
from lehr.techniques.precision_support import works
from lehr.whole import whole_file

PRECISION = "precision.json"
"""File of a run that keeps the verdicts and their numbers."""

ROOM = 4
"""How far below the largest scale that did not overflow a run in float16 begins: its gradients grow at first."""


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """The precision of a run.

    Attributes:
        precision: in which the model computes.
        scale: what the loss is multiplied by at first, in float16.
        checks: the verdicts on what was tried, the last one's passed.
    """

    precision: Precision
    scale: float
    checks: tuple[PrecisionCheck, ...]


def choose_precision(
    config: TrainConfig,
    compute: Compute,
    first_batch: Callable[[], Batch],
    say: Callable[[str], None],
    ranks: Ranks = ALONE,
) -> PrecisionChoice:
    """The precision that a new run begins in; under several processes, rank 0 decides for all.

    Args:
        config: the run's options.
        compute: its model and loss, on the device.
        first_batch: gives a batch of the run's images, as large as its batches.
        say: told the verdict.
        ranks: the processes that train together.

    Raises:
        InputError: the precision was named, and does not work on this device.
    """
    choice = ranks.agreed(lambda: _choose(config, compute, first_batch, say))
    if not choice.checks and config.speed.amp == "auto" and compute.device.type != "cpu":
        say(f"Mixed precision is off: {compute.device} has nothing faster than float32.")
    return choice


def _choose(
    config: TrainConfig, compute: Compute, first_batch: Callable[[], Batch], say: Callable[[str], None]
) -> PrecisionChoice:
    precision = wanted_precision(config.speed.amp, compute.device)
    checks: list[PrecisionCheck] = []
    batch: Batch | None = None
    while precision is not Precision.FLOAT32:
        batch = batch or first_batch()
        check = _checked(compute, batch, precision)
        if check is None:
            say(f"{precision} could not be checked: not even one image fits into the memory in float32.")
            return PrecisionChoice(Precision.FLOAT32, 1.0, tuple(checks))
        say(str(check))
        checks.append(check)
        if check.passed:
            return PrecisionChoice(precision, max(check.scale / ROOM, 1.0), tuple(checks))
        precision = safer(precision, compute.device)
        say(f"The run computes in {precision} instead.")
    return PrecisionChoice(Precision.FLOAT32, 1.0, tuple(checks))


def _checked(compute: Compute, batch: Batch, precision: Precision) -> PrecisionCheck | None:
    """The check on as much of a batch as the memory holds in float32, which needs more of it; None if nothing fits."""
    compute.model.train()
    hold_statistics(compute.model)
    count = len(batch)
    while count > 0:
        some = first_images(batch, count)
        images, boxes = as_input(some)
        try:
            return check_precision(compute.model, compute.loss, images, boxes, some.classes, precision)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
        del images, boxes, some
        release(compute.device)
        count //= 2
    return None


def write_precision(choice: PrecisionChoice, folder: Path) -> None:
    """Keeps the verdicts in the run's folder.

    Raises:
        InputError: the file cannot be written.
    """
    content = {
        "precision": choice.precision,
        "checks": [asdict(check) | {"passed": check.passed} for check in choice.checks],
    }
    with whole_file(folder / PRECISION, "Choose another --project.") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def still_possible(precision: Precision, device: torch.device) -> Precision:
    """The precision that a run which goes on has on its device: its own, or what is safer where that is missing."""
    while precision is not Precision.FLOAT32 and not works(device, precision.dtype):
        precision = safer(precision, device)
    return precision
