"""Box filter: boxes clipped to the visible area, and which of them are still objects.

As in YOLOv5: an object whose visible part is too small, too little of the whole or too thin is dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lehr.augment.augmentation import probabilities
from lehr.options import AugmentOptions
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, is_cut


@dataclass(frozen=True, slots=True)
class BoxLimits:
    """Limits within which a box remains an object.

    Attributes:
        min_side: pixels that both sides exceed.
        min_visible: visible share of the unclipped box's area, 0 to 1.
        max_ratio: the longer side is less than this many times the shorter one.
    """

    min_side: float = 2.0
    min_visible: float = 0.1
    max_ratio: float = 100.0


def box_limits(options: AugmentOptions) -> BoxLimits:
    """Return the limits that the options name."""
    return BoxLimits(options.min_box_side, options.min_visible, options.max_box_ratio)


def visible(
    boxes: NDArray[np.float64], width: float, height: float, limits: BoxLimits = BoxLimits()
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Clip boxes to an image, and return which of them are still objects.

    Args:
        boxes: (n, 4) xyxy, pixels, may reach outside; unclipped, since their full area is the reference.
        width: of the image, pixels.
        height: of the image, pixels.
        limits: limits within which a box remains an object.

    Returns:
        (n, 4) inside the image, and (n,) whether each is kept.
    """
    return visible_in(boxes, (0, 0, width, height), limits)


def visible_in(
    boxes: NDArray[np.float64], window: tuple[float, float, float, float], limits: BoxLimits = BoxLimits()
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Clip boxes to a window, and return which of them are still objects; like `visible`.

    Args:
        boxes: (n, 4) xyxy, pixels, unclipped.
        window: xyxy, pixels.
        limits: limits within which a box remains an object.
    """
    x1, y1, x2, y2 = window
    inside = np.clip(boxes, [x1, y1, x1, y1], [x2, y2, x2, y2])
    sides = inside[:, 2:] - inside[:, :2]
    return inside, _objects(sides, sides.prod(1), (boxes[:, 2:] - boxes[:, :2]).prod(1), limits)


def uncovered(
    boxes: NDArray[np.float64], cover: tuple[float, float, float, float], limits: BoxLimits = BoxLimits()
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Find the boxes around the parts that a rectangle leaves visible, and return which of them are still objects.

    A box shrinks if the rectangle covers a whole side of it; a covered corner or a hole leaves it unchanged.

    Args:
        boxes: (n, 4) xyxy, pixels.
        cover: xyxy, pixels: hides what is below.
        limits: limits within which a box remains an object; its area is compared with that of `boxes`.

    Returns:
        (n, 4), and (n,) whether each is kept.
    """
    low, high = np.array(cover[:2]), np.array(cover[2:])
    first, last = boxes[:, :2], boxes[:, 2:]  # (n, 2)
    hidden = np.clip(np.minimum(last, high) - np.maximum(first, low), 0, None).prod(1)
    whole = (last - first).prod(1)
    across = ((low <= first) & (high >= last))[:, ::-1]  # along x: whether all of its height is hidden there
    start = np.where(across & (low <= first), np.clip(high, first, last), first)
    end = np.where(across & (high >= last), np.clip(low, start, last), last)
    return np.concatenate((start, end), 1), _objects(end - start, whole - hidden, whole, limits)


def _objects(
    sides: NDArray[np.float64], seen: NDArray[np.float64], whole: NDArray[np.float64], limits: BoxLimits
) -> NDArray[np.bool_]:
    """Return which boxes are objects by their sides (n, 2), and their visible (n,) and full area (n,)."""
    least = sides.min(1, initial=np.inf)
    return np.asarray(
        (least > limits.min_side)
        & (seen >= limits.min_visible * whole)
        & (sides.max(1, initial=0) < limits.max_ratio * np.maximum(least, 1e-9))
    )


NO_LIMITS = BoxLimits(0.0, 0.0, 1e6)
OPTIONS = ("min_box_side", "min_visible", "max_box_ratio")


def _without_effect(run: Run) -> dict[str, NoEffect]:
    augment, combined = run.config.augment, () if run.config.data.rect else ("mosaic", "cutmix", "copy_paste")
    cuts = ("degrees", "translate", "scale", "shear", "perspective", "erasing", *combined)
    drawn = any(probability for _, probability in probabilities(augment.augmentation))
    if drawn or is_cut(run) or any(getattr(augment, name) for name in cuts):
        return {}
    return {"min_visible": NoEffect("no object is cut or covered")}


def _state(run: Run) -> State:
    limits = box_limits(run.config.augment)
    value = (
        f"sides above {limits.min_side:g} pixels, at least {limits.min_visible:g} of the area seen, "
        f"ratio below {limits.max_ratio:g}"
    )
    return State(limits != NO_LIMITS, value)


TECHNIQUE = Technique(
    name="box filter",
    page="box-filter",
    section=Section.AUGMENTATION,
    order=70,
    options=OPTIONS,
    without_effect=_without_effect,
    why="the rest of a cut object must be enough to recognize it",
    state=_state,
    switches=(
        Switch(
            "box_filter",
            {"min_box_side": 2.0, "min_visible": 0.1, "max_box_ratio": 100.0},
            {"min_box_side": 0.0, "min_visible": 0.0, "max_box_ratio": 1e6},
            in_all=False,
        ),
    ),
)
