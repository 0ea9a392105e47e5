"""Images, plans and ways to draw them that the tests of drawing on the device share."""

from __future__ import annotations

import dataclasses
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from lehr.augment.draw import Source
from lehr.augment.draw_on_device import draw_canvases
from lehr.augment.gpu_plan import pack
from lehr.augment.letterbox import reduced_size, resize
from lehr.augment.plan import plan_sample
from lehr.augment.tiles import Plan, Tile
from lehr.options import AugmentOptions
from lehr.sample import Sample

SIZES = ((60, 90), (130, 75), (96, 96), (250, 180), (170, 410), (40, 33), (3, 2), (1, 5), (96, 1), (700, 96))
"""Widths and heights of the images: larger and smaller than the pictures, and a few pixels."""


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


def on_device(plans: list[Plan], source: Source, width: int, height: int) -> np.ndarray:
    return draw_canvases(pack(plans, source, width, height)).permute(0, 2, 3, 1).numpy()


def one_tile(matrix: np.ndarray, index: int, region: tuple[float, float, float, float]) -> Plan:
    return Plan((Tile(index, matrix, region),), np.zeros((0, 4), np.float32), np.zeros(0, np.int64))


def recoloured(plan: Plan, gains: tuple[float, float, float] | None) -> Plan:
    return dataclasses.replace(plan, hsv=gains)


def small_batch() -> tuple[list[Plan], Source]:
    """Upright and turned pictures, blended and not, coloured and not."""
    plans = [plan for turned in (False, True) for plan in random_plans("noise", (96, 96), 8, turned)]
    gains = [None if place % 3 == 0 else (1.1, 0.5 + place / 16, 0.8) for place in range(len(plans))]
    plans = [recoloured(plan, own) for plan, own in zip(plans, gains, strict=True)]
    assert 1 < sum(plan.blend is not None for plan in plans) < len(plans)
    return plans, world("noise").source(96)
