"""Doubts about the form of a COCO JSON's boxes: corners, centres or shares instead of x, y, width, height."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.errors import InputError
from lehr.runtime.counted import counted
from lehr.sample import Fault, Severity

NEAR = 2.0
"""Pixels by which a box and the bounding box of its segmentation may differ."""
MIN_BOXES = 3
"""Boxes from which on the edges of images can say that all are of another form."""


@dataclass(slots=True)
class Outlines:
    """Bounding boxes of segmentations: annotations int64 (k,), xyxy (k, 4), and a mask's size (k, 2), else 0."""

    positions: NDArray[np.int64]
    xyxy: NDArray[np.float64]
    sizes: NDArray[np.float64]


@dataclass(slots=True)
class _Form:
    """Another form that boxes may be in.

    Attributes:
        name: of its four numbers.
        remedy: how to write such a box as COCO wants it.
        xyxy: (n, 4), the boxes read so.
        outside: share of boxes that must reach outside as x, y, width, height, where all are inside as this.
    """

    name: str
    remedy: str
    xyxy: NDArray[np.float64]
    outside: float


def refuse_other_forms(
    path: Path,
    given: NDArray[np.float64],
    asked: NDArray[np.bool_],
    areas: NDArray[np.float64],
    outlines: Outlines,
    sizes: NDArray[np.float64],
) -> list[Fault]:
    """Stop where boxes seem to be corners or centres: by segmentations, areas, and the edges of the images.

    Args:
        path: the JSON.
        given: (n, 4), the numbers as given.
        asked: bool (n,), boxes that are meant as x, y, width, height.
        areas: (n,), as given; NaN if there is none.
        outlines: of segmentations.
        sizes: (n, 2), stated width and height of each annotation's image, pixels; NaN if unknown.

    Returns:
        A warning where boxes and segmentations disagree otherwise.

    Raises:
        InputError: most boxes disagree with what else is known as x, y, width, height, and agree in another form; or
            a tenth agree with their segmentation only in another form.
    """
    asked = asked & np.isfinite(given).all(1)
    total, at = int(asked.sum()), outlines.positions
    if not total:
        return []
    standard = np.concatenate((given[:, :2], given[:, :2] + given[:, 2:]), 1)
    half = given[:, 2:] / 2
    centres = np.concatenate((given[:, :2] - half, given[:, :2] + half), 1)
    same = asked[at] & _near(standard[at], outlines.xyxy)
    agrees = asked & _area_is(areas, standard)
    agrees[at] |= same
    for form in (
        _Form("x1, y1, x2, y2", "Subtract the first corner from the second", given, 0.4),
        _Form("centre-x, centre-y, width, height", "Subtract half the size from the centre", centres, 0.1),
    ):
        fits = asked & (form.xyxy[:, 2:] > form.xyxy[:, :2]).all(1) & _inside(form.xyxy, sizes)
        by_outline = np.zeros(len(given), np.bool_)
        by_outline[at] = asked[at] & _near(form.xyxy[at], outlines.xyxy) & ~same
        by_area = fits & _area_is(areas, form.xyxy) & ~agrees & ~by_outline
        outside = fits & ~_inside(standard, sizes) & ~_inside(standard, sizes[:, ::-1])
        edges_say = fits.sum() == total >= MIN_BOXES and outside.sum() >= max(MIN_BOXES, form.outside * total)
        contradicted = same.any() or (agrees.any() and form.xyxy is given)  # corners would change the area
        all_say = (by_outline | by_area).sum() > total / 2
        if all_say or _many_outlines(by_outline, outlines, asked) or (edges_say and not contradicted):
            counts = (
                (by_outline, "agree with their segmentation only so"),
                (by_area, "agree with their 'area' only so"),
                (outside & ~by_outline & ~by_area, "reach outside their image otherwise"),
            )
            reasons = "; ".join(f"{int(which.sum())} {what}" for which, what in counts if which.any())
            boxes = "boxes" if all_say or not by_outline.any() else "some boxes"
            raise InputError(
                f"{path}: {boxes} seem to be {form.name} ({reasons}; {total} in all), but COCO's are x, y, width, "
                f"height. {form.remedy}, or export the data set again."
            )
    differing, known = int((asked[at] & ~same).sum()), int(asked[at].sum())
    if not differing:
        return []
    first = at[np.flatnonzero(asked[at] & ~same)[0]]
    message = (
        f"{differing} of {known} boxes that were compared differ from the bounding box of their segmentation; the "
        f"boxes are used (the first: annotation number {first + 1})"
    )
    return [Fault("unusual-box", path, message, severity=Severity.WARNING if 2 * differing > known else Severity.NOTE)]


def _many_outlines(by_outline: NDArray[np.bool_], outlines: Outlines, asked: NDArray[np.bool_]) -> bool:
    known = int(asked[outlines.positions].sum())
    return bool(by_outline.sum() >= max(1, known / 10))


def _near(boxes: NDArray[np.float64], outlines: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.asarray(np.abs(boxes - outlines).max(1, initial=0) <= NEAR, np.bool_)


def _area_is(areas: NDArray[np.float64], xyxy: NDArray[np.float64]) -> NDArray[np.bool_]:
    with np.errstate(invalid="ignore", over="ignore"):
        own = np.prod(xyxy[:, 2:] - xyxy[:, :2], 1)
        return np.asarray(np.abs(areas - own) <= 0.01 * own, np.bool_)


def _inside(xyxy: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return whether boxes are inside their images, within a pixel; True if the size is unknown."""
    return np.asarray(~((xyxy[:, 2:] > sizes + 1).any(1) | (xyxy[:, :2] < -1).any(1)), np.bool_)


def refuse_shares(path: Path, xyxy: NDArray[np.float64], sizes: NDArray[np.float64]) -> None:
    """Refuse boxes most of which are within one pixel: they are shares of the image.

    Raises:
        InputError: they do.
    """
    within = (np.abs(xyxy) <= 1.001).all(1)
    if len(xyxy) and within.sum() > len(xyxy) / 2 and not (sizes <= 2).any():
        raise InputError(
            f"{path}: {int(within.sum())} of {counted(len(xyxy), 'box has', 'boxes have')} only numbers from 0 to 1: "
            "they seem to be shares of the image, but COCO counts pixels. Multiply them by width and height, or "
            "export again."
        )
