"""Canvases drawn by one kernel: the levels of the chain of torch operations that it stands for."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Iterator
from types import ModuleType

import numpy as np
import pytest
import torch
from tests.augment.canvases import one_tile, random_plans, world
from tests.kernels.interpreted import interpreted

from lehr.augment import colour, colour_on_device, draw_on_device, erasing
from lehr.augment.draw_on_device import draw_canvases, draw_with_torch
from lehr.augment.geometry import translation
from lehr.augment.gpu_plan import PackedCanvases, pack
from lehr.augment.letterbox import GREY
from lehr.augment.tiles import Erased, Plan

NOTHING = Plan((), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


@pytest.fixture(scope="module")
def kernel() -> Iterator[ModuleType]:
    """The kernel's module on the CPU, with multiply-adds rounded once, as a GPU rounds them."""
    with interpreted("draw") as draw, pytest.MonkeyPatch.context() as patch:
        from triton.runtime.interpreter import InterpreterBuilder, TensorHandle

        def fused(_: object, x: TensorHandle, y: TensorHandle, z: TensorHandle) -> TensorHandle:
            exact = x.data.astype(np.float64) * y.data.astype(np.float64) + z.data.astype(np.float64)
            return TensorHandle(exact.astype(np.float32), z.dtype)

        patch.setattr(InterpreterBuilder, "create_fma", fused)
        yield draw


def all_kinds(shape: tuple[int, int], turned: bool) -> PackedCanvases:
    """Canvases of every kind, alone and together: blended, patched, coloured, hue shifted, erased, empty."""
    width, height = shape
    first, second, third, fourth, *_ = random_plans("noise", (96, 96), 8, turned)
    alone = [dataclasses.replace(plan, blend=None) for plan in (first, second, third, fourth)]
    patch = (3, 5, width - 7, height - 2)
    plans = [
        alone[0],
        dataclasses.replace(alone[1], blend=(alone[2], 0.3)),
        dataclasses.replace(alone[2], patch=(alone[3], patch)),
        dataclasses.replace(alone[3], hsv=(1.3, 1.7, 0.6), hue_shift=40),
        dataclasses.replace(NOTHING, erased=Erased((1, 2, width // 2, height - 1), 0xFEDCBA98), hsv=(1.0, 1.0, 1.4)),
        dataclasses.replace(NOTHING, blend=(alone[0], 0.75), patch=(NOTHING, (0, 0, 9, 9))),
        dataclasses.replace(
            alone[0],
            blend=(alone[3], 0.5),
            patch=(alone[1], (0, 4, 30, height)),
            hsv=(0.8, 0.4, 1.5),
            erased=Erased((10, 0, width, 7), 12345),
        ),
    ]
    return pack(plans, world("noise").source(96), width, height)


def chain(packed: PackedCanvases) -> torch.Tensor:
    return draw_with_torch(packed).permute(0, 2, 3, 1)


@pytest.mark.parametrize("turned", [False, True], ids=["upright", "turned"])
@pytest.mark.parametrize("shape", [(96, 96), (75, 41), (33, 70)], ids=str)
def test_levels_are_those_of_the_chain(
    kernel: ModuleType, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int], turned: bool
) -> None:
    monkeypatch.setattr(kernel, "WIDE", 128)  # the interpreter takes as long for a program of many pixels as for few
    monkeypatch.setattr(kernel, "TALL", 64)
    packed = all_kinds(shape, turned)
    assert packed.inverses.shape[2] == (3 if turned else 2) and packed.inverses.shape[1] > 1
    drawn = kernel.draw(packed)
    assert drawn.dtype == torch.uint8 and drawn.is_contiguous()
    assert torch.equal(drawn, chain(packed))


def test_canvases_are_cut_into_blocks(kernel: ModuleType) -> None:
    plans = [
        dataclasses.replace(plan, blend=None, hsv=(1.1, 0.7, 1.2)) for plan in random_plans("noise", (96, 96), 2, False)
    ]
    packed = pack(plans, world("noise").source(96), kernel.WIDE + 11, kernel.TALL + 3)
    assert torch.equal(kernel.draw(packed), chain(packed))


def test_a_canvas_is_found_in_a_long_list(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    count = 7
    monkeypatch.setattr(kernel, "LISTED", type(kernel.LISTED)(4))  # entries that are read at once
    plans = [dataclasses.replace(NOTHING, hsv=(1.0, 1.0, 0.5 + index / count)) for index in range(count)]
    packed = pack(plans, world("noise").source(96), 2, 1)
    assert torch.equal(kernel.draw(packed), chain(packed))


def test_every_colour_is_jittered_as_by_the_chain(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernel, "WIDE", 256)
    monkeypatch.setattr(kernel, "TALL", 256)
    levels = np.arange(256, dtype=np.uint8)
    image = np.stack(np.broadcast_arrays(levels[:, None], levels, levels[:, None] ^ levels * 7), -1)
    fit = translation(0, 0)
    plans = [
        dataclasses.replace(one_tile(fit, 0, (0, 0, 256, 256)), hsv=gains, hue_shift=shift)
        for gains, shift in (((1.015, 1.7, 0.6), 0), ((1.0, 0.3, 1.4), 77))
    ]
    packed = pack(plans, lambda _: (np.ascontiguousarray(image), (256, 256)), 256, 256)
    assert torch.equal(kernel.draw(packed), chain(packed))


def test_no_canvases_are_no_launch(kernel: ModuleType) -> None:
    assert kernel.draw(pack([], world("noise").source(96), 64, 32)).shape == (0, 32, 64, 3)


def test_its_constants_are_those_of_the_chain(kernel: ModuleType) -> None:
    assert kernel.HUES.value == colour.HUES
    assert (kernel.FRACTION.value, kernel.ONE.value) == (colour_on_device.FRACTION, 1 << colour_on_device.FRACTION)
    assert (kernel.FIRST_FACTOR.value, kernel.SECOND_FACTOR.value) == erasing.FACTORS


def test_a_device_with_kernels_draws_by_it(kernel: ModuleType, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(draw_on_device, "usable", lambda device: True)
    monkeypatch.setattr(draw_on_device, "draw_with_torch", lambda packed: pytest.fail("drawn by torch's operations"))
    monkeypatch.setitem(sys.modules, "lehr.kernels.draw", kernel)
    images = draw_canvases(pack([NOTHING], world("noise").source(96), 64, 32))
    assert images.shape == (1, 3, 32, 64) and images.is_contiguous(memory_format=torch.channels_last)
    assert (images == GREY).all()
