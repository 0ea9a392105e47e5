"""Colour jitter in hue, saturation and value, plane by plane (Howard, 2013; Redmon & Farhadi, 2018)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.options import AugmentOptions
from lehr.technique import Run, Section, State, Switch, Technique

HUES = 180
"""Values of the hue in OpenCV's 8-bit HSV: half degrees."""


def jitter_hsv(image: NDArray[np.uint8], gains: tuple[float, float, float]) -> None:
    """Multiply hue, saturation and value in place; hue goes round, the others saturate.

    Args:
        image: uint8 (h, w, 3), RGB, contiguous.
        gains: factors of hue, saturation and value.
    """
    values = np.arange(256, dtype=np.float64)
    hues = ((values * gains[0]) % HUES).astype(np.uint8)
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hue, saturation, value = cv2.split(hsv)
    # Plane by plane is faster than one table of three channels.
    cv2.LUT(hue, hues, dst=hue)
    cv2.convertScaleAbs(saturation, dst=saturation, alpha=gains[1])
    cv2.convertScaleAbs(value, dst=value, alpha=gains[2])
    cv2.merge((hue, saturation, value), dst=hsv)
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image)


def hsv_gains(options: AugmentOptions, rng: np.random.Generator) -> tuple[float, float, float] | None:
    """Factors `1 + u span` of hue, saturation and value, u uniform in [-1, 1]; None when all are off.

    Args:
        options: the spans.
        rng: draws the three u, also when they are off, so that switching this changes nothing else.
    """
    spans = (options.hsv_h, options.hsv_s, options.hsv_v)
    hue, saturation, value = (float(1 + draw * span) for draw, span in zip(rng.uniform(-1, 1, 3), spans, strict=True))
    return (hue, saturation, value) if any(spans) else None


def _state(run: Run) -> State:
    augment = run.config.augment
    value = f"hue {augment.hsv_h:g}, saturation {augment.hsv_s:g}, value {augment.hsv_v:g}"
    return State(any((augment.hsv_h, augment.hsv_s, augment.hsv_v)), value)


TECHNIQUE = Technique(
    name="colour jitter",
    page="colour-jitter",
    section=Section.AUGMENTATION,
    order=50,
    options=("hsv_h", "hsv_s", "hsv_v"),
    why="the light is different each time",
    state=_state,
    switches=(
        Switch(
            "colour_jitter",
            {"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4},
            {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0},
            aliases=("hsv", "color_jitter"),
        ),
    ),
)
