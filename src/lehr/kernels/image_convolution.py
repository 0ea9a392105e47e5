"""The convolution that reads images: three channels, which libraries pad to eight, slowly.

The twin of `torch.nn.functional.conv2d` for few input channels in 16 bits, forward and for the weights' gradient;
images need none. Each program gathers the windows of some output pixels as rows of a matrix and multiplies it by the
weights (Chellapilla et al., "High Performance Convolutional Neural Networks for Document Processing", 2006), so that
images and result are read and written once.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

PIXELS, WARPS = 128, 4
"""Output pixels that a program of the forward pass computes, and its warps."""
SUMMED, PROGRAMS = 64, 1056
"""Output pixels that a program multiplies at once for the weights' gradient; and the number of such programs."""


@triton.jit
def _windows(
    x,
    p,
    count,
    h,
    w,
    oh,
    ow,
    CIN: tl.constexpr,
    SIDE: tl.constexpr,
    STRIDE: tl.constexpr,
    PAD: tl.constexpr,
    K: tl.constexpr,
):
    """Windows of some output pixels (pixels, K), zeros outside the image."""
    k = tl.arange(0, K)
    across, down = (k // CIN) % SIDE, k // (CIN * SIDE)
    column = (p % ow)[:, None] * STRIDE - PAD + across[None, :]
    row = ((p // ow) % oh)[:, None] * STRIDE - PAD + down[None, :]
    inside = (column >= 0) & (column < w) & (row >= 0) & (row < h)
    inside = inside & (p < count)[:, None] & (down < SIDE)[None, :]
    image = (p // (ow * oh)).to(tl.int64)[:, None]
    return tl.load(x + (((image * h + row) * w + column) * CIN + (k % CIN)[None, :]), mask=inside, other=0.0)


@triton.jit
def _convolve(
    x,
    weight,
    y,
    count,
    h,
    w,
    oh,
    ow,
    channels,
    CIN: tl.constexpr,
    SIDE: tl.constexpr,
    STRIDE: tl.constexpr,
    PAD: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    M: tl.constexpr,
):
    p = tl.program_id(0) * M + tl.arange(0, M)
    a = _windows(x, p, count, h, w, oh, ow, CIN, SIDE, STRIDE, PAD, K)
    k, n = tl.arange(0, K), tl.arange(0, N)
    total: tl.constexpr = CIN * SIDE * SIDE
    b = tl.load(
        weight + n[None, :] * total + k[:, None], mask=(k < total)[:, None] & (n < channels)[None, :], other=0.0
    )
    place = p.to(tl.int64)[:, None] * channels + n[None, :]
    tl.store(y + place, tl.dot(a, b).to(y.dtype.element_ty), mask=(p < count)[:, None] & (n < channels)[None, :])


@triton.jit
def _sum_weights(
    x,
    dy,
    partial,
    count,
    h,
    w,
    oh,
    ow,
    channels,
    stride,
    each,
    CIN: tl.constexpr,
    SIDE: tl.constexpr,
    STRIDE: tl.constexpr,
    PAD: tl.constexpr,
    K: tl.constexpr,
    N: tl.constexpr,
    M: tl.constexpr,
):
    """Contribution of output pixels to the weights' gradient, (K, N)."""
    part = tl.program_id(0)
    k, n = tl.arange(0, K), tl.arange(0, N)
    total = tl.zeros([K, N], tl.float32)
    start = part * each
    for first in range(start, tl.minimum(start + each, count), M):
        p = first + tl.arange(0, M)
        a = _windows(x, p, count, h, w, oh, ow, CIN, SIDE, STRIDE, PAD, K)
        seen = (p < count)[:, None] & (n < channels)[None, :]
        slope = tl.load(dy + (p.to(tl.int64)[:, None] * stride + n[None, :]), mask=seen, other=0.0)
        total += tl.dot(tl.trans(a), slope)
    tl.store(partial + part * K * N + k[:, None] * N + n[None, :], total)


class _ImageConvolution(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
        batch, cin, h, w = x.shape
        channels, side = weight.shape[0], weight.shape[2]
        oh, ow = (h + 2 * padding - side) // stride + 1, (w + 2 * padding - side) // stride + 1
        y = torch.empty_strided(
            (batch, channels, oh, ow), (channels * oh * ow, 1, channels * ow, channels), dtype=x.dtype, device=x.device
        )
        count = batch * oh * ow
        shape = {"CIN": cin, "SIDE": side, "STRIDE": stride, "PAD": padding}
        sizes = {
            "K": max(16, triton.next_power_of_2(cin * side * side)),
            "N": max(16, triton.next_power_of_2(channels)),
        }
        rows = weight.permute(0, 2, 3, 1).contiguous()  # (channels, side, side, cin)
        with torch.cuda.device_of(x):
            _convolve[(triton.cdiv(count, PIXELS),)](
                x, rows, y, count, h, w, oh, ow, channels, **shape, **sizes, M=PIXELS, num_warps=WARPS
            )
        ctx.save_for_backward(x)
        ctx.given = (shape, sizes, weight.dtype)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        (x,) = ctx.saved_tensors
        shape, sizes, dtype = ctx.given
        batch, channels, oh, ow = dy.shape
        cin, side = shape["CIN"], shape["SIDE"]
        dy = dy.contiguous(memory_format=torch.channels_last)
        count = batch * oh * ow
        each = triton.cdiv(triton.cdiv(count, SUMMED), PROGRAMS) * SUMMED
        parts = triton.cdiv(count, each)
        partial = torch.empty(parts, sizes["K"], sizes["N"], dtype=torch.float32, device=x.device)
        with torch.cuda.device_of(x):
            _sum_weights[(parts,)](
                x,
                dy,
                partial,
                count,
                x.shape[2],
                x.shape[3],
                oh,
                ow,
                channels,
                channels,
                each,
                **shape,
                **sizes,
                M=SUMMED,
                num_warps=WARPS,
            )
        rows = partial.sum(0)[: cin * side * side, :channels]  # (side side cin, channels)
        return None, rows.T.reshape(channels, side, side, cin).permute(0, 3, 1, 2).to(dtype), None, None


def convolve_images(x: Tensor, weight: Tensor, stride: int, padding: int) -> Tensor:
    """Convolve images, without bias.

    Args:
        x: (batch, cin, h, w) in 16 bits, channels-last in memory, with few channels; no gradient is computed for it.
        weight: (channels, cin, side, side), of the same type.
        stride: of the windows, pixels.
        padding: zeros around the image, pixels.

    Returns:
        (batch, channels, (h + 2 padding - side) // stride + 1, ...), channels-last.
    """
    out: Tensor = _ImageConvolution.apply(x, weight, stride, padding)
    return out
