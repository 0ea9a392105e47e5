"""Checks before the first step: images per step, the precision, compiled code, and what determinism costs.

Each is measured with the run's model, images and device, and leaves the run unchanged.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch

from lehr.config import TrainConfig
from lehr.data.batch import Batch
from lehr.distributed.collectives import ALONE, Ranks
from lehr.engine.autobatch import choose_batch
from lehr.engine.data import RunData, first_request
from lehr.engine.out_of_memory import is_out_of_memory, unless_out_of_memory
from lehr.engine.step import ForwardLoss
from lehr.models.module_copy import copy_module
from lehr.models.preserve_buffers import preserve_buffers
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.counted import counted
from lehr.runtime.device import set_deterministic, wait_for
from lehr.techniques.compiled_steps import BY_GRAPHS
from lehr.techniques.freezing import freeze_bn_stats
from lehr.techniques.multi_scale import SizeRange, model_input
from lehr.techniques.precision import Precision, faster_on_request, safer, wanted_precision
from lehr.techniques.precision_check import PrecisionCheck, check_precision
from lehr.techniques.precision_support import works


def choose_speed(
    config: TrainConfig,
    data: RunData,
    forward_loss: ForwardLoss,
    sizes: SizeRange | None,
    say: Callable[[str], None],
    ranks: Ranks,
) -> tuple[TrainConfig, PrecisionChoice]:
    """Settle the images per step and the precision of a run.

    Rank 0 measures for all processes, with one process's share of a batch. The batch is measured in the preferred
    precision, and again if that is rejected, since float32 takes more memory.

    Args:
        config: the run's options.
        data: its data.
        forward_loss: its model and loss, on the device.
        sizes: sizes that multi-scale training draws from; None for one size.
        say: reports what was found.
        ranks: the processes that train together.

    Raises:
        InputError: an option requests something that this device cannot do.
        LehrError: not even one image fits.
    """
    most = None if sizes is None else sizes.max_size
    measured = not isinstance(config.data.batch, int)
    asked, hoped = config, wanted_precision(config.speed.amp, forward_loss.device)
    if measured:
        config = asked.with_batch(
            ranks.broadcast_from_rank0(lambda: choose_batch(asked, data, forward_loss, most, hoped, say, ranks.count))
        )

    def first_batch(images: int) -> Batch:
        request = first_request(config, data.train_store.samples, len(data.train_samples), images)
        return next(iter(data.train_loader.batches([request]))).to(forward_loss.device)

    choice = choose_precision(config, forward_loss, first_batch, say, ranks)
    if measured and choice.precision is not hoped:
        settled = choice.precision
        config = asked.with_batch(
            ranks.broadcast_from_rank0(lambda: choose_batch(asked, data, forward_loss, most, settled, say, ranks.count))
        )
    return config, choice


PRECISION = "precision.json"
"""File in the run's folder with the verdicts and their numbers."""

ROOM = 4
"""Factor below the largest overflow-free scale at which a float16 run starts: gradients grow at first."""


@dataclass(frozen=True, slots=True)
class PrecisionChoice:
    """The precision of a run.

    Attributes:
        precision: in which the model computes.
        scale: initial multiplier of the loss, in float16.
        checks: the verdicts on what was tried; the last one passed.
    """

    precision: Precision
    scale: float
    checks: tuple[PrecisionCheck, ...]


def choose_precision(
    config: TrainConfig,
    forward_loss: ForwardLoss,
    first_batch: Callable[[int], Batch],
    say: Callable[[str], None],
    ranks: Ranks = ALONE,
) -> PrecisionChoice:
    """Choose the precision of a new run; with several processes, rank 0 decides for all.

    Args:
        config: the run's options.
        forward_loss: its model and loss, on the device.
        first_batch: returns a batch of that many of the run's images, on the device.
        say: receives the verdict.
        ranks: the processes that train together.

    Raises:
        InputError: the requested precision does not work on this device.
    """
    kinds = PrecisionChoice, PrecisionCheck, Precision
    images = config.batch // ranks.count
    choice = ranks.broadcast_from_rank0(lambda: _choose(config, forward_loss, first_batch, images, say), *kinds)
    if not choice.checks and config.speed.amp == "auto" and forward_loss.device.type != "cpu":
        say(f"Mixed precision is off: {forward_loss.device} supports nothing faster than float32.")
    if (hint := faster_on_request(config.speed.amp, forward_loss.device)) is not None:
        say(hint)
    return choice


def _choose(
    config: TrainConfig,
    forward_loss: ForwardLoss,
    first_batch: Callable[[int], Batch],
    images: int,
    say: Callable[[str], None],
) -> PrecisionChoice:
    precision = wanted_precision(config.speed.amp, forward_loss.device)
    checks: list[PrecisionCheck] = []
    while precision is not Precision.FLOAT32:
        check = _checked(forward_loss, first_batch, images, precision)
        if check is None:
            say(f"{precision} could not be checked: not even one image fits in memory in float32.")
            return PrecisionChoice(Precision.FLOAT32, 1.0, tuple(checks))
        say(str(check))
        checks.append(check)
        if check.passed:
            return PrecisionChoice(precision, max(check.scale / ROOM, 1.0), tuple(checks))
        precision = safer(precision, forward_loss.device)
        say(f"The run computes in {precision} instead.")
    return PrecisionChoice(Precision.FLOAT32, 1.0, tuple(checks))


def _checked(
    forward_loss: ForwardLoss, first_batch: Callable[[int], Batch], images: int, precision: Precision
) -> PrecisionCheck | None:
    """Run the check on as many images as fit in memory in float32, which needs more; None if none fit.

    Rendering the images on the device may already run out of memory.
    """
    model, loss = forward_loss.model.train(), forward_loss.loss
    freeze_bn_stats(model)

    def check(count: int) -> PrecisionCheck:
        batch = first_batch(count)
        images, boxes = model_input(batch)
        return check_precision(model, loss, images, boxes, batch.classes, precision)

    while images > 0:
        found = unless_out_of_memory(partial(check, images), forward_loss.device)
        if found is not None:
            return found
        images //= 2
    return None


def write_precision(choice: PrecisionChoice, folder: Path) -> None:
    """Write the verdicts into the run's folder.

    Raises:
        InputError: the file cannot be written.
    """
    content = {
        "precision": choice.precision,
        "checks": [asdict(check) | {"passed": check.passed} for check in choice.checks],
    }
    with atomic_file(folder / PRECISION, "Choose another --project.") as temporary:
        temporary.write_text(json.dumps(content, indent=1) + "\n", encoding="utf-8")


def still_possible(precision: Precision, device: torch.device) -> Precision:
    """Return the precision of a resumed run on its device: its own, or a safer one if that is unavailable."""
    while precision is not Precision.FLOAT32 and not works(device, precision.dtype):
        precision = safer(precision, device)
    return precision


COMPILED_STEPS = 3
"""Number of timed steps of each kind; the fastest counts."""


def warm_up_compile(
    mode: str,
    forward_loss: ForwardLoss,
    precision: Precision,
    first_batch: Callable[[], Batch],
    say: Callable[[str], None],
    ranks: Ranks = ALONE,
) -> None:
    """Compile the training step if requested; the run's numbers do not change.

    If it cannot be compiled, the run continues uncompiled and reports it; if one process cannot, none does.

    Args:
        mode: off, default, reduce-overhead or max.
        forward_loss: the run's model and loss.
        precision: in which the model computes.
        first_batch: returns a batch like the run's first, on the device.
        say: reports what compiling cost, and the time of a step with and without it.
        ranks: the processes that train together.
    """
    if mode == "off":
        return
    model = forward_loss.model
    if len(gradients := [each for each in model.parameters() if each.grad is not None]) > 0:
        say(
            f"--compile {mode}: compiles in the first step "
            f"({counted(len(gradients), 'gradient is', 'gradients are')} under way)."
        )
        return
    batch = first_batch()
    say(f"--compile {mode}: compiling the step; a cache from earlier runs makes this faster.")
    model.train()
    freeze_bn_stats(model)
    with preserve_buffers(model):
        started, skipped = time.perf_counter(), _graphs_skipped()
        reason = _obstacle_to_compiling(forward_loss, precision, batch, ranks)
        if reason:
            forward_loss.enabled = False
            say(f"--compile {mode}: does not work here, so the run continues uncompiled: {reason}")
            return
        made = time.perf_counter() - started
        fast = min(_step_seconds(forward_loss, precision, batch) for _ in range(COMPILED_STEPS))
        forward_loss.enabled = False
        plain = min(_step_seconds(forward_loss, precision, batch) for _ in range(COMPILED_STEPS))
        forward_loss.enabled = True
    say(
        f"--compile {mode}: compiled in {made:.0f} s; forward, loss and backward take {fast * 1e3:.1f} ms "
        f"({plain * 1e3:.1f} ms uncompiled)."
    )
    if mode == BY_GRAPHS and _graphs_skipped() > skipped:
        say(
            f"--compile {mode}: torch could not capture this code in CUDA graphs, so it runs as with --compile default."
        )


def _obstacle_to_compiling(forward_loss: ForwardLoss, precision: Precision, batch: Batch, ranks: Ranks) -> str:
    """Compile the step of a batch; return why that fails on some process, or an empty string.

    The forward pass is compiled first, in which processes do not communicate: otherwise one that fails would leave the
    others waiting.
    """
    reason = ""
    try:
        forward_loss.sums(batch, None, precision)
    except RuntimeError as error:
        reason = _first_line(error)
    reasons = [each for each in ranks.all_gather(reason) if each]
    if reasons:
        return reasons[0]
    try:
        _step_seconds(forward_loss, precision, batch)
    except RuntimeError as error:
        return _first_line(error)
    return ""


def _first_line(error: RuntimeError) -> str:
    return "out of memory." if is_out_of_memory(error) else str(error).strip().splitlines()[0]


def _graphs_skipped() -> int:
    """Count the graphs that torch's compiler did not capture as CUDA graphs in this process."""
    return int(torch._dynamo.utils.counters["inductor"]["cudagraph_skips"])


def _step_seconds(forward_loss: ForwardLoss, precision: Precision, batch: Batch) -> float:
    """Time forward, loss and backward in seconds."""
    wait_for(forward_loss.device)
    started = time.perf_counter()
    torch.autograd.backward(forward_loss.parts(batch, None, precision).sum())
    forward_loss.model.zero_grad()
    wait_for(forward_loss.device)
    return time.perf_counter() - started


WARM_UP_STEPS, DETERMINISM_STEPS = 3, 10


def report_deterministic_cost(
    forward_loss: ForwardLoss, precision: Precision, first_batch: Callable[[], Batch], say: Callable[[str], None]
) -> None:
    """Measure the cost of `--deterministic`, if any, and report it.

    Args:
        forward_loss: the run's model and loss.
        precision: in which the model computes.
        first_batch: returns a batch like the run's first, on the device.
        say: reports what was measured.
    """
    device = forward_loss.device
    if device.type != "cuda":
        return
    seconds = unless_out_of_memory(lambda: deterministic_step_seconds(forward_loss, precision, first_batch()), device)
    if seconds is None:
        say("--deterministic: not enough free memory to measure its cost.")
        return
    fast, repeatable = seconds
    say(f"--deterministic: a step takes {repeatable / fast:.2f} times as long ({_ms(repeatable)} for {_ms(fast)}).")


def deterministic_step_seconds(forward_loss: ForwardLoss, precision: Precision, batch: Batch) -> tuple[float, float]:
    """Time forward, loss and backward with the fastest operations and with deterministic ones, in seconds.

    The best of two rounds each. The run is unchanged: the steps use a copy of the model. Deterministic operations are
    on afterwards.

    Args:
        forward_loss: the run's model and loss, on CUDA.
        precision: in which the model computes.
        batch: on the device.
    """
    device = forward_loss.device
    copied = ForwardLoss(copy_module(forward_loss.model).train(), forward_loss.loss, device)

    def step() -> None:
        torch.autograd.backward(copied.parts(batch, None, precision).sum())

    def seconds(deterministic: bool) -> float:
        set_deterministic(deterministic)
        for _ in range(WARM_UP_STEPS):
            step()
        torch.cuda.synchronize(device)
        started = time.perf_counter()
        for _ in range(DETERMINISM_STEPS):
            step()
        torch.cuda.synchronize(device)
        return (time.perf_counter() - started) / DETERMINISM_STEPS

    try:
        times = [(seconds(False), seconds(True)) for _ in range(2)]
    finally:
        set_deterministic(True)
    return min(fast for fast, _ in times), min(repeatable for _, repeatable in times)


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
