"""Randomness without state: every draw is a function of (seed, purpose, epoch, index), and of how often before.

A counter-based generator (Philox 4x64; Salmon et al., "Parallel Random Numbers: As Easy as 1, 2, 3", 2011) is
keyed by the seed and the purpose and started at a counter made of the epoch, the index and the repeat. So what is
drawn for an image does not depend on workers, ranks, or what was drawn before.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache

import numpy as np


@lru_cache(maxsize=256)
def _purpose_word(purpose: str) -> int:
    return int.from_bytes(hashlib.blake2b(purpose.encode(), digest_size=8).digest(), "little")


def generator(seed: int, purpose: str, epoch: int = 0, index: int = 0, repeat: int = 0) -> np.random.Generator:
    """The generator of one draw: the same arguments give the same numbers on every machine.

    Args:
        seed: the run's seed, 0 to 2**64 - 1.
        purpose: what is drawn, e.g. "order" or "augment"; different purposes are independent.
        epoch: the epoch, from 0.
        index: the image, step or object the draw belongs to, from 0.
        repeat: how often the same index has had such a draw in this epoch before; 0 if each has one.
    """
    key = np.array([seed, _purpose_word(purpose)], dtype=np.uint64)
    counter = np.array([0, repeat, index, epoch], dtype=np.uint64)
    return np.random.Generator(np.random.Philox(counter=counter, key=key))
