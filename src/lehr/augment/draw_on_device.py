"""Drawing packed canvases on their device: one batched resampling, whatever each canvas is made of.

First every canvas pixel is assigned a tile and a position in that tile's crop; then all pixels are interpolated at
once. Nothing here waits for the device: all shapes follow from those of the packed tensors. On CUDA one kernel does all
of it, with the levels of a CPU (`kernels/draw.py`).
"""

from __future__ import annotations

import torch
from torch import Tensor

from lehr.augment.colour_on_device import jitter_hsv_batch
from lehr.augment.erasing import FACTORS
from lehr.augment.gpu_plan import PackedCanvases
from lehr.kernels.support import usable
from lehr.technique import Run, Section, State, Technique

CHUNK_PIXELS, CHUNK_PIXELS_CUDA = 1 << 21, 1 << 24
"""Canvas pixels that torch's operations draw at once; each takes about 130 bytes temporarily. The CPU's value fits its
cache; the GPU's keeps the device busy for longer than launches take."""


def draw_canvases(packed: PackedCanvases) -> Tensor:
    """Draw canvases: what `draw` draws of the same plans with OpenCV 5, up to the rounding of its arithmetic.

    - Upright tiles: at most 1 level off. OpenCV resizes with weights of 11 bits and cuts off bits between the axes,
      which makes about 5 levels in 100 lower by one; this interpolates in float32.
    - Other tiles: at most 1 level off, except within a pixel of a tile's border. There a pixel belongs to the tile
      that its centre is in, while OpenCV also fills those that the border touches. The other exception is beyond the
      horizon of a perspective, if nothing is drawn here.
    - Mixup of these adds nothing: the blend is at most 1 level off. CutMix shows either canvas, and erased parts
      are equal.
    - Colours of equal canvases are equal (see `jitter_hsv_batch`), but of canvases 1 level apart they can be further
      apart, the more so in dark and in grey places, and where red lies on both sides of hue 0. With the default spans:
      at most 0.1 on average, 8 for 999 of 1,000 levels, and 48 for all.

    Args:
        packed: the canvases, on any device.

    Returns:
        uint8 (batch, 3, height, width), RGB, channels-last in memory, on the device of `packed`.
    """
    if usable(packed.pixels.device):
        from lehr.kernels.draw import draw

        return draw(packed).permute(0, 3, 1, 2)
    return draw_with_torch(packed)


def draw_with_torch(packed: PackedCanvases, chunk_pixels: int | None = None) -> Tensor:
    """Draw canvases by torch's own operations, which define what the kernel draws.

    Args:
        packed: the canvases, on any device.
        chunk_pixels: canvas pixels that are drawn at once, at least one canvas; only affects memory. None for the
            device's default.

    Returns:
        As `draw_canvases`.
    """
    if chunk_pixels is None:
        chunk_pixels = CHUNK_PIXELS_CUDA if packed.pixels.device.type == "cuda" else CHUNK_PIXELS
    chunk = max(1, chunk_pixels // (packed.width * packed.height))
    count = len(packed.inverses)
    batch = count - len(packed.blended) - len(packed.patched)
    images = _draw_some(packed, 0, batch, chunk)
    partners = _draw_some(packed, batch, batch + len(packed.blended), chunk)
    for start in range(0, len(packed.blended), chunk):
        indices = packed.blended[start : start + chunk]
        share = packed.shares[start : start + chunk, None, None, None]
        blend = images.index_select(0, indices) * share + partners[start : start + chunk] * (1 - share)
        images.index_copy_(0, indices, blend.round().to(torch.uint8))
    patches = _draw_some(packed, batch + len(packed.blended), count, chunk)
    for start in range(0, len(packed.patched), chunk):
        indices = packed.patched[start : start + chunk]
        inside = _inside(packed.patches[start : start + chunk], packed.width, packed.height)
        patched = torch.where(inside, patches[start : start + chunk], images.index_select(0, indices))
        images.index_copy_(0, indices, patched)
    for start in range(0, len(packed.coloured), chunk):
        indices = packed.coloured[start : start + chunk]
        plain = images.index_select(0, indices).permute(0, 3, 1, 2)
        coloured = jitter_hsv_batch(plain, packed.tables[start : start + chunk])
        images.index_copy_(0, indices, coloured.permute(0, 2, 3, 1))
    for start in range(0, len(packed.erased), chunk):
        indices = packed.erased[start : start + chunk]
        inside = _inside(packed.rectangles[start : start + chunk], packed.width, packed.height)
        erased = _noise(packed.keys[start : start + chunk], packed.width, packed.height)
        images.index_copy_(0, indices, torch.where(inside, erased, images.index_select(0, indices)))
    return images.permute(0, 3, 1, 2)


def _inside(rectangles: Tensor, width: int, height: int) -> Tensor:
    """Mark the pixels that are in a rectangle of each canvas, xyxy (n, 4), as bool (n, height, width, 1)."""
    column = torch.arange(width, dtype=torch.int32, device=rectangles.device)
    row = torch.arange(height, dtype=torch.int32, device=rectangles.device)[:, None]
    x1, y1, x2, y2 = rectangles[..., None, None].unbind(1)  # each (n, 1, 1)
    return ((column >= x1) & (column < x2) & (row >= y1) & (row < y2))[..., None]


def _noise(keys: Tensor, width: int, height: int) -> Tensor:
    """Make the noise of `lehr.augment.erasing.noise` for whole canvases, uint8 (n, height, width, 3).

    In int32, whose products keep the low 32 bits as those of uint32 do, and whose shifts fill with the sign.
    """
    place = torch.arange(width * height, dtype=torch.int32, device=keys.device).reshape(height, width)
    bits = place ^ keys[:, None, None]
    first, second = ((factor ^ 1 << 31) - (1 << 31) for factor in FACTORS)
    bits = (bits ^ (bits >> 16 & 0xFFFF)) * first
    bits = (bits ^ (bits >> 15 & 0x1FFFF)) * second
    bits = bits ^ (bits >> 16 & 0xFFFF)
    return torch.stack([(bits >> shift & 255).to(torch.uint8) for shift in (0, 8, 16)], -1)


def _draw_some(packed: PackedCanvases, first: int, last: int, chunk: int) -> Tensor:
    """Canvases `first` to `last`, neither blended nor coloured, uint8 (last - first, height, width, 3)."""
    shape = (last - first, packed.height, packed.width, 3)
    images = torch.empty(shape, dtype=torch.uint8, device=packed.pixels.device)
    for start in range(first, last, chunk):
        stop = min(start + chunk, last)
        images[start - first : stop - first] = _resample(packed, start, stop)
    return images


def _resample(packed: PackedCanvases, start: int, stop: int) -> Tensor:
    """Canvases `start` to `stop`, each crop interpolated between its pixels, uint8 (stop - start, height, width, 3)."""
    x, y, offset, stride = _look_up(packed, start, stop)
    left, upper = x.floor(), y.floor()
    x, y = (x - left)[..., None], (y - upper)[..., None]
    first = offset + upper.to(torch.int32) * stride + left.to(torch.int32)
    # Beyond the last column or row, any value is read, with weight 0.
    above = torch.lerp(_pixels_at(packed.pixels, first), _pixels_at(packed.pixels, first + 1), x)
    first = first + stride
    below = torch.lerp(_pixels_at(packed.pixels, first), _pixels_at(packed.pixels, first + 1), x)
    return torch.lerp(above, below, y).round().to(torch.uint8)


def _pixels_at(pixels: Tensor, index: Tensor) -> Tensor:
    """Float32 (..., 3)."""
    return pixels.index_select(0, index.reshape(-1)).reshape(*index.shape, 3).float()


def _look_up(packed: PackedCanvases, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Source of each canvas pixel: x, y, offset and row length of the crop, each (canvases, h, w)."""
    device = packed.pixels.device
    column = torch.arange(packed.width, dtype=torch.float32, device=device)
    row = torch.arange(packed.height, dtype=torch.float32, device=device)[:, None]
    shape = (stop - start, packed.height, packed.width)
    x, y = torch.zeros(shape, device=device), torch.zeros(shape, device=device)
    offset = torch.zeros(shape, dtype=torch.int32, device=device)
    stride = torch.zeros(shape, dtype=torch.int32, device=device)
    for layer in range(packed.inverses.shape[1]):
        u, v = _into_crop(packed.inverses[start:stop, layer, :, :, None, None], column, row)
        low_x, low_y, high_x, high_y = packed.limits[start:stop, layer, :, None, None].unbind(1)
        tile_offset, tile_stride, last_x, last_y = packed.crops[start:stop, layer, :, None, None].unbind(1)
        inside = (u >= low_x) & (u < high_x) & (v >= low_y) & (v < high_y)
        x = torch.where(inside, u.clamp(min=0).minimum(last_x), x)
        y = torch.where(inside, v.clamp(min=0).minimum(last_y), y)
        offset = torch.where(inside, tile_offset, offset)
        stride = torch.where(inside, tile_stride, stride)
    return x, y, offset, stride


def _into_crop(matrix: Tensor, column: Tensor, row: Tensor) -> tuple[Tensor, Tensor]:
    """Crop indices x and y of all canvas pixels, (canvases, h, w); nan, which no limits hold, beyond the horizon.

    Args:
        matrix: (canvases, 2 or 3, 3, 1, 1).
        column: (w,), canvas indices.
        row: (h, 1), canvas indices.
    """
    x, y, *depth = (
        matrix[:, line, 0] * column + (matrix[:, line, 1] * row + matrix[:, line, 2]) for line in range(matrix.shape[1])
    )
    for z in depth:
        z = torch.where(z > 0, z, torch.nan)
        x, y = x / z, y / z
    return x, y


def _state(run: Run) -> State:
    place = run.config.speed.augment_on
    return State(place != "cpu", "on a GPU" if place == "auto" else "on any device")


TECHNIQUE = Technique(
    name="drawing on the device",
    page="drawing-on-the-device",
    section=Section.DEVICE,
    order=20,
    options=("augment_on",),
    why="the device does not wait for CPU cores to draw",
    state=_state,
    turn_on="--augment-on auto",
    turn_off="--augment-on cpu",
    code=("augment/gpu_plan.py", "augment/colour_on_device.py", "kernels/draw.py"),
)
