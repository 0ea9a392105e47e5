"""Colour jitter of a whole batch on the device: that of OpenCV, image by image, of every colour there is."""

from __future__ import annotations

import cv2
import numpy as np
import torch
from tests.augment.canvases import on_device, random_plans, recoloured, world

from lehr.augment.colour import jitter_hsv
from lehr.augment.colour_on_device import hsv_tables, hsv_to_rgb, jitter_hsv_batch, rgb_to_hsv


def all_triples(first: int, last: int) -> torch.Tensor:
    """Every uint8 triple (n, 256, 256, 3) whose first number is in a range."""
    values = torch.arange(256, dtype=torch.uint8)
    return torch.stack(torch.meshgrid(values[first:last], values, values, indexing="ij"), -1)


def test_every_colour_has_the_hue_saturation_and_value_that_opencv_gives_it() -> None:
    for first in range(0, 256, 16):
        colours = all_triples(first, first + 16)
        expected = cv2.cvtColor(colours.numpy().reshape(-1, 256, 3), cv2.COLOR_RGB2HSV).reshape(colours.shape)
        hsv = torch.stack(rgb_to_hsv(colours.permute(0, 3, 1, 2)), -1)
        assert np.array_equal(hsv.numpy(), expected)


def test_every_hue_saturation_and_value_is_the_colour_that_opencv_makes_of_it() -> None:
    tables = hsv_tables([(1, 1, 1)])[0]
    wrong = levels = 0
    for first in range(0, 180, 12):
        triples = all_triples(first, first + 12)
        expected = cv2.cvtColor(triples.numpy().reshape(-1, 256, 3), cv2.COLOR_HSV2RGB).reshape(triples.shape)
        rgb = hsv_to_rgb(*(tables[place][triples[..., place].int()] for place in range(3))).permute(0, 2, 3, 1)
        apart = np.abs(rgb.numpy().astype(np.int16) - expected)
        assert apart.max() <= 1
        wrong += np.count_nonzero(apart)
        levels += apart.size
    # None where a multiplication and an addition are rounded once, as in OpenCV with FMA.
    assert wrong <= 1e-4 * levels


def test_each_image_is_jittered_by_its_own_gains_as_one_by_one() -> None:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (12, 64, 96, 3), dtype=np.uint8)
    images[6:] = images[6:] // 8 + 100  # nearly grey
    gains = [tuple(rng.uniform(0, 2, 3).tolist()) for _ in images]
    jittered = jitter_hsv_batch(torch.from_numpy(images).permute(0, 3, 1, 2), hsv_tables(gains))
    assert jittered.is_contiguous(memory_format=torch.channels_last)
    for image, own in zip(images, gains, strict=True):
        jitter_hsv(image, own)
    apart = np.abs(jittered.permute(0, 2, 3, 1).numpy().astype(np.int16) - images)
    assert apart.max() <= 1 and (apart > 0).mean() <= 2e-3


def test_pictures_without_gains_keep_their_colours() -> None:
    source = world("smooth").source(96)
    plans = random_plans("smooth", (96, 96), 6, turned=False)
    gains = [(1.2, 0.4, 0.7), None, (0.9, 1.5, 1.1), None, None, (1.0, 0.0, 1.0)]
    plain = on_device(plans, source, 96, 96)
    mixed = on_device([recoloured(plan, own) for plan, own in zip(plans, gains, strict=True)], source, 96, 96)
    for own, before, after in zip(gains, plain, mixed, strict=True):
        assert np.array_equal(before, after) == (own is None)
        if own is not None:
            jitter_hsv(before, own)
            assert np.abs(before.astype(int) - after).max() <= 1
