"""Frames and detections that outputs are given in tests."""

from __future__ import annotations

from fractions import Fraction

import numpy as np

from lehr.detections import Detections
from lehr.prediction.frames import Clip, Frame

NAMES = ("cat", "../x", "=1+1")
BOXES = [[10.0, 5.0, 30.0, 25.0], [0.0, 0.0, 64.0, 48.0], [60.4, 40.2, 64.0, 48.0]]
SCORES = [0.875, 0.5, 0.25]


def image(source: str, width: int = 64, height: int = 48, grey: int = 90) -> Frame:
    return Frame(source, np.full((height, width, 3), grey, np.uint8))


def clip(source: str = "v.mp4", rate: Fraction = Fraction(25), tick: Fraction = Fraction(1, 12800)) -> Clip:
    return Clip(source, 64, 48, rate, tick)


def frame_of(of: Clip, index: int, grey: int = 90) -> Frame:
    pixels = np.full((of.height, of.width, 3), grey, np.uint8)
    return Frame(of.source, pixels, index=index, time=index / float(of.rate), clip=of)


def broken(source: str) -> Frame:
    return Frame(source, None, "cannot be decoded")


def found(frame: Frame, count: int = 3, tracks: list[int] | None = None) -> Detections:
    """The first objects of the three, each of its own class."""
    if frame.pixels is None:
        return Detections.missing(frame.source, NAMES, frame.fault)
    height, width = frame.pixels.shape[:2]
    return Detections(
        frame.source,
        width,
        height,
        np.array(BOXES[:count], np.float32).reshape(-1, 4),
        np.array(SCORES[:count], np.float32),
        np.arange(count),
        NAMES,
        track_ids=None if tracks is None else np.array(tracks[:count]),
        frame=None if frame.clip is None else frame.index,
        time=frame.time,
    )
