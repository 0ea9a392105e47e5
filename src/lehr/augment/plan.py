"""Planning the augmentation of a training image, before any pixel is touched.

A plan is a function of (seed, epoch, index, repeat) and of the sizes and boxes in the data set: which images are drawn
where, and the objects that result. So it can be tested without images, and executed on any device. Mosaic (Bochkovskiy
et al., YOLOv4, 2020), random perspective, flips and copy-paste (Dwibedi et al., 2017) are combined into one matrix per
tile: every pixel is resampled once.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lehr.augment.augmentation import CanvasContext, change_plan
from lehr.augment.box_filter import box_limits
from lehr.augment.colour import draw_jitter
from lehr.augment.copy_paste import copy_paste
from lehr.augment.cutmix import cutmix, cutmix_rectangle
from lehr.augment.erasing import erase
from lehr.augment.flips import flips
from lehr.augment.mixup import mixup
from lehr.augment.mosaic import mosaic as mosaic_of
from lehr.augment.partners import Partners
from lehr.augment.perspective import moves, random_view
from lehr.augment.tiles import Plan, Tile, fit_pixels, objects_of, whole
from lehr.options import AugmentOptions
from lehr.rng import generator
from lehr.sample import Sample

Draws = Callable[[str], np.random.Generator]
"""Function from a purpose to its generator, here for one canvas."""


def plan_sample(
    samples: Sequence[Sample],
    options: AugmentOptions,
    imgsz: int,
    *,
    seed: int,
    epoch: int,
    index: int,
    multi_image: bool,
    shape: tuple[int, int] | None = None,
    repeat: int = 0,
    shown: NDArray[np.int32] | None = None,
) -> Plan:
    """Plan a training canvas.

    Args:
        samples: the training split.
        options: the augmentation options.
        imgsz: longest side of the canvas, pixels.
        seed: the run's seed.
        epoch: the epoch, from 0.
        index: the image's index in the split.
        multi_image: whether mosaic, mixup, CutMix and copy-paste are still on; they need a square.
        shape: width and height of the canvas, pixels; None for a square.
        repeat: how often the epoch has shown the image before; each time it is augmented differently.
        shown: indices of the images that the epoch shows, which partners are drawn from; None if each is shown once.
    """
    rng, partners = generator(seed, "augment", epoch, index, repeat), Partners(len(samples), shown)
    plan = _plan_one(samples, options, imgsz, index, multi_image, partners, rng, shape)
    if multi_image and rng.random() < options.mixup:
        (chosen,) = partners.draw(rng, 1)
        other = _plan_one(samples, options, imgsz, chosen, multi_image, partners, rng)
        plan = mixup(plan, other, rng, options.mixup_beta)
    gains, shift = draw_jitter(options, rng)
    plan = replace(plan, hsv=gains, hue_shift=shift)

    def draws(purpose: str) -> np.random.Generator:
        return generator(seed, purpose, epoch, index, repeat)

    context = CanvasContext(samples, index, imgsz, shape or (imgsz, imgsz), multi_image, partners)
    return _covered(_changed(plan, options, context, draws, "augmentation"), options, context, draws)


def _changed(plan: Plan, options: AugmentOptions, context: CanvasContext, draws: Draws, purpose: str) -> Plan:
    if not options.augmentation:
        return plan
    return change_plan(plan, options.augmentation, context, lambda name: draws(f"{purpose} {name}"))


def _covered(plan: Plan, options: AugmentOptions, context: CanvasContext, draws: Draws) -> Plan:
    """Cover parts of a canvas: by another one, then by noise; each draws separately, so neither changes other draws."""
    limits = box_limits(options)
    if context.multi_image and options.cutmix > 0 and (rng := draws("cutmix")).random() < options.cutmix:
        rectangle, (chosen,) = cutmix_rectangle(context.shape, rng), context.partners.draw(rng, 1)
        other = _plan_one(context.samples, options, context.imgsz, chosen, True, context.partners, rng)
        other = _changed(other, options, replace(context, index=chosen), draws, "cutmix")
        plan = cutmix(plan, replace(other, hsv=None, hue_shift=0), rectangle, limits)
    if options.erasing > 0 and (rng := draws("erasing")).random() < options.erasing:
        plan = erase(plan, context.shape, limits, rng)
    return plan


def _plan_one(
    samples: Sequence[Sample],
    options: AugmentOptions,
    imgsz: int,
    index: int,
    multi_image: bool,
    partners: Partners,
    rng: np.random.Generator,
    shape: tuple[int, int] | None = None,
) -> Plan:
    shape = shape or (imgsz, imgsz)
    if multi_image and rng.random() < options.mosaic:
        tiles = mosaic_of(samples, imgsz, index, partners, rng)
        plane = (2 * imgsz, 2 * imgsz)
    else:
        tiles = [whole(samples[index], index, shape)]
        plane = shape
    view = random_view(options, plane, shape, rng) if moves(options) or plane != shape else np.eye(3)
    view = flips(options, shape, rng) @ view
    tiles = [Tile(tile.index, view @ tile.matrix, tile.region) for tile in tiles]
    tiles = [fitted for tile in tiles if (fitted := fit_pixels(tile, samples[tile.index], imgsz, shape)) is not None]
    boxes, classes = objects_of(samples, tiles, shape, box_limits(options))
    if multi_image and options.copy_paste > 0:
        pasted, boxes, classes = copy_paste(samples, options, imgsz, boxes, classes, view, partners, rng)
        tiles += pasted
    return Plan(tuple(tiles), boxes.astype(np.float32), classes)
