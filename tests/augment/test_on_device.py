"""Canvases drawn from packed crops: what OpenCV draws of the same plans, within the bounds of `draw_canvases`."""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pytest
from tests.augment.canvases import on_device, one_tile, random_plans, recoloured, world

from lehr.augment.draw import Source, draw
from lehr.augment.geometry import corners, scaling, transform_points, translation
from lehr.augment.letterbox import GREY
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan, Tile
from lehr.options import AugmentOptions

SHAPES = ((96, 96), (64, 64), (128, 64), (64, 96))
"""Widths and heights of the pictures: squares, and rectangles of whole strides."""
PLANS = 1000


class Drawn(NamedTuple):
    """Plans of one shape, drawn in both ways: uint8 (n, h, w, 3)."""

    plans: list[Plan]
    by_opencv: np.ndarray
    on_device: np.ndarray


def by_opencv(plans: list[Plan], source: Source, width: int, height: int) -> np.ndarray:
    pictures = np.empty((len(plans), height, width, 3), np.uint8)
    for plan, picture in zip(plans, pictures, strict=True):
        draw(plan, source, picture)
    return pictures


@lru_cache
def drawn(kind: str, turned: bool) -> list[Drawn]:
    """A quarter of all plans: of one kind of images, upright or turned."""
    sets = []
    for shape in SHAPES:
        plans = random_plans(kind, shape, PLANS // 4 // len(SHAPES) + 1, turned)
        source = world(kind).source(max(shape))
        sets.append(Drawn(plans, by_opencv(plans, source, *shape), on_device(plans, source, *shape)))
    return sets


def differences(sets: list[Drawn]) -> np.ndarray:
    """Levels by which the pictures drawn on the device are higher, of all sets in a row."""
    return np.concatenate([(each.on_device.astype(np.int16) - each.by_opencv).ravel() for each in sets])


def border_distance(plan: Plan, width: int, height: int) -> np.ndarray:
    """How far each pixel's centre is from the nearest border of a warped tile, along x or y, whichever is more."""
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5), -1)
    nearest = np.full((height, width), np.inf)
    for tile in (*plan.tiles, *(plan.blend[0].tiles if plan.blend else ())):
        if tile.fit is not None:
            continue
        quad = transform_points(corners(np.array(tile.region, float)), tile.matrix)
        for one, other in zip(quad, np.roll(quad, -1, 0), strict=True):
            side = other - one
            share = np.clip((centres - one) @ side / max(side @ side, 1e-12), 0, 1)[..., None]
            nearest = np.minimum(nearest, np.abs(centres - one - share * side).max(-1))
    return nearest


@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_upright_pictures_are_at_most_a_level_off(kind: str) -> None:
    apart = differences(drawn(kind, False))
    assert np.abs(apart).max() <= 1
    # Cut instead of rounded, the levels would be lower by half a level on average.
    assert np.abs(apart).mean() < 0.1


@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_turned_pictures_are_at_most_a_level_off_except_at_the_borders_of_tiles(kind: str) -> None:
    sets = drawn(kind, True)
    inner, far_apart, pixels = [], 0, 0
    for plans, expected, got in sets:
        apart = got.astype(np.int16) - expected
        height, width = apart.shape[1:3]
        beside = np.stack([border_distance(plan, width, height) > 1 for plan in plans])
        inner.append(apart[beside].ravel())
        far_apart += int((np.abs(apart).max(-1) > 1).sum())
        pixels += beside.size
    assert sum(each.size for each in inner) > 0.8 * 3 * pixels
    assert np.abs(np.concatenate(inner)).max() <= 1
    assert np.abs(np.concatenate(inner)).mean() < 0.02
    assert far_apart < 0.015 * pixels


def test_the_plans_hold_everything_that_can_be_planned() -> None:
    sets = [each for kind in ("noise", "smooth") for turned in (False, True) for each in drawn(kind, turned)]
    plans = [plan for each in sets for plan in each.plans]
    tiles = [tile for plan in plans for tile in plan.tiles]
    assert len(plans) >= PLANS
    assert sum(plan.blend is not None for plan in plans) > 50
    assert sum(len(plan.tiles) > 4 for plan in plans) > 20
    assert sum(tile.fit is None and tile.matrix[2, :2].any() for tile in tiles) > 100
    for axis in (0, 1):
        assert 100 < sum(tile.matrix[axis, axis] < 0 for tile in tiles) < len(tiles) - 100


def slowly(plan: Plan, source: Source, width: int, height: int) -> np.ndarray:
    """Turned tiles in float64, pixel by pixel back to the source, where that is in front of the camera."""
    picture = np.full((height, width, 3), GREY, float)
    centres = np.stack(np.meshgrid(np.arange(width) + 0.5, np.arange(height) + 0.5, [1.0]), -1)[:, :, 0]
    for tile in plan.tiles:
        image, size = source(tile.index)
        reduced = scaling(image.shape[1] / size[0], image.shape[0] / size[1])
        back = centres @ (reduced @ np.linalg.inv(tile.matrix)).T
        with np.errstate(divide="ignore", invalid="ignore"):
            x, y = back[..., 0] / back[..., 2], back[..., 1] / back[..., 2]
        left, top, right, bottom = np.array(tile.region) * np.diag(reduced)[[0, 1, 0, 1]]
        here = (back[..., 2] > 0) & (x >= left) & (x < right) & (y >= top) & (y < bottom)
        crop = image[int(top) : int(np.ceil(bottom)), int(left) : int(np.ceil(right))].astype(float)
        x, y = x[here] - int(left) - 0.5, y[here] - int(top) - 0.5
        x, y = np.clip(x, 0, crop.shape[1] - 1)[:, None], np.clip(y, 0, crop.shape[0] - 1)[:, None]
        x1, y1 = x.astype(int)[:, 0], y.astype(int)[:, 0]
        x2, y2 = np.minimum(x1 + 1, crop.shape[1] - 1), np.minimum(y1 + 1, crop.shape[0] - 1)
        across, down = x % 1, y % 1
        above = crop[y1, x1] * (1 - across) + crop[y1, x2] * across
        below = crop[y2, x1] * (1 - across) + crop[y2, x2] * across
        picture[here] = above * (1 - down) + below * down
    return np.rint(picture)


def test_turned_tiles_are_where_their_matrices_put_them() -> None:
    options = AugmentOptions(mosaic=1, degrees=180, shear=20, perspective=0.001, fliplr=0.5, flipud=0.5)
    samples, source = world("noise").samples, world("noise").source(96)
    plans = [
        plan_sample(samples, options, 96, seed=1, epoch=number, index=number % len(samples), multi_image=number % 3 > 0)
        for number in range(60)
    ]
    plans = [Plan(plan.tiles, plan.boxes, plan.classes) for plan in plans]
    apart = np.abs(on_device(plans, source, 96, 96) - np.stack([slowly(plan, source, 96, 96) for plan in plans]))
    # A centre that lies on a border, but for rounding, may belong to either side.
    assert (apart.max(-1) > 1).mean() < 1e-4
    assert (apart > 0).mean() < 1e-3


def test_what_lies_beyond_the_horizon_is_not_drawn() -> None:
    source = world("smooth").source(96)
    tilted = np.array([[1, 0, 0], [0, 1, 0], [-0.03, -0.01, 1.0]])
    matrix = translation(60, 40) @ tilted @ translation(-40, -40)
    depth = np.array([[0, 0, 1], [96, 96, 1]]) @ matrix[2]
    assert depth[0] > 0 > depth[1]  # the camera's plane cuts the image
    plan = one_tile(matrix, 2, (0, 0, 96, 96))
    expected = slowly(plan, source, 128, 96)
    apart = np.abs(on_device([plan], source, 128, 96)[0] - expected).max(-1)
    assert 0.1 < (expected == GREY).all(-1).mean() < 0.9
    assert (apart > 1).mean() < 1e-3


def test_tiles_that_share_a_border_leave_no_gap() -> None:
    white = np.full((64, 64, 3), 255, np.uint8)
    for rise, run in ((1, 1), (1, 2), (2, 1), (1, 3), (3, 2), (3, 5)):
        # The borders meet at a pixel's centre, and turned like this they go through many more.
        angle = np.arctan2(rise, run)
        turn = np.array([[np.cos(angle), np.sin(angle), 0], [-np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        view = translation(48.5, 48.5) @ turn @ scaling(2.9, 2.9)
        sides = [(-64, -64), (0, -64), (-64, 0), (0, 0)]
        tiles = tuple(Tile(0, view @ translation(*side), (0, 0, 64, 64)) for side in sides)
        plan = Plan(tiles, np.zeros((0, 4), np.float32), np.zeros(0, np.int64))
        assert (on_device([plan], lambda _: (white, (64, 64)), 96, 96) == 255).all()


@pytest.mark.parametrize("kind", ["noise", "smooth"])
def test_colours_differ_little_where_pictures_do(kind: str) -> None:
    options = AugmentOptions()
    spans = options.hsv_h, options.hsv_s, options.hsv_v
    rng = np.random.default_rng(5)
    sets = []
    for plans, _, _ in drawn(kind, False):
        shape = SHAPES[len(sets)]
        source = world(kind).source(max(shape))
        plans = [recoloured(plan, tuple((1 + rng.uniform(-1, 1, 3) * spans).tolist())) for plan in plans]
        sets.append(Drawn(plans, by_opencv(plans, source, *shape), on_device(plans, source, *shape)))
    apart = np.abs(differences(sets))
    assert apart.mean() <= 0.1
    assert np.percentile(apart, 99.9) <= 8
    assert apart.max() <= 48
