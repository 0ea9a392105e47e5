"""Pictures drawn from packed crops: what OpenCV draws of the same plans, within the bounds of `draw_canvases`."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import pytest
import torch

from lehr.augment.colour import jitter_hsv
from lehr.augment.colour_on_device import hsv_tables, hsv_to_rgb, jitter_hsv_batch, rgb_to_hsv
from lehr.augment.draw import Source, draw
from lehr.augment.draw_on_device import draw_canvases
from lehr.augment.geometry import corners, scaling, transform_points, translation
from lehr.augment.gpu_plan import PackedCanvases, pack, pack_crops, plan_crops
from lehr.augment.letterbox import GREY, reduced_size, resize
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan, Tile
from lehr.data.images import ImageFault
from lehr.options import AugmentOptions
from lehr.sample import Sample

SIZES = ((60, 90), (130, 75), (96, 96), (250, 180), (170, 410), (40, 33), (3, 2), (1, 5), (96, 1), (700, 96))
"""Widths and heights of the images: larger and smaller than the pictures, and a few pixels."""
SHAPES = ((96, 96), (64, 64), (128, 64), (64, 96))
"""Widths and heights of the pictures: squares, and rectangles of whole strides."""
PLANS = 1000


class World(NamedTuple):
    """Images with boxes, kept as the loader keeps them."""

    samples: list[Sample]
    images: list[np.ndarray]

    def source(self, imgsz: int) -> Source:
        kept = [resize(image, *reduced_size(image.shape[1], image.shape[0], imgsz)) for image in self.images]
        return lambda i: (kept[i], (self.samples[i].width, self.samples[i].height))


def noise(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Every pixel and channel on its own: the worst that interpolation can meet."""
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


def smooth(width: int, height: int, rng: np.random.Generator) -> np.ndarray:
    """Slow waves, another one each channel and image: like a photograph out of focus."""
    x, y = np.arange(width)[:, None], np.arange(height)[:, None, None]
    across, down = rng.uniform(0.5, 2.5, (2, 3)) * 2 * np.pi / max(width, height, 50)
    phase = rng.uniform(0, 2 * np.pi, 3)
    return np.rint(127.5 + 127.5 * np.sin(x * across + y * down + phase)).astype(np.uint8)


@lru_cache
def world(kind: str) -> World:
    rng = np.random.default_rng(7)
    make = {"noise": noise, "smooth": smooth}[kind]
    samples = []
    for number, (width, height) in enumerate(SIZES):
        corner = rng.uniform(0, 0.5, (4, 2)) * (width, height)
        boxes = np.concatenate((corner, corner + rng.uniform(0.2, 0.5, (4, 2)) * (width, height)), 1)
        classes = rng.integers(0, 3, 4)
        samples.append(Sample(Path(f"{number}.png"), width, height, boxes.astype(np.float32), classes))
    return World(samples, [make(width, height, rng) for width, height in SIZES])


def random_options(rng: np.random.Generator, turned: bool) -> AugmentOptions:
    """Any mixture of augmentations, without colours."""
    turn = {
        "degrees": rng.choice([0, 10, 180]),
        "shear": rng.choice([0, 10]),
        "perspective": rng.choice([0, 0.001]),
    }
    return AugmentOptions(
        mosaic=rng.choice([0, 1]),
        mixup=0.3,
        copy_paste=rng.choice([0, 0.5]),
        translate=rng.choice([0, 0.3]),
        scale=rng.choice([0, 0.5, 0.9]),
        flipud=0.5,
        fliplr=0.5,
        hsv_h=0,
        hsv_s=0,
        hsv_v=0,
        **(turn if turned else {}),
    )


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


def on_device(plans: list[Plan], source: Source, width: int, height: int) -> np.ndarray:
    return draw_canvases(pack(plans, source, width, height)).permute(0, 2, 3, 1).numpy()


def random_plans(kind: str, shape: tuple[int, int], count: int, turned: bool) -> list[Plan]:
    seed = 2 * (kind == "smooth") + turned
    rng = np.random.default_rng([shape[0], shape[1], seed])
    square = shape[0] == shape[1]
    samples = world(kind).samples
    return [
        plan_sample(
            samples,
            random_options(rng, turned),
            max(shape),
            seed=seed,
            epoch=number,
            index=number % len(samples),
            multi_image=square,
            shape=None if square else shape,
        )
        for number in range(count)
    ]


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


def one_tile(matrix: np.ndarray, index: int, region: tuple[float, float, float, float]) -> Plan:
    return Plan((Tile(index, matrix, region),), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


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


def recoloured(plan: Plan, gains: tuple[float, float, float] | None) -> Plan:
    return dataclasses.replace(plan, hsv=gains)


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


def small_batch() -> tuple[list[Plan], Source]:
    """Upright and turned pictures, blended and not, coloured and not."""
    plans = [plan for turned in (False, True) for plan in random_plans("noise", (96, 96), 8, turned)]
    gains = [None if place % 3 == 0 else (1.1, 0.5 + place / 16, 0.8) for place in range(len(plans))]
    plans = [recoloured(plan, own) for plan, own in zip(plans, gains, strict=True)]
    assert 1 < sum(plan.blend is not None for plan in plans) < len(plans)
    return plans, world("noise").source(96)


def test_chunks_change_nothing() -> None:
    plans, source = small_batch()
    packed = pack(plans, source, 96, 96)
    at_once = draw_canvases(packed)
    for pixels in (1, 96 * 96, 3 * 96 * 96, 7 * 96 * 96 + 5):
        assert torch.equal(draw_canvases(packed, chunk_pixels=pixels), at_once)


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
