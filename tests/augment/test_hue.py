"""Hue: multiplied as published, or added to; the same on the CPU and on the device."""

from __future__ import annotations

import colorsys
import dataclasses

import cv2
import numpy as np
import pytest
import torch
from tests.augment.canvases import on_device, random_plans, world

from lehr.augment.colour import HUES, draw_jitter, hue_tables, jitter_hsv
from lehr.augment.colour_on_device import hsv_tables, jitter_hsv_batch
from lehr.augment.draw import draw
from lehr.config import build_config
from lehr.errors import InputError
from lehr.options import AugmentOptions
from lehr.rng import generator

RED, MAGENTA = (255, 0, 0), (255, 0, 170)


def test_a_thousand_hues_are_those_of_float64_one_by_one() -> None:
    rng = np.random.default_rng(0)
    gains, shifts = rng.uniform(0, 2, 1000), rng.integers(-HUES, HUES + 1, 1000)
    gains[:300], shifts[300:600] = 1.0, 0
    tables = hue_tables(gains, shifts)
    for gain, shift, table in zip(gains.tolist(), shifts.tolist(), tables, strict=True):
        for hue in rng.integers(0, HUES, 8).tolist():
            moved = int(hue * gain) + shift
            while moved < 0:
                moved += HUES
            while moved >= HUES:
                moved -= HUES
            assert table[hue] == moved


def test_draws_are_those_of_the_spans_and_the_way_of_the_hue_changes_no_other() -> None:
    for number in range(1000):
        rng = generator(3, "augment", number)
        first, second, third = rng.uniform(-1, 1, 3)
        options = AugmentOptions(hsv_h=0.1, hsv_s=0.5, hsv_v=0.3, hue="add" if number % 2 else "scale")
        gains, shift = draw_jitter(options, generator(3, "augment", number))
        wanted = 1.0 if number % 2 else 1 + 0.1 * first
        assert gains == pytest.approx((wanted, 1 + 0.5 * second, 1 + 0.3 * third), abs=1e-15)
        assert abs(shift - (first * 18 if number % 2 else 0)) <= 0.5
    assert draw_jitter(AugmentOptions(hsv_h=0, hsv_s=0, hsv_v=0, hue="add"), generator(0, "x")) == (None, 0)


def hue_of(colour: tuple[int, int, int]) -> float:
    """Degrees."""
    return 360 * colorsys.rgb_to_hsv(*(channel / 255 for channel in colour))[0]


def moved(colour: tuple[int, int, int], gains: tuple[float, float, float], shift: int) -> float:
    """Degrees by which a colour's hue goes on, -180 to 180."""
    image = np.full((4, 32, 3), colour, np.uint8)
    jitter_hsv(image, gains, shift)
    return (hue_of(tuple(image[0, 0].tolist())) - hue_of(colour) + 180) % 360 - 180


def test_multiplied_red_stays_and_magenta_moves_most_and_added_all_move_alike() -> None:
    assert abs(moved(RED, (1.1, 1, 1), 0)) < 1 and moved(MAGENTA, (1.1, 1, 1), 0) == pytest.approx(32, abs=3)
    for colour in (RED, MAGENTA, (0, 255, 0), (20, 90, 230)):
        assert moved(colour, (1, 1, 1), 9) == pytest.approx(18, abs=2)
        assert moved(colour, (1, 1, 1), -9) == pytest.approx(-18, abs=2)


def test_each_image_is_shifted_on_the_device_as_on_the_cpu() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 64, 96, 3), dtype=np.uint8)
    gains = [tuple(rng.uniform(0, 2, 3).tolist()) for _ in images]
    shifts = rng.integers(-HUES, HUES + 1, len(images)).tolist()
    jittered = jitter_hsv_batch(torch.from_numpy(images).permute(0, 3, 1, 2), hsv_tables(gains, shifts))
    for image, own, shift in zip(images, gains, shifts, strict=True):
        jitter_hsv(image, own, shift)
    apart = np.abs(jittered.permute(0, 2, 3, 1).numpy().astype(np.int16) - images)
    assert apart.max() <= 1 and (apart > 0).mean() <= 2e-3


def test_a_plans_shift_is_drawn_in_both_ways() -> None:
    source = world("smooth").source(96)
    plans = [
        dataclasses.replace(plan, hsv=(1.0, 1.0, 1.0), hue_shift=shift)
        for plan, shift in zip(random_plans("smooth", (96, 96), 6, turned=False), (0, 30, -45, 90, 5, -2), strict=True)
    ]
    device = on_device(plans, source, 96, 96).astype(int)
    out = np.empty((96, 96, 3), np.uint8)
    turned = []
    for plan, drawn in zip(plans, device, strict=True):
        draw(plan, source, out)
        assert np.abs(out - drawn).mean() < 0.5  # where one level more is another hue
        draw(dataclasses.replace(plan, hue_shift=0), source, out)
        turned.append(np.abs(out - drawn).mean())
    assert turned[0] < 0.5 and np.mean(turned) > 5


def test_grey_stays_grey() -> None:
    image = np.repeat(np.arange(96, dtype=np.uint8)[None, :, None], 3, 2).copy()
    before = image.copy()
    jitter_hsv(image, (1, 1, 1), 77)
    assert np.array_equal(image, before)
    assert cv2.cvtColor(image, cv2.COLOR_RGB2HSV)[..., 1].max() == 0


def test_there_are_two_ways() -> None:
    assert build_config({}).augment.hue == "scale" and build_config({"hue": "ADD"}).augment.hue == "add"
    with pytest.raises(InputError, match="--hue"):
        build_config({"hue": "rotate"})
