"""Latency of networks, side by side: in turns, so that whatever else the machine does meets all of them alike."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from lehr.models.network import Network

WARM_UP, ROUNDS = 3, 30


@dataclass(frozen=True, slots=True)
class Latency:
    """Milliseconds that a network takes for an image, from its tensor to boxes and scores.

    Attributes:
        median: of all rounds.
        p95: 95th percentile.
    """

    median: float
    p95: float


@torch.inference_mode()
def measure_latency(networks: Sequence[Network], images: Sequence[Tensor], rounds: int = ROUNDS) -> list[Latency]:
    """Measure networks in turns, image by image.

    Args:
        networks: each in eval mode.
        images: (1, 3, height, width) each, RGB, 0 to 1, on the CPU; round by round the next.
        rounds: measured, after a few that are not.
    """
    spent = np.zeros((len(networks), rounds))
    for turn in range(-WARM_UP, rounds):
        image = images[turn % len(images)]
        for index, network in enumerate(networks):
            given = image.to(network.device)
            start = time.perf_counter()
            network(given).decode()
            if network.device.type == "cuda":
                torch.cuda.synchronize(network.device)
            if turn >= 0:
                spent[index, turn] = time.perf_counter() - start
    return [Latency(*(np.percentile(own, (50, 95)) * 1e3).round(3).tolist()) for own in spent]
