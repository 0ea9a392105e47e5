"""Canvases drawn by the kernel on a GPU, at full size."""

from __future__ import annotations

import dataclasses
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.augment.canvases import noise, one_tile, smooth, world
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from lehr.augment.draw_on_device import draw_canvases, draw_with_torch
from lehr.augment.geometry import translation
from lehr.augment.gpu_plan import PackedCanvases, pack
from lehr.augment.plan import plan_sample
from lehr.options import AugmentOptions
from lehr.sample import Sample

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
EVERYTHING = AugmentOptions(
    degrees=15, shear=5, perspective=0.0005, mixup=0.3, cutmix=0.3, erasing=0.5, copy_paste=0.5, flipud=0.5
)
OPTIONS = {
    "defaults": AugmentOptions(),
    "turned": AugmentOptions(degrees=15, shear=5, hue="add", hsv_h=0.1),
    "everything": EVERYTHING,
}


@cache
def images() -> tuple[list[Sample], list[np.ndarray]]:
    """Photographs' sizes, one half noise and one half smooth, with boxes."""
    rng = np.random.default_rng(3)
    sizes = [(640, 480), (480, 640), (640, 427), (500, 640)] * 2
    made = [(noise if place % 2 else smooth)(*size, rng) for place, size in enumerate(sizes)]
    boxes = np.array([[20, 30, 200, 300], [250, 100, 460, 400]], np.float32)
    samples = [Sample(Path(f"{place}.png"), *size, boxes, np.array([0, 1])) for place, size in enumerate(sizes)]
    return samples, made


def packed_batch(options: AugmentOptions, count: int = 64, imgsz: int = 640) -> PackedCanvases:
    """A batch on the device."""
    samples, made = images()
    plans = [
        plan_sample(samples, options, imgsz, seed=0, epoch=place, index=place % len(samples), multi_image=True)
        for place in range(count)
    ]
    return pack(plans, lambda i: (made[i], (samples[i].width, samples[i].height)), imgsz, imgsz).map(Tensor.cuda)


def colourless(packed: PackedCanvases) -> PackedCanvases:
    """The same canvases, as their tiles are."""
    return dataclasses.replace(packed, coloured=packed.coloured[:0], tables=packed.tables[:0])


def assert_as_by_the_chain(packed: PackedCanvases) -> None:
    """Equal but for colours: `torch.addcmul` rounds twice on CUDA, the kernel once, as a CPU; some levels are 1 off."""
    assert torch.equal(draw_canvases(colourless(packed)), draw_with_torch(colourless(packed)))
    apart = (draw_canvases(packed).to(torch.int16) - draw_with_torch(packed)).abs()
    assert int(apart.max()) <= 1 and int((apart > 0).sum()) < 2e-3 * apart.numel()


@pytest.mark.parametrize("name", OPTIONS)
def test_levels_are_those_of_the_chain(name: str) -> None:
    assert_as_by_the_chain(packed_batch(OPTIONS[name]))


def test_odd_sizes_are_drawn_as_by_the_chain() -> None:
    assert_as_by_the_chain(dataclasses.replace(packed_batch(EVERYTHING, 8), width=637, height=333))


def test_levels_are_those_of_the_chain_on_a_cpu() -> None:
    packed = packed_batch(EVERYTHING, 3)
    apart = draw_canvases(packed).cpu().to(torch.int16) - draw_with_torch(packed.map(Tensor.cpu))
    assert int(apart.abs().max()) <= 1 and int((apart != 0).sum()) < 1e-5 * apart.numel()


def test_the_host_does_not_wait_and_launches_one_kernel() -> None:
    packed = packed_batch(EVERYTHING, 8)
    draw_canvases(packed)
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        torch.cuda.set_sync_debug_mode("error")
        try:
            draw_canvases(packed)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        torch.cuda.synchronize()
    on_device = [event.name for event in seen.events() if event.device_type == torch.autograd.DeviceType.CUDA]
    assert [name for name in on_device if "draw" in name] == on_device and len(on_device) == 1


def test_tensors_that_begin_anywhere_compile_nothing_anew() -> None:
    from lehr.kernels.draw import _draw

    packed = packed_batch(EVERYTHING, 8)
    expected = draw_canvases(packed)
    caches = _draw.device_caches[torch.cuda.current_device()][0]
    before = len(caches)

    def shifted(tensor: Tensor) -> Tensor:
        block = tensor.new_zeros(tensor.numel() + 1)
        return block[1:].view(tensor.shape).copy_(tensor)

    assert torch.equal(draw_canvases(packed.map(shifted)), expected)
    assert len(caches) == before


def test_pixels_beyond_two_gigabytes_are_found() -> None:
    plans = [one_tile(translation(3.5, 2.25), 2, (0, 0, 96, 96))]
    near = pack(plans, world("noise").source(96), 64, 64).map(Tensor.cuda)
    before = (1 << 31) // 3 + 5  # pixels, of more bytes than an int32 can count
    pixels = torch.cat([near.pixels[:1], near.pixels.new_zeros(before, 3), near.pixels[1:]])
    crops = near.crops.clone()
    crops[..., 0] += before
    assert torch.equal(draw_canvases(dataclasses.replace(near, pixels=pixels, crops=crops)), draw_canvases(near))
