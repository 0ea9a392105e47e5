"""CutMix: a rectangle of another canvas in this one, with the objects of both (Yun et al., "CutMix", 2019)."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from lehr.augment.box_filter import BoxLimits, uncovered, visible_in
from lehr.augment.mosaic import why_single
from lehr.augment.tiles import Plan, Rectangle
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique


def cutmix(plan: Plan, other: Plan, rectangle: Rectangle, limits: BoxLimits) -> Plan:
    """Show another canvas within a rectangle of this one, at the same place.

    Args:
        plan: of this canvas.
        other: of the other, neither blended nor recoloured.
        rectangle: xyxy, whole pixels.
        limits: limits within which a box remains an object, relative to its visible part in its own canvas.
    """
    around, outside = uncovered(plan.boxes.astype(np.float64), rectangle, limits)
    within, inside = visible_in(other.boxes.astype(np.float64), rectangle, limits)
    boxes = np.concatenate((around[outside], within[inside])).astype(np.float32)
    classes = np.concatenate((plan.classes[outside], other.classes[inside]))
    return replace(plan, boxes=boxes, classes=classes, patch=(other, rectangle))


def cutmix_rectangle(shape: tuple[int, int], rng: np.random.Generator) -> Rectangle:
    """Draw the rectangle: a share of the canvas uniform in 0 to 1, its centre uniform, cut at the canvas's edges.

    The published distribution of the share is Beta(1, 1), which is uniform.

    Args:
        shape: width and height of the canvas, pixels; the rectangle has their ratio unless it is clipped.
        rng: draws both.

    Returns:
        xyxy, whole pixels; may be empty.
    """
    width, height = shape
    side = math.sqrt(1 - rng.random())
    wide, high = int(width * side), int(height * side)
    x, y = int(rng.integers(width)) - wide // 2, int(rng.integers(height)) - high // 2
    return max(0, x), max(0, y), min(width, x + wide), min(height, y + high)


def _without_effect(run: Run) -> dict[str, NoEffect]:
    return {} if (why := why_single(run)) is None else {"cutmix": NoEffect(why)}


def _state(run: Run) -> State:
    share = run.config.augment.cutmix
    return State(share > 0, f"probability {share:g}")


TECHNIQUE = Technique(
    name="CutMix",
    page="cutmix",
    section=Section.AUGMENTATION,
    order=25,
    options=("cutmix",),
    without_effect=_without_effect,
    why="objects are recognized by several parts and in new surroundings",
    state=_state,
    switches=(Switch("cutmix", {"cutmix": 0.25}, {"cutmix": 0.0}),),
)
