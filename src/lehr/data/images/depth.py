"""Samples of more than 8 bits, as 8 bits.

Cameras and scanners write 10, 12 or 14 bits into files of 16, so that the file does not say what white is. What it uses
decides: the least of 8, 10, 12, 14 and 16 bits that holds its largest sample. It is a rule for each file alone, so it
is the same in training, validation and prediction. `lehr data check` names files that differ from most of a data set.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.data.images.problem import BadImage

DEPTHS = (8, 10, 12, 14, 16)
"""Bits that sensors and files use."""


def used_bits(largest: int) -> int:
    """Bits that a file uses, by its largest sample, which is below 65,536."""
    return next(bits for bits in DEPTHS if largest < 2**bits)


def to_8_bits(samples: NDArray[Any], max_value: int | None) -> tuple[NDArray[np.uint8], int]:
    """Scale samples to 0 to 255.

    Args:
        samples: whole numbers or floating-point numbers; of these, 0 to 1 are shares of white, and more are numbers as
            files of whole numbers hold them; what is not finite counts as 0.
        max_value: the number that means white; None to find it.

    Returns:
        The samples, of the same shape, and the bits that they use; 0 for shares.

    Raises:
        BadImage: they are negative or above 65,535, so that it cannot be known what white is.
    """
    if samples.dtype == np.uint8:
        if max_value is None or max_value >= 255:
            return samples, 8
        return np.minimum(np.rint(samples * (255 / max_value)), 255).astype(np.uint8), 8
    if samples.dtype.kind == "f":
        samples = np.nan_to_num(samples, nan=0.0, posinf=0.0, neginf=0.0)
    low, high = samples.min(initial=0), samples.max(initial=0)
    if low < 0 or high > 65535:
        raise BadImage(
            f"holds samples from {low:g} to {high:g}: it is not known which is black and which white. "
            "Write it with 8 or 16 bits, or with floating-point numbers from 0 to 1."
        )
    if samples.dtype.kind == "f" and high <= 1:
        return np.rint(samples * 255).astype(np.uint8), 0
    bits = used_bits(int(high))
    white = max_value or 2**bits - 1
    if samples.dtype.kind == "f":
        return np.rint(np.minimum(samples * (255 / white), 255)).astype(np.uint8), bits
    table = np.minimum((np.arange(65536, dtype=np.int64) * 255 + white // 2) // white, 255).astype(np.uint8)
    return table[samples], bits
