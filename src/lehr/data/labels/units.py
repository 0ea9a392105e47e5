"""The units of boxes, recognised over a whole data set: shares of the image, or pixels; centre and size, or corners."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numpy.typing import NDArray

BEYOND = 2.0
"""No coordinate of a box in shares of its image is larger."""

PERCENT = 101.0
"""Coordinates up to here may be percentages."""

ENOUGH = 10
"""Fewest boxes from which another form than the format's own is concluded."""

FAILURES = 3
"""Boxes that another form must not fit before it is ruled out, and not less than a fiftieth of all."""


class Form(Enum):
    """Order and unit of the four numbers of a box, and how a message calls it."""

    SHARES = "shares of the image"
    CORNER_SHARES = "corners (x1 y1 x2 y2) instead of centre and size"
    TOP_LEFT_SHARES = "the top left corner, width and height instead of centre and size"
    PIXELS = "pixels instead of shares of the image"
    CORNER_PIXELS = "corners in pixels (x1 y1 x2 y2) instead of shares of the image"
    TOP_LEFT_PIXELS = "the top left corner, width and height in pixels instead of shares of the image"


@dataclass(frozen=True, slots=True)
class Units:
    """The form of a data set's boxes.

    Attributes:
        form: of all boxes but those that are doubtful.
        doubtful: (n,), boxes of which it cannot be said what they mean.
        reason: why, and the remedy; `{}` stands for their number.
        absurd: (n,), boxes far beyond any image, in whatever form.
    """

    form: Form
    doubtful: NDArray[np.bool_]
    reason: str = ""
    absurd: NDArray[np.bool_] | None = None


def find_units(values: NDArray[np.float64], sizes: NDArray[np.float64]) -> Units:
    """Recognise the form of boxes.

    Another form than centre and size in shares is concluded only where all boxes (bar one in a hundred) fit it, and
    every other form is ruled out by several of them.

    Args:
        values: (n, 4), as written.
        sizes: (n, 2), width and height of the images, pixels.
    """
    if not len(values):
        return Units(Form.SHARES, np.zeros(0, np.bool_))
    beyond = np.abs(values).max(1) > BEYOND
    if beyond.mean() > 0.95:
        return _pixels(values, sizes)
    in_pixels = beyond & (_fits(Form.PIXELS, values, sizes) | _fits(Form.CORNER_PIXELS, values, sizes))
    units = _shares(values[~beyond])
    absurd = beyond & ~in_pixels
    if units.reason:
        doubtful = np.zeros(len(values), np.bool_)
        doubtful[~beyond] = units.doubtful
        return Units(units.form, doubtful, units.reason, absurd)
    reason = (
        "{} seem to hold pixels, while the others hold shares of the image. Divide x by the image's width and y by its "
        "height"
    )
    return Units(units.form, in_pixels, reason if in_pixels.any() else "", absurd)


def to_corners(form: Form, values: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Convert boxes to xyxy in pixels.

    Args:
        form: of the boxes.
        values: (n, 4), as written.
        sizes: (n, 2), width and height of the images, pixels.
    """
    corners = _corners(form, values)
    return corners if form in _IN_PIXELS else corners * np.tile(sizes, 2)


_IN_PIXELS = frozenset({Form.PIXELS, Form.CORNER_PIXELS, Form.TOP_LEFT_PIXELS})


def _corners(form: Form, values: NDArray[np.float64]) -> NDArray[np.float64]:
    first, second = values[:, :2], values[:, 2:]
    if form in (Form.CORNER_SHARES, Form.CORNER_PIXELS):
        return values
    if form in (Form.TOP_LEFT_SHARES, Form.TOP_LEFT_PIXELS):
        return np.concatenate((first, first + second), 1)
    return np.concatenate((first - second / 2, first + second / 2), 1)


def _fits(form: Form, values: NDArray[np.float64], sizes: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which boxes have area and are inside their image (a pixel or a hundredth more), taken as a form."""
    corners = _corners(form, values)
    limit, slack = (np.tile(sizes, 2), 1.0) if form in _IN_PIXELS else (np.ones(4), 0.01)
    inside = ((corners >= -slack) & (corners <= limit + slack)).all(1)
    return np.asarray(inside & (corners[:, 2:] > corners[:, :2]).all(1))


def _only_fit(forms: tuple[Form, ...], values: NDArray[np.float64], sizes: NDArray[np.float64]) -> Form | None:
    """The form that nearly all boxes fit while each other form fails for several; None if there is none."""
    failures = {form: int((~_fits(form, values, sizes)).sum()) for form in forms}
    best = min(forms, key=lambda form: failures[form])
    ruled_out = max(FAILURES, len(values) // 50)
    others = [failures[form] - failures[best] >= ruled_out for form in forms if form is not best]
    return best if failures[best] <= len(values) // 100 and all(others) else None


def _shares(values: NDArray[np.float64]) -> Units:
    """Recognise the order of numbers that may be shares."""
    nothing = np.zeros(len(values), np.bool_)
    sizes = np.ones((len(values), 2))
    corners = _corners(Form.SHARES, values)
    outside = np.any((corners < -0.02) | (corners > 1.02), axis=1)
    others = [form for form in (Form.CORNER_SHARES, Form.TOP_LEFT_SHARES) if _fits(form, values, sizes).all()]
    if outside.sum() >= FAILURES and outside.mean() >= 0.2 and len(others) == 1 and len(values) >= ENOUGH:
        return Units(others[0], nothing)
    if outside.sum() >= FAILURES and others:
        reason = f"{{}} reach outside their images, but all boxes would be inside if they were {others[0].value}"
    elif len(values) > 1 and (outside.all() or (outside.sum() >= FAILURES and outside.mean() >= 0.5)):
        reason = "{} hold boxes that reach outside their images, most of all there are"
    elif len(values) >= ENOUGH // 2 and Form.CORNER_SHARES in others and _move_together(values):
        reason = f"{{}} are more likely {Form.CORNER_SHARES.value}: the third number follows the first"
        outside = ~nothing
    else:
        return Units(Form.SHARES, nothing)
    return Units(Form.SHARES, outside, f"{reason}. Write centre and size, as shares of the image")


def _move_together(values: NDArray[np.float64]) -> bool:
    """Return whether x and y of the second pair rise and fall with those of the first, as those of corners do.

    Boxes that begin at the image's own corner do so, too.
    """
    varied = np.ptp(values, axis=0).min() > 1e-6
    at_corner = (values[:, 2:] > 1.95 * values[:, :2]).all(1).mean() > 0.5
    return bool(varied and not at_corner) and all(
        np.corrcoef(values[:, axis], values[:, axis + 2])[0, 1] > 0.9 for axis in (0, 1)
    )


def _pixels(values: NDArray[np.float64], sizes: NDArray[np.float64]) -> Units:
    """Recognise the order of numbers that are not shares."""
    everything = np.ones(len(values), np.bool_)
    divide = "divide x and width by the image's width, and y and height by its height"
    if values.max() <= PERCENT:
        reason = (
            f"{{}} hold percentages or pixels instead of shares of the image, from 0 to 1. Divide by 100; or {divide}"
        )
        return Units(Form.PIXELS, everything, reason)
    form = _only_fit((Form.PIXELS, Form.CORNER_PIXELS, Form.TOP_LEFT_PIXELS), values, sizes)
    if form is None or len(values) < ENOUGH:
        shown = (
            form.value if form else "no shares of the image, from 0 to 1, and do not fit the images as pixels either"
        )
        return Units(Form.PIXELS, everything, f"{{}} hold {shown}. To have shares, {divide}")
    return Units(form, np.zeros(len(values), np.bool_))


def find_polygon_units(corners: NDArray[np.float64], sizes: NDArray[np.float64]) -> Units:
    """Recognise the unit of the bounding boxes (n, 4), xyxy, of polygons."""
    beyond = np.abs(corners).max(1, initial=0) > BEYOND
    in_pixels = beyond & ((corners >= -1) & (corners <= np.tile(sizes, 2) + 1)).all(1)
    nothing = np.zeros(len(corners), np.bool_)
    absurd = beyond & ~in_pixels
    if not in_pixels.any():
        return Units(Form.CORNER_SHARES, nothing, absurd=absurd)
    everywhere = in_pixels.mean() > 0.95
    if everywhere and corners.max() > PERCENT and len(corners) >= FAILURES and np.median(corners[:, :2]) > BEYOND:
        return Units(Form.CORNER_PIXELS, nothing, absurd=absurd)
    cause = "" if everywhere else ", while the others hold shares"
    reason = (
        f"{{}} seem to hold polygons in pixels instead of shares of the image{cause}. Divide x by the image's width "
        "and y by its height"
    )
    return Units(Form.CORNER_SHARES, in_pixels, reason, absurd)
