"""Batch normalization and SiLU as one: the twin of `SiLU()(BatchNorm2d()(x))` on channels-last features.

The features are rows of channels. Forward reads them twice, for the statistics and for the result; backward reads them
and the gradient twice. The normalized features are recomputed in backward instead of being stored, which saves a third
of the memory of a convolution block (Rota Bulò et al., "In-Place Activated BatchNorm", 2018). Sums are computed in two
stages of fixed order, so that results are bit-reproducible.
"""

from __future__ import annotations

from typing import Any

import torch
import triton
import triton.language as tl
from torch import Tensor
from torch.autograd.function import once_differentiable

SUM_TILE, SUM_WARPS = 4096, 8
"""Values that a program adds at once, and its warps: few per thread, so that many programs fit on a multiprocessor."""
STAGES = 3
"""Tiles loading from memory while one is added."""
PROGRAMS = 512
"""Approximate number of summing programs: 4 for each multiprocessor of a large GPU."""
MAP_TILE, MAP_WARPS = 4096, 8
"""Values that a program computes from the sums, and its warps."""
FINISH_PARTS, FINISH_CHANNELS, FINISH_WARPS = 512, 8, 4
"""Partial sums that are added at once, of how many channels, by how many warps."""


@triton.jit
def _sum_features(x, partial, rows, channels, rows_each, R: tl.constexpr, C: tl.constexpr, S: tl.constexpr):
    """Sums of the features and of their squares, both after the first row is subtracted."""
    part = tl.program_id(0).to(tl.int64)  # and with it all offsets in the features
    c = tl.program_id(1) * C + tl.arange(0, C)
    has_c = c < channels
    shift = tl.load(x + c, mask=has_c, other=0.0).to(tl.float32)
    total = tl.zeros([R, C], tl.float32)
    squares = tl.zeros([R, C], tl.float32)
    start = part * rows_each
    stop = tl.minimum(start + rows_each, rows)
    for row in tl.range(start, stop, R, num_stages=S):
        r = tl.arange(0, R)
        inside = (row + r < stop)[:, None] & has_c[None, :]
        base = x + row * channels
        value = tl.load(base + r[:, None] * channels + c[None, :], mask=inside, other=0.0).to(tl.float32)
        value = tl.where(inside, value - shift[None, :], 0.0)
        total += value
        squares += value * value
    target = partial + part * 2 * channels + c
    tl.store(target, tl.sum(total, 0), mask=has_c)
    tl.store(target + channels, tl.sum(squares, 0), mask=has_c)


@triton.jit
def _total(partial, parts, channels, c, has_c, P: tl.constexpr, C: tl.constexpr):
    """Both sums of all parts."""
    first = tl.zeros([P, C], tl.float32)
    second = tl.zeros([P, C], tl.float32)
    for part in range(0, parts, P):
        p = part + tl.arange(0, P)
        inside = (p < parts)[:, None] & has_c[None, :]
        source = partial + p[:, None] * 2 * channels + c[None, :]
        first += tl.load(source, mask=inside, other=0.0)
        second += tl.load(source + channels, mask=inside, other=0.0)
    return tl.sum(first, 0), tl.sum(second, 0)


@triton.jit
def _finish_statistics(
    x,
    partial,
    parts,
    rows,
    channels,
    mean,
    scale,
    means,
    variances,
    momentum,
    eps,
    P: tl.constexpr,
    C: tl.constexpr,
):
    """Mean and reciprocal standard deviation of each channel; the running statistics move towards them."""
    c = tl.program_id(0) * C + tl.arange(0, C)
    has_c = c < channels
    total, squares = _total(partial, parts, channels, c, has_c, P, C)
    shift = tl.load(x + c, mask=has_c, other=0.0).to(tl.float32)
    moved = total / rows
    variance = squares / rows - moved * moved
    variance = tl.where(variance < 0, 0.0, variance)  # not maximum, which may lose NaN
    average = shift + moved
    tl.store(mean + c, average, mask=has_c)
    tl.store(scale + c, 1.0 / tl.sqrt(variance + eps), mask=has_c)
    before = tl.load(means + c, mask=has_c)
    tl.store(means + c, before + momentum * (average - before), mask=has_c)
    before = tl.load(variances + c, mask=has_c)
    unbiased = variance * (rows / (rows - 1.0))
    tl.store(variances + c, before + momentum * (unbiased - before), mask=has_c)


@triton.jit
def _normalize(
    x, y, mean, scale, weight, bias, rows, channels, eps, VARIANCE: tl.constexpr, R: tl.constexpr, C: tl.constexpr
):
    """SiLU of the normalized features; `scale` is the variance where VARIANCE is set."""
    c = tl.program_id(1) * C + tl.arange(0, C)
    has_c = c < channels
    row = tl.program_id(0).to(tl.int64) * R
    r = tl.arange(0, R)
    inside = (row + r < rows)[:, None] & has_c[None, :]
    place = row * channels + (r[:, None] * channels + c[None, :])
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    factor = tl.load(scale + c, mask=has_c, other=1.0)
    if VARIANCE:
        factor = 1.0 / tl.sqrt(factor + eps)
    hat = (value - tl.load(mean + c, mask=has_c, other=0.0)[None, :]) * factor[None, :]
    z = hat * tl.load(weight + c, mask=has_c, other=0.0)[None, :] + tl.load(bias + c, mask=has_c, other=0.0)[None, :]
    tl.store(y + place, (z * tl.sigmoid(z)).to(y.dtype.element_ty), mask=inside)


@triton.jit
def _through_silu(value, slope, mean, scale, weight, bias):
    """Normalized features and the gradient before SiLU, of those after it."""
    hat = (value - mean[None, :]) * scale[None, :]
    z = hat * weight[None, :] + bias[None, :]
    share = tl.sigmoid(z)
    return hat, slope * share * (1.0 + z * (1.0 - share))


@triton.jit
def _sum_gradients(
    x,
    dy,
    partial,
    mean,
    scale,
    weight,
    bias,
    rows,
    channels,
    stride,
    rows_each,
    R: tl.constexpr,
    C: tl.constexpr,
    S: tl.constexpr,
):
    """Sums of the gradient before SiLU, and of its products with the normalized features."""
    part = tl.program_id(0).to(tl.int64)  # and with it all offsets in the features
    c = tl.program_id(1) * C + tl.arange(0, C)
    has_c = c < channels
    m, s = tl.load(mean + c, mask=has_c, other=0.0), tl.load(scale + c, mask=has_c, other=0.0)
    w, b = tl.load(weight + c, mask=has_c, other=0.0), tl.load(bias + c, mask=has_c, other=0.0)
    total = tl.zeros([R, C], tl.float32)
    products = tl.zeros([R, C], tl.float32)
    start = part * rows_each
    stop = tl.minimum(start + rows_each, rows)
    for row in tl.range(start, stop, R, num_stages=S):
        r = tl.arange(0, R)
        inside = (row + r < stop)[:, None] & has_c[None, :]
        value = tl.load(x + row * channels + (r[:, None] * channels + c[None, :]), mask=inside, other=0.0).to(
            tl.float32
        )
        slope = tl.load(dy + row * stride + (r[:, None] * stride + c[None, :]), mask=inside, other=0.0).to(tl.float32)
        hat, dz = _through_silu(value, slope, m, s, w, b)
        dz = tl.where(inside, dz, 0.0)
        total += dz
        products += dz * hat
    target = partial + part * 2 * channels + c
    tl.store(target, tl.sum(total, 0), mask=has_c)
    tl.store(target + channels, tl.sum(products, 0), mask=has_c)


@triton.jit
def _finish_gradients(partial, parts, channels, dweight, dbias, P: tl.constexpr, C: tl.constexpr):
    c = tl.program_id(0) * C + tl.arange(0, C)
    has_c = c < channels
    total, products = _total(partial, parts, channels, c, has_c, P, C)
    tl.store(dbias + c, total, mask=has_c)
    tl.store(dweight + c, products, mask=has_c)


@triton.jit
def _differentiate(
    x, dy, dx, mean, scale, weight, bias, dweight, dbias, rows, channels, stride, R: tl.constexpr, C: tl.constexpr
):
    """Gradient of the features."""
    c = tl.program_id(1) * C + tl.arange(0, C)
    has_c = c < channels
    row = tl.program_id(0).to(tl.int64) * R
    r = tl.arange(0, R)
    inside = (row + r < rows)[:, None] & has_c[None, :]
    place = row * channels + (r[:, None] * channels + c[None, :])
    value = tl.load(x + place, mask=inside, other=0.0).to(tl.float32)
    slope = tl.load(dy + row * stride + (r[:, None] * stride + c[None, :]), mask=inside, other=0.0).to(tl.float32)
    m, s = tl.load(mean + c, mask=has_c, other=0.0), tl.load(scale + c, mask=has_c, other=0.0)
    w, b = tl.load(weight + c, mask=has_c, other=0.0), tl.load(bias + c, mask=has_c, other=0.0)
    hat, dz = _through_silu(value, slope, m, s, w, b)
    dw, db = tl.load(dweight + c, mask=has_c, other=0.0), tl.load(dbias + c, mask=has_c, other=0.0)
    result = (s * w)[None, :] * (dz - (db[None, :] + hat * dw[None, :]) / rows)
    tl.store(dx + place, result.to(dx.dtype.element_ty), mask=inside)


class _BatchNormSiLU(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        x: Tensor,
        weight: Tensor,
        bias: Tensor,
        running_mean: Tensor,
        running_var: Tensor,
        momentum: float,
        eps: float,
    ) -> Tensor:
        rows, channels, r, c = _tiles(x, SUM_TILE)
        statistics = torch.empty(2, channels, dtype=torch.float32, device=x.device)
        mean, scale = statistics[0], statistics[1]
        parts, rows_each = _parts(rows, r, triton.cdiv(channels, c))
        partial = torch.empty(parts, 2, channels, dtype=torch.float32, device=x.device)
        y = torch.empty_like(x)
        with torch.cuda.device_of(x):
            _sum_features[(parts, triton.cdiv(channels, c))](
                x, partial, rows, channels, rows_each, R=r, C=c, S=STAGES, num_warps=SUM_WARPS
            )
            moved = (running_mean, running_var, momentum, eps)
            _finish_statistics[(triton.cdiv(channels, FINISH_CHANNELS),)](
                x, partial, parts, rows, channels, mean, scale, *moved, **_finishing()
            )
            _, _, r, c = _tiles(x, MAP_TILE)
            _normalize[(triton.cdiv(rows, r), triton.cdiv(channels, c))](
                x, y, mean, scale, weight, bias, rows, channels, eps, VARIANCE=False, R=r, C=c, num_warps=MAP_WARPS
            )
        ctx.save_for_backward(x, weight, bias, statistics)
        return y

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, dy: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, bias, statistics = ctx.saved_tensors
        mean, scale = statistics[0], statistics[1]
        rows, channels, r, c = _tiles(x, SUM_TILE)
        dy, stride = _rows_of(dy)
        parts, rows_each = _parts(rows, r, triton.cdiv(channels, c))
        partial = torch.empty(parts, 2, channels, dtype=torch.float32, device=x.device)
        dweight, dbias = torch.empty_like(weight), torch.empty_like(bias)
        dx = torch.empty_like(x)
        with torch.cuda.device_of(x):
            known = (mean, scale, weight, bias)
            _sum_gradients[(parts, triton.cdiv(channels, c))](
                x, dy, partial, *known, rows, channels, stride, rows_each, R=r, C=c, S=STAGES, num_warps=SUM_WARPS
            )
            _finish_gradients[(triton.cdiv(channels, FINISH_CHANNELS),)](
                partial, parts, channels, dweight, dbias, **_finishing()
            )
            _, _, r, c = _tiles(x, MAP_TILE)
            _differentiate[(triton.cdiv(rows, r), triton.cdiv(channels, c))](
                x, dy, dx, *known, dweight, dbias, rows, channels, stride, R=r, C=c, num_warps=MAP_WARPS
            )
        return dx, dweight, dbias, None, None, None, None


def batch_norm_silu(
    x: Tensor, weight: Tensor, bias: Tensor, running_mean: Tensor, running_var: Tensor, momentum: float, eps: float
) -> Tensor:
    """Normalize features by the statistics of their batch, then apply SiLU; the running statistics are updated.

    Args:
        x: (batch, channels, h, w), channels-last in memory, more than one value per channel.
        weight: float32 (channels,).
        bias: float32 (channels,).
        running_mean: float32 (channels,), changed in place.
        running_var: float32 (channels,), changed in place.
        momentum: share of the batch in the running statistics, 0 to 1.
        eps: added to the variance.

    Returns:
        (batch, channels, h, w), of the type of `x`, channels-last.
    """
    out: Tensor = _BatchNormSiLU.apply(x, weight, bias, running_mean, running_var, momentum, eps)
    return out


def normalize_silu(x: Tensor, weight: Tensor, bias: Tensor, mean: Tensor, variance: Tensor, eps: float) -> Tensor:
    """Normalize features by given statistics, then apply SiLU; without gradients.

    Args:
        x: (batch, channels, h, w), channels-last in memory.
        weight: float32 (channels,).
        bias: float32 (channels,).
        mean: float32 (channels,).
        variance: float32 (channels,).
        eps: added to the variance.
    """
    rows, channels, r, c = _tiles(x, MAP_TILE)
    y = torch.empty_like(x)
    with torch.cuda.device_of(x):
        _normalize[(triton.cdiv(rows, r), triton.cdiv(channels, c))](
            x, y, mean, variance, weight, bias, rows, channels, eps, VARIANCE=True, R=r, C=c, num_warps=MAP_WARPS
        )
    return y


def _finishing() -> dict[str, int]:
    return {"P": FINISH_PARTS, "C": FINISH_CHANNELS, "num_warps": FINISH_WARPS}


def _tiles(x: Tensor, tile: int) -> tuple[int, int, int, int]:
    """Rows and channels of the features, and of a tile of so many of them."""
    channels = x.shape[1]
    c = min(128, triton.next_power_of_2(channels))
    return x.numel() // channels, channels, tile // c, c


def _parts(rows: int, r: int, columns: int) -> tuple[int, int]:
    """Number of separately summed parts, and rows of each: whole tiles."""
    tiles = triton.cdiv(rows, r)
    each = triton.cdiv(tiles, max(1, PROGRAMS // columns))
    return triton.cdiv(tiles, each), each * r


def _rows_of(dy: Tensor) -> tuple[Tensor, int]:
    """Return a gradient with a constant stride between rows of channels, and that stride; channel slices are
    unchanged."""
    height, width = dy.shape[2:]
    stride = dy.stride(3) if width > 1 else dy.stride(2) if height > 1 else dy.stride(0)
    if dy.stride() == (height * width * stride, 1, width * stride, stride) and stride >= dy.shape[1]:
        return dy, stride
    return dy.contiguous(memory_format=torch.channels_last), dy.shape[1]
