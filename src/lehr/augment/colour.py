"""Colour jitter in hue, saturation and value, plane by plane (Howard, 2013; Redmon et al., YOLO, 2016)."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.options import AugmentOptions
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique

HUES = 180
"""Values of the hue in OpenCV's 8-bit HSV: half degrees."""


def jitter_hsv(image: NDArray[np.uint8], gains: tuple[float, float, float], hue_shift: int = 0) -> None:
    """Multiply hue, saturation and value in place, then shift the hue, which wraps around; the others saturate.

    Args:
        image: uint8 (h, w, 3), RGB, contiguous.
        gains: factors of hue, saturation and value, at least 0.
        hue_shift: added to the hue, half degrees.
    """
    hues = hue_tables(np.array([gains[0]]), np.array([hue_shift]))[0]
    hsv = cv2.cvtColor(image, cv2.COLOR_RGB2HSV)
    hue, saturation, value = cv2.split(hsv)
    # Plane by plane is faster than one table of three channels.
    cv2.LUT(hue, hues, dst=hue)
    cv2.convertScaleAbs(saturation, dst=saturation, alpha=gains[1])
    cv2.convertScaleAbs(value, dst=value, alpha=gains[2])
    cv2.merge((hue, saturation, value), dst=hsv)
    cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB, dst=image)


def hue_tables(gains: NDArray[np.float64], shifts: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Return the new value of each 8-bit hue in each of n images: `(gain h + shift) mod 180`, rounded down.

    Args:
        gains: (n,), factors, at least 0.
        shifts: (n,), added after them, half degrees.

    Returns:
        uint8 (n, 256).
    """
    values = np.arange(256, dtype=np.float64)
    return ((np.floor(values * gains[:, None]) + shifts[:, None]) % HUES).astype(np.uint8)


def draw_jitter(options: AugmentOptions, rng: np.random.Generator) -> tuple[tuple[float, float, float] | None, int]:
    """Draw factors `1 + u span` of hue, saturation and value, u uniform in [-1, 1], and a shift of the hue.

    With `--hue add` the hue has the factor 1, and is shifted by u times its span of the circle instead.

    Args:
        options: the spans.
        rng: draws the three u, even when they are off, so that switching this changes no other draws.

    Returns:
        The factors, None when all are off; and the shift, half degrees.
    """
    spans = (options.hsv_h, options.hsv_s, options.hsv_v)
    draws = rng.uniform(-1, 1, 3)
    hue, saturation, value = (float(1 + draw * span) for draw, span in zip(draws, spans, strict=True))
    if not any(spans):
        return None, 0
    if options.hue == "add":
        return (1.0, saturation, value), round(float(draws[0]) * options.hsv_h * HUES)
    return (hue, saturation, value), 0


def _without_effect(run: Run) -> dict[str, NoEffect]:
    return {} if run.config.augment.hsv_h else {"hue": NoEffect("--hsv-h is 0")}


def _state(run: Run) -> State:
    augment = run.config.augment
    hue = f"hue {augment.hsv_h:g} {'added' if augment.hue == 'add' else 'multiplied'}"
    value = f"{hue}, saturation {augment.hsv_s:g}, value {augment.hsv_v:g}"
    return State(any((augment.hsv_h, augment.hsv_s, augment.hsv_v)), value)


TECHNIQUE = Technique(
    name="colour jitter",
    page="colour-jitter",
    section=Section.AUGMENTATION,
    order=50,
    options=("hsv_h", "hsv_s", "hsv_v", "hue"),
    without_effect=_without_effect,
    why="the light varies",
    state=_state,
    switches=(
        Switch(
            "colour_jitter",
            {"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4},
            {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0},
            aliases=("hsv", "color_jitter"),
        ),
        Switch("additive_hue", {"hue": "add"}, {"hue": "scale"}, in_all=False),
    ),
)
