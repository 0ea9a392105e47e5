"""Options of evaluation and prediction in Python, checked before anything is computed."""

from __future__ import annotations

import operator
from numbers import Real

from lehr.augment.tile_grid import MAX_OVERLAP, MIN_TILE, OVERLAP
from lehr.errors import InputError


def check_detection_options(
    *,
    imgsz: object,
    batch: object,
    conf: object,
    iou: object,
    max_det: object,
    workers: object = 0,
    tile: object = None,
    overlap: object = OVERLAP,
) -> None:
    """Check the options that `Detector.val` and `Detector.predict` share.

    Args:
        imgsz: longest side, pixels; None for that of the weights.
        batch: images at once.
        conf: lowest score.
        iou: overlap from which a detection is a repetition.
        max_det: maximum number of detections per image.
        workers: processes that load images.
        tile: side of a tile, pixels; None for whole images.
        overlap: share of a tile that the next one shows again.

    Raises:
        InputError: one is out of range or of another type, under which nothing would be found.
    """
    if imgsz is not None:
        _check_whole("imgsz", imgsz, 1, "the longest side, pixels")
    _check_whole("batch", batch, 1, "images per step")
    _check_whole("max_det", max_det, 1, "detections per image")
    _check_whole("workers", workers, 0, "processes")
    if not isinstance(conf, Real) or not 0 <= float(conf) < 1:
        raise InputError(f"conf {conf!r}: must be a number from 0 to below 1, e.g. 0.25.")
    if not isinstance(iou, Real) or not 0 < float(iou) <= 1:
        raise InputError(f"iou {iou!r}: must be a number above 0 and up to 1, e.g. 0.7.")
    if tile is not None:
        _check_whole("tile", tile, MIN_TILE, "the side of a tile, pixels")
    if not isinstance(overlap, Real) or not 0 <= float(overlap) <= MAX_OVERLAP:
        raise InputError(f"overlap {overlap!r}: must be a number from 0 to {MAX_OVERLAP}, e.g. {OVERLAP}.")


def _check_whole(name: str, value: object, least: int, what: str) -> None:
    """Check a whole number, Python's or NumPy's."""
    try:
        number = operator.index(value)  # type: ignore[arg-type]
    except TypeError:
        number = least - 1
    if number < least:
        raise InputError(f"{name} {value!r}: must be a whole number of at least {least}, {what}.")
