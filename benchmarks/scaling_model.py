"""Model of the time of a step on several devices, to be compared with measurements.

Each device computes the gradients of its share of the images. In buckets, as backward completes them, they are summed
over all devices, while backward continues (DDP: Li et al. 2020, https://arxiv.org/abs/2006.15704):

    compute = a + b * images                                    one device with its share of the batch
    waiting = spread * E(n) * compute                           for the slowest of n devices
    reduce  = 2 (g - 1) / g * B / inside                        a ring over the g devices of each machine
            + 2 (m - 1) / m * B / across                        over the m machines
            + 2 (g - 1) * inside_latency + 2 ceil(log2 m) * across_latency
    step    = max(compute + waiting + part of reduce that comes after backward + small exchanges, input)

The ring moves the fewest bytes that an all-reduce can (Patarasuk & Yuan 2009). With several machines, each one is
reduced first; the rest goes from machine to machine in log2 m steps in each direction (recursive halving and doubling,
after Thakur, Rabenseifner & Gropp 2005; NCCL's trees take as many). E(n) is the expected maximum of n standard normal
numbers (Blom 1958): 0 for one, 1.4 for 8, 3.2 for 1,024; sqrt(2 ln n) is an upper bound.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

Limit = Literal["compute", "all-reduce", "input"]
BUCKET_BYTES = 25 * 2**20
"""Bytes of gradients that DDP sends together; torch's default."""
EXCHANGES = 2
"""Small exchanges per step: the loss's normalizers, and losses with BatchNorm's statistics."""


@dataclass(frozen=True, slots=True)
class Machine:
    """One of several identical machines, and the network between them.

    Attributes:
        devices: devices per machine.
        inside: bytes/s between its devices, as nccl-tests' bus bandwidth: what a device sends and receives at once.
        across: bytes/s that it sends to the other machines and receives at once, over all its network cards.
        inside_latency: seconds that a message between its devices takes in addition to the time of its bytes.
        across_latency: the same between machines.
        input_rate: images/s that it can prepare, with all workers of all its processes.
    """

    devices: int
    inside: float
    across: float
    inside_latency: float
    across_latency: float
    input_rate: float = math.inf


@dataclass(frozen=True, slots=True)
class Work:
    """Computation and communication of a step.

    Attributes:
        base: seconds of a device's step that do not depend on its images.
        each: further seconds per image.
        gradient_bytes: 4 per parameter, also in mixed precision.
        overlap: share of the computing time that is backward, during which gradients are sent; 0.6 as profiled on a
            CPU (docs/performance.md); 0 if sending uses the same cores.
        exchanges: small exchanges per step that all wait for; with --sync-bn two more per BatchNorm layer.
        spread: standard deviation of a device's computing time from step to step, relative to it.
        bucket_bytes: bytes of gradients that are sent together.
    """

    base: float
    each: float
    gradient_bytes: float
    overlap: float = 0.6
    exchanges: int = EXCHANGES
    spread: float = 0.0
    bucket_bytes: float = BUCKET_BYTES

    def compute_seconds(self, images: float) -> float:
        """Seconds that one device computes for some images."""
        return self.base + self.each * images


@dataclass(frozen=True, slots=True)
class Prediction:
    """Predicted step on some devices.

    Attributes:
        devices: number of devices.
        batch: images per step, of all devices together.
        seconds: seconds per step.
        efficiency: images/s relative to the same number of devices, each as fast as one alone.
        limit: what takes most of the step's time.
        compute: seconds that a device computes.
        waiting: seconds that it waits for the slowest.
        reducing: seconds that it waits for gradients and small exchanges.
        input: seconds in which its machine prepares the images of a step.
    """

    devices: int
    batch: int
    seconds: float
    efficiency: float
    limit: Limit
    compute: float
    waiting: float
    reducing: float
    input: float

    @property
    def images_per_second(self) -> float:
        """Images per second of all devices together."""
        return self.batch / self.seconds


def largest_of(count: int) -> float:
    """Expected maximum of some standard normal numbers, by Blom's approximation (error at most 0.03)."""
    return NormalDist().inv_cdf((count - 0.375) / (count + 0.25))


def all_reduce_seconds(size: float, machine: Machine, devices: int) -> float:
    """Seconds until all devices have the sum of what each holds.

    Args:
        size: bytes that each device holds.
        machine: the machines that the devices are in.
        devices: number of devices; each machine but the last has its full number.
    """
    inside = min(devices, machine.devices)
    machines = math.ceil(devices / machine.devices)
    ring = 2 * (inside - 1) * (size / inside / machine.inside + machine.inside_latency)
    share = 2 * (machines - 1) / machines * size
    return ring + share / machine.across + 2 * math.ceil(math.log2(machines)) * machine.across_latency


def late_seconds(work: Work, machine: Machine, devices: int, compute: float) -> float:
    """Seconds after the end of backward until the last gradients have arrived.

    Backward fills one bucket after another at an even pace; each is sent when it is full and the previous one has
    arrived. The last is full at the end of backward, so part of the all-reduce always comes after it.
    """
    if devices == 1:
        return 0.0
    backward, filled, arrived = work.overlap * compute, 0.0, 0.0
    while filled < work.gradient_bytes:
        size = min(work.bucket_bytes, work.gradient_bytes - filled)
        filled += size
        full = backward * filled / work.gradient_bytes
        arrived = max(arrived, full) + all_reduce_seconds(size, machine, devices)
    return max(0.0, arrived - backward)


def predict(work: Work, machine: Machine, devices: int, batch: int, alone: int | None = None) -> Prediction:
    """Predict the step of some devices.

    Args:
        work: what a step computes and sends.
        machine: the machines that the devices are in.
        devices: number of devices.
        batch: images per step, of all devices together.
        alone: images per step of the single device that the efficiency compares with; by default as many as each of
            these has.

    Raises:
        ValueError: the batch is not divisible by the number of devices.
    """
    if batch % devices:
        raise ValueError(f"A batch of {batch} images does not divide by {devices} devices.")
    images = batch // devices
    compute = work.compute_seconds(images)
    waiting = work.spread * largest_of(devices) * compute
    reducing = late_seconds(work, machine, devices, compute)
    reducing += work.exchanges * all_reduce_seconds(0, machine, devices)
    preparing = images * min(devices, machine.devices) / machine.input_rate
    seconds = max(compute + waiting + reducing, preparing)
    limit: Limit = "input" if preparing == seconds else "all-reduce" if reducing > compute + waiting else "compute"
    one = images if alone is None else alone
    one_seconds = max(work.compute_seconds(one), one / machine.input_rate)
    efficiency = batch / seconds / (devices * one / one_seconds)
    return Prediction(devices, batch, seconds, efficiency, limit, compute, waiting, reducing, preparing)


def weak_scaling(work: Work, machine: Machine, images: int, counts: Sequence[int]) -> list[Prediction]:
    """Predict steps of increasing numbers of devices with the same number of images each: the batch grows.

    Args:
        work: what a step computes and sends.
        machine: the machines that the devices are in.
        images: images per step and device.
        counts: numbers of devices.
    """
    return [predict(work, machine, count, images * count) for count in counts]


def strong_scaling(work: Work, machine: Machine, batch: int, counts: Sequence[int]) -> list[Prediction]:
    """Predict steps of increasing numbers of devices that share the same batch.

    Args:
        work: what a step computes and sends.
        machine: the machines that the devices are in.
        batch: images per step, of all devices together; the efficiency compares with one device that takes them all.
        counts: numbers of devices, by each of which the batch must be divisible.
    """
    return [predict(work, machine, count, batch, alone=batch) for count in counts]
