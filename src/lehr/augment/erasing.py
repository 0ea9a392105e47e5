"""Random erasing: a rectangle of the canvas becomes noise (Zhong et al., "Random Erasing Data Augmentation", 2020).

The rectangle is anywhere in the canvas, regardless of objects: their image-aware scheme for detectors. Its noise is a
function of a key and the pixel's place, in 32-bit integers, so that it is the same on the CPU and on any device.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from lehr.augment.box_filter import BoxLimits, uncovered
from lehr.augment.tiles import Erased, Plan, Rectangle
from lehr.technique import Run, Section, State, Switch, Technique

AREA = (0.02, 0.4)
"""Shares of the canvas that a rectangle may have."""
RATIO = (0.3, 1 / 0.3)
"""Its height over its width."""
TRIES = 100
"""Maximum number of sizes drawn until one fits in the canvas."""
FACTORS = (0x7FEB352D, 0x846CA68B)
"""Multipliers of the hash: Wellons' `lowbias32`, 2018, public domain."""


def erase(plan: Plan, shape: tuple[int, int], limits: BoxLimits, rng: np.random.Generator) -> Plan:
    """Erase a rectangle of a canvas: its objects keep their visible part, if that is enough.

    Args:
        plan: of the canvas.
        shape: width and height of the canvas, pixels.
        limits: what a box keeps to, to stay an object, relative to its previously visible part.
        rng: draws the rectangle and the key of its noise.
    """
    rectangle, key = erased_rectangle(shape, rng), int(rng.integers(1 << 32))
    if rectangle is None:
        return plan
    boxes, kept = uncovered(plan.boxes.astype(np.float64), rectangle, limits)
    erased = Erased(rectangle, key)
    return replace(plan, boxes=boxes[kept].astype(np.float32), classes=plan.classes[kept], erased=erased)


def erased_rectangle(shape: tuple[int, int], rng: np.random.Generator) -> Rectangle | None:
    """Draw a rectangle: area and ratio uniform in their ranges, its place uniform where it fits.

    Args:
        shape: width and height of the canvas, pixels.
        rng: draws sizes until one fits.

    Returns:
        xyxy, whole pixels; None if none fits, which is likely for very elongated canvases.
    """
    width, height = shape
    for area, ratio in zip(rng.uniform(*AREA, TRIES).tolist(), rng.uniform(*RATIO, TRIES).tolist(), strict=True):
        high = round(math.sqrt(width * height * area * ratio))
        wide = round(math.sqrt(width * height * area / ratio))
        if 0 < wide < width and 0 < high < height:
            x, y = int(rng.integers(width - wide + 1)), int(rng.integers(height - high + 1))
            return x, y, x + wide, y + high
    return None


def noise(rectangle: Rectangle, width: int, key: int) -> NDArray[np.uint8]:
    """Return the noise of a rectangle: every channel of every pixel uniform in 0 to 255.

    Args:
        rectangle: xyxy in the canvas, whole pixels.
        width: of the canvas, pixels.
        key: which noise, 0 to 2**32 - 1.

    Returns:
        uint8 (h, w, 3).
    """
    x1, y1, x2, y2 = rectangle
    place = np.arange(y1, y2)[:, None] * width + np.arange(x1, x2)
    shift, second_shift, first, second = (np.uint32(each) for each in (16, 15, *FACTORS))
    bits = place.astype(np.uint32) ^ np.uint32(key)
    bits = (bits ^ (bits >> shift)) * first
    bits = (bits ^ (bits >> second_shift)) * second
    bits = bits ^ (bits >> shift)
    return np.stack([(bits >> np.uint32(start)).astype(np.uint8) for start in (0, 8, 16)], -1)


def _state(run: Run) -> State:
    share = run.config.augment.erasing
    return State(share > 0, f"probability {share:g}")


TECHNIQUE = Technique(
    name="random erasing",
    page="random-erasing",
    section=Section.AUGMENTATION,
    order=55,
    options=("erasing",),
    why="objects are recognized by several of their parts",
    state=_state,
    switches=(Switch("erasing", {"erasing": 0.25}, {"erasing": 0.0}, aliases=("random_erasing",)),),
)
