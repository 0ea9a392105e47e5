"""Plans packed for the device: what travels, what does not, and that neither batch nor chunks matter."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.augment.canvases import noise, on_device, one_tile, recoloured, small_batch, world

from lehr.augment.draw_on_device import draw_canvases, draw_with_torch
from lehr.augment.geometry import translation
from lehr.augment.gpu_plan import PackedCanvases, pack, pack_crops, plan_crops
from lehr.augment.letterbox import GREY
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan
from lehr.data.images import ImageFault
from lehr.options import AugmentOptions
from lehr.sample import Sample


def test_chunks_change_nothing() -> None:
    plans, source = small_batch()
    packed = pack(plans, source, 96, 96)
    at_once = draw_canvases(packed)
    for pixels in (1, 96 * 96, 3 * 96 * 96, 7 * 96 * 96 + 5):
        assert torch.equal(draw_with_torch(packed, chunk_pixels=pixels), at_once)


def test_a_picture_does_not_depend_on_its_batch() -> None:
    plans, source = small_batch()
    together = on_device(plans, source, 96, 96)
    alone = [on_device([plan], source, 96, 96)[0] for plan in plans]
    assert np.array_equal(together, np.stack(alone))


def test_a_picture_of_no_tiles_is_grey() -> None:
    nothing = Plan((), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
    plans, source = small_batch()
    assert (on_device([nothing, nothing], source, 64, 32) == GREY).all()
    assert on_device([], source, 64, 32).shape == (0, 32, 64, 3)
    beside = on_device([plans[8], nothing, plans[1]], source, 96, 96)
    assert (beside[1] == GREY).all() and not (beside[0] == GREY).all()
    blended = dataclasses.replace(nothing, blend=(nothing, 0.4))
    assert (on_device([blended], source, 64, 32) == GREY).all()


def test_tiles_that_cannot_be_seen_are_left_out() -> None:
    source = world("noise").source(96)
    flat = np.array([[1, 2, 0], [2, 4, 0], [0, 0, 1.0]])
    elsewhere = translation(500, 0) @ np.array([[0, 1, 0], [-1, 0, 0], [0, 0, 1.0]])
    packed = pack([one_tile(matrix, 0, (0, 0, 60, 90)) for matrix in (flat, elsewhere)], source, 96, 96)
    assert packed.inverses.shape[1] == 0
    assert (draw_canvases(packed) == GREY).all()


def test_the_objects_are_the_plans_own() -> None:
    plans, source = small_batch()
    before = [(plan.boxes.copy(), plan.classes.copy()) for plan in plans]
    planned = [plan_crops(plan, source, 96, 96) for plan in plans]
    draw_canvases(pack_crops(planned, 96, 96))
    for plan, each, (boxes, classes) in zip(plans, planned, before, strict=True):
        assert each.plan is plan
        assert np.array_equal(plan.boxes, boxes) and np.array_equal(plan.classes, classes)


def test_pictures_come_as_the_model_takes_them_and_nothing_waits_for_the_device() -> None:
    plans, source = small_batch()
    packed = pack(plans, source, 96, 96)
    pictures = draw_canvases(packed)
    assert pictures.dtype == torch.uint8 and pictures.shape == (len(plans), 3, 96, 96)
    assert pictures.is_contiguous(memory_format=torch.channels_last)
    # The meta device has shapes but no values: looking at one, or a shape that hangs on one, would fail.
    shapes = draw_canvases(packed.map(lambda tensor: tensor.to("meta")))
    assert shapes.shape == pictures.shape and shapes.dtype == pictures.dtype


def test_a_change_reaches_every_tensor() -> None:
    plans, source = small_batch()
    packed = pack(plans, source, 96, 96)
    moved = packed.map(lambda tensor: tensor.to("meta"))
    for field in dataclasses.fields(PackedCanvases):
        before, after = getattr(packed, field.name), getattr(moved, field.name)
        if isinstance(before, torch.Tensor):
            assert after.is_meta and after.shape == before.shape and after.dtype == before.dtype
        else:
            assert after == before
    assert (packed.width, packed.height) == (96, 96)


def test_only_what_is_seen_travels() -> None:
    samples = [Sample(Path("big.png"), 640, 480, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))]
    image = noise(640, 480, np.random.default_rng(0))
    turned = np.array([[0, 4, -800], [-4, 0, 1400], [0, 0, 1.0]])
    packed = pack([one_tile(turned, 0, (0, 0, 640, 480))], lambda _: (image, (640, 480)), 160, 128)
    # A window of 32 x 40 source pixels, its margin, a grey pixel, and a row at the end.
    assert len(packed.pixels) <= (32 + 6) * (40 + 6) + 1 + 640
    for number in range(20):
        plan = plan_sample(samples, AugmentOptions(mosaic=0), 640, seed=0, epoch=number, index=0, multi_image=True)
        packed = pack([plan], lambda _: (image, (640, 480)), 640, 640)
        (fit,) = (tile.fit for tile in plan.tiles)
        assert fit is not None
        wide, high = fit.x.last - fit.x.first, fit.y.last - fit.y.first
        assert packed.crops[0, 0].tolist() == [1, wide, wide - 1, high - 1]
        assert len(packed.pixels) == 1 + wide * high + wide + 1


def test_an_image_that_cannot_be_read_is_told() -> None:
    def broken(index: int) -> tuple[np.ndarray, tuple[int, int]]:
        raise ImageFault(Path("gone.jpg"), "unreadable-image", "is not there")

    plans, _ = small_batch()
    with pytest.raises(ImageFault, match=r"gone\.jpg"):
        pack(plans, broken, 96, 96)


def test_a_partner_with_a_blend_or_colours_of_its_own_is_refused() -> None:
    plans, source = small_batch()
    coloured = recoloured(plans[0], (1.0, 1.0, 1.0))
    with pytest.raises(ValueError, match="partner"):
        pack([dataclasses.replace(plans[1], blend=(coloured, 0.5))], source, 96, 96)
