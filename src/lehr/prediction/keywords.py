"""The options of prediction as typed keyword arguments; written by `make options` from lehr/prediction/options.py."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypedDict


class PredictKeywords(TypedDict, total=False):
    """Options of `Detector.predict` and `Detector.stream`; unset ones have the defaults of `PredictOptions`."""

    imgsz: int | None
    """Longest side that the model sees, pixels, rounded up to a multiple of 32; None for that of the weights."""
    square: bool
    """Letterbox to squares instead of the smallest rectangle."""
    batch: int
    """Images per step; with `tile`, tiles of one image."""
    conf: float
    """Lowest score of a detection, 0 to below 1."""
    iou: float
    """Overlap (IoU) from which the lower-scored of two boxes is suppressed, above 0 to 1."""
    max_det: int
    """Maximum number of detections per image."""
    skip_broken: bool
    """Return an image that cannot be read without detections and with its `fault`, instead of raising."""
    tile: int | None
    """Side of the tiles that images are cut into, pixels; each is scaled to `imgsz`. None for whole images."""
    overlap: float
    """Smallest share of a tile that the next one shows again, 0 to 0.9."""
    tta: bool
    """Test-time augmentation: look at each image, or tile, at three scales, once mirrored."""
    agnostic: bool
    """Let boxes of different classes suppress each other."""
    classes: Iterable[str | int] | str | int | None
    """Names or numbers of the classes to find; None for all."""
    half: bool
    """Compute in float16 on a device that is faster in it; a CPU stays at float32."""
