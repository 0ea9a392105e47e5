"""Images at another size and in the type of a model, from their levels in one launch.

The twin of `Batch.normalized` and `techniques.multi_scale.resized`, without their intermediate float32 images. Equal to
them except for the last bits of float32, since a compiler chooses which products of a sum are fused.
"""

from __future__ import annotations

import torch
import triton
import triton.language as tl
from torch import Tensor

BLOCK = 512
"""Pixels per program."""
UNIT = tl.constexpr(1 / 255)
"""Torch divides by a number on CUDA like this: it multiplies by its reciprocal in float32."""


def resize(images: Tensor, height: int, width: int, dtype: torch.dtype) -> Tensor:
    """Interpolate bilinearly, without anti-aliasing, corners not aligned.

    Args:
        images: uint8 (batch, 3, h, w), on a CUDA device.
        height: afterwards, pixels.
        width: afterwards, pixels.
        dtype: float type that results in float32 are rounded to.

    Returns:
        (batch, 3, height, width), 0 to 1, channels-last in memory.
    """
    images = images.contiguous(memory_format=torch.channels_last)
    batch, _, old_height, old_width = images.shape
    shape = (batch, 3, height, width)
    resized = torch.empty(shape, dtype=dtype, device=images.device, memory_format=torch.channels_last)
    if not resized.numel():
        return resized
    with torch.cuda.device_of(images):
        _resize[(triton.cdiv(height * width, BLOCK), batch)](
            images,
            resized,
            old_height,
            old_width,
            height,
            width,
            old_height / height,
            old_width / width,
            BLOCK=BLOCK,
        )
    return resized


# Each step has another size: none may recompile the kernel.
@triton.jit(do_not_specialize=("old_height", "old_width", "height", "width"))
def _resize(images, resized, old_height, old_width, height, width, step_y, step_x, BLOCK: tl.constexpr):
    image = tl.program_id(1).to(tl.int64)
    place = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    inside = place < height * width
    y = tl.maximum(((place // width).to(tl.float32) + 0.5) * step_y - 0.5, 0.0)
    x = tl.maximum(((place % width).to(tl.float32) + 0.5) * step_x - 0.5, 0.0)
    top, left = tl.minimum(y.to(tl.int32), old_height - 1), tl.minimum(x.to(tl.int32), old_width - 1)
    y, x = y - top.to(tl.float32), x - left.to(tl.float32)
    right = tl.where(left < old_width - 1, 3, 0)  # bytes to the next column
    above = images + (image * old_height * old_width + top * old_width + left) * 3
    below = above + tl.where(top < old_height - 1, old_width * 3, 0)
    target = resized + (image * height * width + place) * 3
    for channel in tl.static_range(3):
        upper = _share(above + channel, inside) * (1 - x) + _share(above + channel + right, inside) * x
        lower = _share(below + channel, inside) * (1 - x) + _share(below + channel + right, inside) * x
        value = upper * (1 - y) + lower * y
        tl.store(target + channel, value.to(resized.dtype.element_ty), mask=inside)


@triton.jit
def _share(pointer, inside):
    """A level as its share of the highest."""
    return tl.load(pointer, mask=inside, other=0).to(tl.float32) * UNIT
