"""AutoBatch: how many images per step, from measured steps.

A step's memory grows by the same amount with each image, so a line through a few measured sizes gives the size that
fits in a share of the memory. On a CPU, memory is seldom the limit: there the fastest size is taken, and of equally
fast ones the smallest.

The hyperparameters belong to the nominal batch of 64 images (see `accumulation`). So whole batches add up to it, within
a twentieth: then every optimizer step sees as many images as it should. And the batch does not exceed it, since beyond
it each step would average over more images than the rates are meant for.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lehr.technique import Run, Section, State, Technique
from lehr.techniques.accumulation import accumulation

MEMORY_FRACTION = 0.6
"""Share of the memory that `auto` fills: batches differ in their objects, and other programs need memory too."""
AS_FAST = 0.95
"""Share of the best throughput that counts as equally fast."""
OFF = 0.05
"""Tolerance of the images of an optimizer step about the nominal batch, relative to it."""


@dataclass(frozen=True, slots=True)
class Measured:
    """Training steps of one size.

    Attributes:
        batch: images per step.
        bytes: peak memory of a step, everything included; 0 if unknown.
        seconds: per step.
    """

    batch: int
    bytes: int
    seconds: float

    @property
    def images_per_second(self) -> float:
        return self.batch / self.seconds


def memory_line(measured: Sequence[Measured]) -> tuple[float, float]:
    """The line `base + slope * batch` of the memory by least squares, bytes.

    Args:
        measured: at least two sizes.

    Returns:
        Base and slope, neither below 0.
    """
    count = len(measured)
    mean_batch = sum(one.batch for one in measured) / count
    mean_bytes = sum(one.bytes for one in measured) / count
    spread = sum((one.batch - mean_batch) ** 2 for one in measured)
    slope = sum((one.batch - mean_batch) * (one.bytes - mean_bytes) for one in measured) / spread
    slope = max(slope, 0.0)
    return max(mean_bytes - slope * mean_batch, 0.0), slope


def largest_fitting(measured: Sequence[Measured], budget: float) -> int:
    """The largest size whose memory, by the line, stays within a budget; 0 if not even one image does.

    Args:
        measured: sizes that ran; with a single one, only that is known to fit.
        budget: bytes.
    """
    fitting = [one.batch for one in measured if one.bytes <= budget]
    if len(measured) < 2:
        return max(fitting, default=0)
    base, slope = memory_line(measured)
    if slope == 0:
        return max(fitting, default=0)
    return max(0, int((budget - base) // slope))


def bisect_fitting(fits: Callable[[int], bool], known: int, limit: int, guess: int | None = None) -> int:
    """The largest size for which there is memory, by bisection.

    Args:
        fits: tries a size; if one does not fit, no larger one does.
        known: a size that fits, 0 if none is known.
        limit: the largest size that may fit.
        guess: tried first, above `known` and up to `limit`; None for the middle.
    """
    too_many = limit + 1
    while too_many - known > 1:
        size, guess = guess or (known + too_many) // 2, None
        if fits(size):
            known = size
        else:
            too_many = size
    return known


def fastest(measured: Sequence[Measured]) -> int:
    """The smallest size that is as fast as the fastest, within the noise of measuring."""
    best = max(one.images_per_second for one in measured)
    return min(one.batch for one in measured if one.images_per_second >= AS_FAST * best)


def fitting_nominal(max_batch: int, nominal: int, devices: int = 1) -> int:
    """The largest size up to a limit of which whole batches add up to the nominal batch, within a twentieth.

    If no size that divides over the devices does so, the nearest one.

    Args:
        max_batch: the limit, at least 1.
        nominal: images an optimizer step.
        devices: the size is a multiple of this; the limit is at least this.
    """
    sizes = range(max(min(max_batch, nominal) // devices, 1) * devices, 0, -devices)

    def off(size: int) -> int:
        return abs(accumulation(size, nominal) * size - nominal)

    return next((size for size in sizes if off(size) <= OFF * nominal), min(sizes, key=off))


def _state(run: Run) -> State:
    batch = run.config.data.batch
    if isinstance(batch, int):
        return State(False)
    share = MEMORY_FRACTION if batch == "auto" else float(batch)
    return State(True, f"measured before the run, {share:.0%} of the memory")


TECHNIQUE = Technique(
    name="AutoBatch",
    page="autobatch",
    section=Section.DEVICE,
    order=50,
    options=("batch",),
    why="as many images per step as the device takes and the learning rates allow",
    state=_state,
    turn_on="--batch auto",
    turn_off="--batch 16",
    code=("engine/autobatch.py",),
)
