"""`--batch auto`: real training steps of a few sizes, measured on the device before the run starts."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from lehr.config import DEFAULT_BATCH, TrainConfig
from lehr.data.batch import Batch
from lehr.data.cache import free_memory
from lehr.data.requests import BatchRequest
from lehr.engine.data import RunData
from lehr.engine.out_of_memory import release, unless_out_of_memory
from lehr.engine.step import ForwardLoss
from lehr.errors import LehrError
from lehr.models.module_copy import copy_module
from lehr.runtime.counted import counted
from lehr.runtime.device import describe_device, wait_for
from lehr.runtime.peak_memory import peak_process_bytes
from lehr.sample import Sample
from lehr.techniques.accumulation import accumulation
from lehr.techniques.auto import OptimizerChoice, choose_optimizer
from lehr.techniques.autobatch import (
    MEMORY_FRACTION,
    Measured,
    bisect_fitting,
    fastest,
    fitting_nominal,
    largest_fitting,
)
from lehr.techniques.ema import ModelEma
from lehr.techniques.freezing import freeze_bn_stats
from lehr.techniques.optimizer import build_optimizer
from lehr.techniques.precision import Precision, new_scaler
from lehr.techniques.replay import Replay

MIN_BATCH_ON_CPU = 8
"""Smallest batch when chosen by speed: smaller ones leave normalization too little to average over."""
SIZES_OF_LINE = (1, 2, 4, 8, 16)
"""Batches measured when chosen by memory; a line is fitted through them."""
SLOWER = 0.9
"""Share of the best throughput below which no larger size is tried."""
MAX_SECONDS = 30.0
"""Seconds after which no further size is tried."""
STEPS = 2
"""Steps timed, after one that is not."""

Try = Callable[[int], Measured | None]
"""Measured steps by batch size; None for a size that does not fit in memory."""


def choose_batch(
    config: TrainConfig,
    data: RunData,
    forward_loss: ForwardLoss,
    size: int | None,
    precision: Precision,
    say: Callable[[str], None],
    devices: int = 1,
) -> int:
    """Choose the images per step, over all devices: measured on this one, and fitted to the nominal batch.

    Args:
        config: the run's options; `batch` is auto or a share of the memory.
        data: its data.
        forward_loss: its model and loss, on the device.
        size: longest side of the largest images of the run, pixels; None for those of the loader.
        precision: in which the model computes.
        say: reports what was measured.
        devices: how many train together, each with as many images.

    Raises:
        LehrError: not even one image fits.
    """
    asked, images = config.data.batch, Replay(len(data.train_samples), config.batch, config.data.replay).images
    share = asked if isinstance(asked, float) else MEMORY_FRACTION

    def chosen(batch: int) -> OptimizerChoice:
        return choose_optimizer(
            config.schedule.optimizer,
            classes=len(data.dataset.names),
            images=images,
            epochs=config.epochs,
            batch=batch,
            nominal_batch=config.schedule.nominal_batch,
        )

    choice = chosen(min(config.schedule.nominal_batch or DEFAULT_BATCH, images))
    nominal = choice.nominal_batch
    with _Steps(data, forward_loss, size, precision, choice.name) as steps:
        most, told = (_by_memory if data.device.type == "cuda" else _by_speed)(
            steps.measure, max(1, min(nominal, images) // devices), share, data.device
        )
    if most == 0:
        raise LehrError(
            f"--batch {asked}: on {data.device} not even one image fits in {share:.0%} of the memory next to this "
            "model. Use a larger share, a smaller --imgsz or model."
        )
    batch = fitting_nominal(min(most * devices, max(images, devices)), nominal, devices)
    together = accumulation(batch, chosen(batch).nominal_batch)
    each = f", {batch // devices} on each of {devices} devices" if devices > 1 else ""
    say(f"AutoBatch on {describe_device(data.device)}: {told}. Batch {batch}{each}, {together} per optimizer step.")
    return batch


def _by_memory(measure: Try, most: int, share: float, device: torch.device) -> tuple[int, str]:
    """Find the largest size within a share of the memory, and verify it with one more step."""
    budget = share * torch.cuda.get_device_properties(device).total_memory
    measured: list[Measured] = []
    for size in SIZES_OF_LINE:
        if size > most or (one := measure(size)) is None:
            break
        measured.append(one)
        if one.bytes > budget:
            break
    if not measured:
        return 0, ""
    told = ", ".join(f"{one.batch} take {one.bytes / 2**30:.2f} GiB" for one in measured)
    fits = min(largest_fitting(measured, budget), most)
    known = max((one.batch for one in measured if one.bytes <= budget), default=0)
    if fits > known:
        fits = bisect_fitting(
            lambda size: (one := measure(size)) is not None and one.bytes <= budget, known, fits, guess=fits
        )
    return fits, f"{told} of {budget / 2**30:.1f}; {fits}{' or more' * (fits == most)} fit"


def _by_speed(measure: Try, most: int, share: float, device: torch.device) -> tuple[int, str]:
    """Find the smallest of the fastest sizes within a share of the memory."""
    budget = share * (free_memory() + peak_process_bytes())
    started = time.perf_counter()
    measured: list[Measured] = []
    first = min(MIN_BATCH_ON_CPU, most)
    for size in itertools.takewhile(lambda size: size <= most, (first * 2**i for i in itertools.count())):
        one = measure(size)
        if one is None or one.bytes > budget:
            break
        measured.append(one)
        slower = one.images_per_second < SLOWER * max(each.images_per_second for each in measured)
        if slower or time.perf_counter() - started > MAX_SECONDS:
            break
    if not measured:  # below 8 if no more fits in memory
        fits = bisect_fitting(lambda size: (one := measure(size)) is not None and one.bytes <= budget, 0, first - 1)
        return fits, f"memory for {counted(fits, 'image')}"
    told = ", ".join(f"{one.images_per_second:.1f} images/s with {one.batch}" for one in measured)
    return fastest(measured), told


class _Steps:
    """Training steps on a copy of the model, so that nothing of the run changes."""

    def __init__(
        self, data: RunData, forward_loss: ForwardLoss, size: int | None, precision: Precision, optimizer: str
    ) -> None:
        self._data = data
        self._size = size
        self._precision = precision
        model = copy_module(forward_loss.model).train()
        freeze_bn_stats(model)
        self._forward_loss = ForwardLoss(model, forward_loss.loss, forward_loss.device)
        choice = choose_optimizer(optimizer, classes=len(data.dataset.names), images=1, epochs=1)
        self._optimizer = build_optimizer(model, choice, 0.0)
        self._ema = ModelEma(model)
        self._scaler = new_scaler(data.device, precision)

    def __enter__(self) -> _Steps:
        return self

    def __exit__(self, *_: object) -> None:
        del self._forward_loss, self._optimizer, self._ema
        release(self._data.device)

    def measure(self, size: int) -> Measured | None:
        """Steps of a size; None if they do not fit in memory."""
        device = self._data.device
        release(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        seconds = unless_out_of_memory(lambda: self._seconds(size), device)
        if seconds is None:
            self._optimizer.zero_grad()
            return None
        return Measured(size, _step_bytes(device), seconds)

    def _seconds(self, size: int) -> float:
        """Seconds of a step of a size."""
        batches = self._batches(size)
        self._step(next(batches))
        ready = list(batches)
        wait_for(self._data.device)
        started = time.perf_counter()
        for batch in ready:
            self._step(batch)
        wait_for(self._data.device)
        return (time.perf_counter() - started) / STEPS

    def _batches(self, size: int) -> Iterator[Batch]:
        """A batch to warm up with, and those that are timed, on the device."""
        samples = self._data.train_store.samples
        by_memory = self._data.device.type == "cuda"
        requests = crowded_requests(samples, size) if by_memory else first_requests(len(samples), size)
        return (batch.to(self._data.device) for batch in self._data.train_loader.batches(requests))

    def _step(self, batch: Batch) -> None:
        total = self._forward_loss.parts(batch, self._size, self._precision).sum()
        torch.autograd.backward(total if self._scaler is None else self._scaler.scale(total))
        self._optimizer.zero_grad(set_to_none=False)  # creates the moments, keeps the weights: only the cost counts
        self._optimizer.step()
        self._optimizer.zero_grad()
        self._ema.update()


def first_requests(count: int, size: int) -> list[BatchRequest]:
    """Request the first images of a split, batch after batch.

    Args:
        count: images of the split.
        size: images per batch.
    """
    return [BatchRequest(0, [(turn * size + i) % count for i in range(size)]) for turn in range(STEPS + 1)]


def crowded_requests(samples: Sequence[Sample], size: int) -> list[BatchRequest]:
    """Request the images with the most objects in each batch, the batch that takes the most memory.

    Partners of mosaic and others are drawn from these images too.

    Args:
        samples: the split.
        size: images per batch.
    """
    order = sorted(range(len(samples)), key=lambda index: -len(samples[index].boxes))[:size]
    images = [order[i % len(order)] for i in range(size)]
    shown = np.array(sorted(order), np.int32)
    return [BatchRequest(0, images, repeats=[turn] * size, shown=shown) for turn in range(STEPS + 1)]


def _step_bytes(device: torch.device) -> int:
    """Peak memory in use since it was reset, including other processes; on a CPU since the start."""
    if device.type != "cuda":
        return peak_process_bytes()
    free, total = torch.cuda.mem_get_info(device)
    others = total - free - torch.cuda.memory_reserved(device)
    return int(others + torch.cuda.max_memory_reserved(device))
