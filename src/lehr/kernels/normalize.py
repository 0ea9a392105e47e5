"""Levels as shares of the highest, in the type of a model, in one launch: the twin of `Batch.normalized`."""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 4096
"""Levels that a program converts: 16 per thread, read and written 16 bytes at once."""
UNIT = tl.constexpr(1 / 255)
"""Torch divides by a number on CUDA like this: it multiplies by its reciprocal in float32."""


def normalize(images: Tensor, dtype: torch.dtype) -> Tensor:
    """Divide levels by 255 in float32.

    Args:
        images: uint8, of any shape, on a CUDA device.
        dtype: float type that the quotients are rounded to.

    Returns:
        0 to 1, of the shape and memory format of `images`.
    """
    shares = torch.empty_like(images, dtype=dtype)
    if shares.stride() != images.stride():  # with gaps between
        images = torch.empty_like(shares, dtype=images.dtype).copy_(images)
    if images.numel():
        with torch.cuda.device_of(images):
            _normalize[(triton.cdiv(images.numel(), BLOCK),)](images, shares, images.numel(), BLOCK=BLOCK, num_warps=8)
    return shares


@triton.jit
def _normalize(images, shares, count, BLOCK: tl.constexpr):
    place = tl.program_id(0).to(tl.int64) * BLOCK + tl.arange(0, BLOCK)
    inside = place < count
    share = tl.load(images + place, mask=inside, other=0).to(tl.float32) * UNIT
    tl.store(shares + place, share.to(shares.dtype.element_ty), mask=inside)
