"""Canvases of packed crops in one launch: located, interpolated, blended, patched, recoloured, erased, stored.

The twin of the torch operations of `augment/draw_on_device.py` and `augment/colour_on_device.py`, which are the
definition. Its arithmetic is theirs, operation by operation, with fused multiply-adds where theirs are fused on a CPU
(`torch.lerp`, `torch.addcmul`). Levels are equal to those on a CPU, and on CUDA but for colours: there `torch.addcmul`
rounds twice, so that up to 1 in 1,000 levels is 1 off.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
import triton
import triton.language as tl
from torch import Tensor

if TYPE_CHECKING:
    from lehr.augment.gpu_plan import PackedCanvases

TALL, WIDE = 8, 64
"""Canvas pixels that a program draws, rows and columns: 4 per thread, neighbours in the canvas and so in the source."""
LISTED = tl.constexpr(128)
"""Entries of a list of canvases read at once."""
ROUNDING = tl.constexpr(12582912.0)
"""1.5 * 2**23: adding it leaves a float32 below 2**22 no bits behind the point, rounded half to even."""
FRACTION, ONE = tl.constexpr(12), tl.constexpr(1 << 12)
"""As in `colour_on_device`: bits after the binary point in OpenCV's conversion from RGB, and 1 in them."""
HUES = tl.constexpr(180)
"""As in `colour`: values of the hue."""
FIRST_FACTOR, SECOND_FACTOR = tl.constexpr(0x7FEB352D), tl.constexpr(0x846CA68B)
"""As in `erasing`: multipliers of the hash."""

POINTERS = (
    *("pixels", "inverses", "limits", "crops", "blended", "shares", "coloured", "tables"),
    *("patched", "patches", "erased", "rectangles", "keys", "images"),
)
COUNTS = ("width", "height", "layers", "partners", "jittered", "patch_count", "erased_count", "batch")


def draw(packed: PackedCanvases) -> Tensor:
    """Draw canvases on their CUDA device; the host does not wait.

    Args:
        packed: the canvases.

    Returns:
        uint8 (batch, height, width, 3), RGB.
    """
    partners, patches, layers = len(packed.blended), len(packed.patched), packed.inverses.shape[1]
    batch = len(packed.inverses) - partners - patches
    images = torch.empty((batch, packed.height, packed.width, 3), dtype=torch.uint8, device=packed.pixels.device)
    if not images.numel():
        return images
    packed = packed.map(Tensor.contiguous)
    columns = triton.cdiv(packed.width, WIDE)
    with torch.cuda.device_of(images):
        _draw[(columns * triton.cdiv(packed.height, TALL), batch)](
            packed.pixels,
            packed.inverses,
            packed.limits,
            packed.crops,
            packed.blended,
            packed.shares,
            packed.coloured,
            packed.tables,
            packed.patched,
            packed.patches,
            packed.erased,
            packed.rectangles,
            packed.keys,
            images,
            packed.width,
            packed.height,
            layers,
            partners,
            len(packed.coloured),
            patches,
            len(packed.erased),
            batch,
            LINES=packed.inverses.shape[2],
            TALL=TALL,
            WIDE=WIDE,
            num_warps=4,
            enable_fp_fusion=False,
        )
    return images


# Counts change from batch to batch, and tensors may begin anywhere in a block: neither may recompile the kernel.
@triton.jit(do_not_specialize=COUNTS, do_not_specialize_on_alignment=POINTERS)
def _draw(
    pixels,
    inverses,
    limits,
    crops,
    blended,
    shares,
    coloured,
    tables,
    patched,
    patches,
    erased,
    rectangles,
    keys,
    images,
    width,
    height,
    layers,
    partners,
    jittered,
    patch_count,
    erased_count,
    batch,
    LINES: tl.constexpr,
    TALL: tl.constexpr,
    WIDE: tl.constexpr,
):
    canvas = tl.program_id(1)
    columns = tl.cdiv(width, WIDE)
    first_row, first_column = tl.program_id(0) // columns * TALL, tl.program_id(0) % columns * WIDE
    row, column = first_row + tl.arange(0, TALL)[:, None], first_column + tl.arange(0, WIDE)[None, :]
    inside = (row < height) & (column < width)
    red, green, blue = _resample(
        pixels, inverses, limits, crops, canvas, layers, first_column, first_row, column, row, inside, LINES
    )

    place = _find(blended, partners, canvas)
    if place >= 0:
        share = tl.load(shares + place)
        there = batch + place
        other_red, other_green, other_blue = _resample(
            pixels, inverses, limits, crops, there, layers, first_column, first_row, column, row, inside, LINES
        )
        red = _rounded(red * share + other_red * (1 - share))
        green = _rounded(green * share + other_green * (1 - share))
        blue = _rounded(blue * share + other_blue * (1 - share))

    place = _find(patched, patch_count, canvas)
    if place >= 0:
        seen = inside & _within(patches + 4 * place, column, row)
        there = batch + partners + place
        other_red, other_green, other_blue = _resample(
            pixels, inverses, limits, crops, there, layers, first_column, first_row, column, row, seen, LINES
        )
        red = tl.where(seen, other_red, red)
        green = tl.where(seen, other_green, green)
        blue = tl.where(seen, other_blue, blue)

    red, green, blue = red.to(tl.int32), green.to(tl.int32), blue.to(tl.int32)
    place = _find(coloured, jittered, canvas)
    if place >= 0:
        red, green, blue = _jitter(red, green, blue, tables + 3 * 256 * place, inside)

    place = _find(erased, erased_count, canvas)
    if place >= 0:
        gone = _within(rectangles + 4 * place, column, row)
        bits = _hash(row * width + column, tl.load(keys + place))
        red = tl.where(gone, bits & 255, red)
        green = tl.where(gone, bits >> 8 & 255, green)
        blue = tl.where(gone, bits >> 16 & 255, blue)

    target = images + ((canvas.to(tl.int64) * height + row) * width + column) * 3
    tl.store(target, red.to(tl.uint8), mask=inside)
    tl.store(target + 1, green.to(tl.uint8), mask=inside)
    tl.store(target + 2, blue.to(tl.uint8), mask=inside)


@triton.jit
def _find(canvases, count, canvas):
    """Position of a canvas in a list; -1 if absent."""
    found = -1
    for start in range(0, count, LISTED):
        place = start + tl.arange(0, LISTED)
        listed = tl.load(canvases + place, mask=place < count, other=-1)
        found = tl.maximum(found, tl.max(tl.where(listed == canvas, place, -1), 0))
    return found


@triton.jit
def _within(rectangle, column, row):
    x1, y1 = tl.load(rectangle), tl.load(rectangle + 1)
    x2, y2 = tl.load(rectangle + 2), tl.load(rectangle + 3)
    return (column >= x1) & (column < x2) & (row >= y1) & (row < y2)


@triton.jit
def _resample(
    pixels, inverses, limits, crops, canvas, layers, first_column, first_row, column, row, wanted, LINES: tl.constexpr
):
    """Whole levels of pixels of a canvas, neither blended nor coloured, float32: red, green, blue."""
    x = tl.zeros(wanted.shape, tl.float32)
    y = tl.zeros(wanted.shape, tl.float32)
    offset = tl.zeros(wanted.shape, tl.int32)
    stride = tl.zeros(wanted.shape, tl.int32)
    across, down = column.to(tl.float32), row.to(tl.float32)
    first_x, last_x = first_column.to(tl.float32), (first_column + wanted.shape[1] - 1).to(tl.float32)
    first_y, last_y = first_row.to(tl.float32), (first_row + wanted.shape[0] - 1).to(tl.float32)
    for layer in range(layers):
        index = canvas * layers + layer
        matrix, limit, crop = inverses + index * LINES * 3, limits + index * 4, crops + index * 4
        seen = LINES == 3
        if LINES == 2:
            seen = _reaches(matrix, first_x, last_x, first_y, last_y, tl.load(limit), tl.load(limit + 2))
            seen = seen & _reaches(matrix + 3, first_x, last_x, first_y, last_y, tl.load(limit + 1), tl.load(limit + 3))
        if seen:
            u, v = _line(matrix, across, down), _line(matrix + 3, across, down)
            here = wanted
            if LINES == 3:
                depth = _line(matrix + 6, across, down)
                here = here & (depth > 0)  # nothing is visible beyond the horizon
                depth = tl.where(depth > 0, depth, 1.0)
                u, v = tl.div_rn(u, depth), tl.div_rn(v, depth)
            here = here & (u >= tl.load(limit)) & (u < tl.load(limit + 2))
            here = here & (v >= tl.load(limit + 1)) & (v < tl.load(limit + 3))
            x = tl.where(here, tl.minimum(tl.maximum(u, 0.0), tl.load(crop + 2).to(tl.float32)), x)
            y = tl.where(here, tl.minimum(tl.maximum(v, 0.0), tl.load(crop + 3).to(tl.float32)), y)
            offset = tl.where(here, tl.load(crop), offset)
            stride = tl.where(here, tl.load(crop + 1), stride)
    left, upper = tl.floor(x), tl.floor(y)
    x, y = x - left, y - upper
    # Beyond the last column or row, any value is read, with weight 0.
    above = pixels + (offset + upper.to(tl.int32) * stride + left.to(tl.int32)).to(tl.int64) * 3
    below = above + stride.to(tl.int64) * 3
    red = _interpolate(above, below, x, y, wanted)
    green = _interpolate(above + 1, below + 1, x, y, wanted)
    blue = _interpolate(above + 2, below + 2, x, y, wanted)
    return red, green, blue


@triton.jit
def _reaches(matrix, first_x, last_x, first_y, last_y, low, high):
    """Return whether a coordinate may be within limits somewhere in a block of the canvas.

    Sums and products are rounded in the order of their exact values, so the corners bound the values of `_line` between
    them.
    """
    slope, rise, shift = tl.load(matrix), tl.load(matrix + 1), tl.load(matrix + 2)
    one, other = slope * first_x, slope * last_x
    first, last = rise * first_y + shift, rise * last_y + shift
    least = tl.minimum(one, other) + tl.minimum(first, last)
    return (tl.maximum(one, other) + tl.maximum(first, last) >= low) & (least < high)


@triton.jit
def _line(matrix, across, down):
    """A coordinate of the source."""
    return tl.load(matrix) * across + (tl.load(matrix + 1) * down + tl.load(matrix + 2))


@triton.jit
def _interpolate(above, below, x, y, wanted):
    """A channel between four pixels, rounded."""
    upper = _lerp(_level(above, wanted), _level(above + 3, wanted), x)
    lower = _lerp(_level(below, wanted), _level(below + 3, wanted), x)
    return _rounded(_lerp(upper, lower, y))


@triton.jit
def _level(pointer, wanted):
    return tl.load(pointer, mask=wanted, other=0).to(tl.float32)


@triton.jit
def _lerp(start, end, weight):
    """As in torch: from the nearer end, rounded once."""
    near = weight < 0.5
    return tl.fma(tl.where(near, weight, weight - 1), end - start, tl.where(near, start, end))


@triton.jit
def _rounded(values):
    return (values + ROUNDING) - ROUNDING


@triton.jit
def _jitter(red, green, blue, tables, inside):
    """Levels, int32, after a change of hue, saturation and value by the tables of an image."""
    value = tl.maximum(tl.maximum(red, green), blue)
    chroma = value - tl.minimum(tl.minimum(red, green), blue)
    position = tl.where(
        value == red,
        green - blue,
        tl.where(value == green, blue - red + 2 * chroma, red - green + 4 * chroma),
    )
    hue = _scaled(position, HUES // 6, chroma)
    hue = tl.where(hue < 0, hue + HUES, hue)
    new_hue = tl.load(tables + hue, mask=inside, other=0)
    new_saturation = tl.load(tables + 256 + _scaled(chroma, 255, value), mask=inside, other=0)
    new_value = tl.load(tables + 512 + value, mask=inside, other=0)
    red = _channel(tl.minimum(new_hue - 1, 5 - new_hue), new_saturation, new_value)
    green = _channel(tl.maximum(1 - new_hue, new_hue - 3), new_saturation, new_value)
    blue = _channel(tl.maximum(3 - new_hue, new_hue - 5), new_saturation, new_value)
    return red, green, blue


@triton.jit
def _scaled(share, units: tl.constexpr, whole):
    """`units * share / whole`, rounded, in fixed point; 0 if all is 0."""
    most = tl.full(whole.shape, units * ONE, tl.float32)
    factor = _rounded(tl.div_rn(most, tl.maximum(whole, 1).to(tl.float32))).to(tl.int32)
    return (share * factor + ONE // 2) >> FRACTION


@triton.jit
def _channel(pull, saturation, value):
    pull = tl.minimum(tl.maximum(pull, 0.0), 1.0)
    return (value * tl.fma(-saturation, pull, tl.full(pull.shape, 1.0, tl.float32)) * 255).to(tl.int32)


@triton.jit
def _hash(place, key):
    """The noise of `lehr.augment.erasing.noise`, 24 bits of it per pixel, int32."""
    bits = (place ^ key).to(tl.uint32, bitcast=True)
    bits = (bits ^ (bits >> 16)) * FIRST_FACTOR
    bits = (bits ^ (bits >> 15)) * SECOND_FACTOR
    bits = bits ^ (bits >> 16)
    return (bits & 0xFFFFFF).to(tl.int32)
