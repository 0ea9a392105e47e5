"""Boxes under matrices, letterboxes there and back."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from lehr.augment.axis_aligned import fit_axis
from lehr.augment.box_filter import visible
from lehr.augment.geometry import (
    rotation,
    scaling,
    shearing,
    tilting,
    to_indices,
    transform_boxes,
    transform_points,
    translation,
)
from lehr.augment.letterbox import centred_placement, letterbox

coordinate = st.floats(-500, 500)
side = st.floats(0.5, 400)


@st.composite
def boxes(draw: st.DrawFn) -> np.ndarray:
    x, y, w, h = draw(coordinate), draw(coordinate), draw(side), draw(side)
    return np.array([[x, y, x + w, y + h]])


@given(boxes(), coordinate, coordinate, st.floats(0.1, 5), st.floats(0.1, 5))
def test_shifting_and_scaling_a_box_and_back_gives_the_box(
    box: np.ndarray, x: float, y: float, sx: float, sy: float
) -> None:
    matrix = translation(x, y) @ scaling(sx, sy)
    there = transform_boxes(box, matrix)
    np.testing.assert_allclose(transform_boxes(there, np.linalg.inv(matrix)), box, atol=1e-6)


@given(boxes(), st.floats(-180, 180), st.floats(-40, 40), st.floats(-1e-4, 1e-4))
def test_a_transformed_box_holds_every_point_of_the_original(
    box: np.ndarray, degrees: float, shear: float, tilt: float
) -> None:
    matrix = rotation(degrees) @ shearing(shear, 0) @ tilting(tilt, tilt)
    x1, y1, x2, y2 = transform_boxes(box, matrix)[0]
    grid = np.stack(np.meshgrid(np.linspace(box[0, 0], box[0, 2], 7), np.linspace(box[0, 1], box[0, 3], 7)), -1)
    points = transform_points(grid.reshape(-1, 2), matrix)
    assert (points >= [x1 - 1e-6, y1 - 1e-6]).all() and (points <= [x2 + 1e-6, y2 + 1e-6]).all()


def test_a_quarter_turn_is_counter_clockwise_on_screen() -> None:
    right = transform_points(np.array([[1.0, 0.0]]), rotation(90))
    np.testing.assert_allclose(right, [[0, -1]], atol=1e-12)  # y points down, so up is negative


@given(st.floats(0, 300), st.floats(0, 300), st.floats(0.2, 4))
def test_pixel_indices_follow_pixel_centres(x: float, y: float, scale: float) -> None:
    matrix = translation(3.5, -2) @ scaling(scale, scale)
    by_centre = transform_points(np.array([[x + 0.5, y + 0.5]]), matrix) - 0.5
    np.testing.assert_allclose(transform_points(np.array([[x, y]]), to_indices(matrix)), by_centre, atol=1e-9)


@given(boxes(), st.integers(16, 640), st.integers(16, 640))
def test_visible_boxes_are_inside_and_large_enough(box: np.ndarray, width: int, height: int) -> None:
    inside, kept = visible(box, width, height)
    x1, y1, x2, y2 = inside[0]
    assert 0 <= x1 <= x2 <= width and 0 <= y1 <= y2 <= height
    w, h = x2 - x1, y2 - y1
    whole = (box[0, 2] - box[0, 0]) * (box[0, 3] - box[0, 1])
    wanted = w > 2 and h > 2 and w * h >= 0.1 * whole and max(w / max(h, 1e-9), h / max(w, 1e-9)) < 100
    assert kept[0] == wanted


@given(st.integers(1, 4000), st.integers(1, 4000), st.integers(1, 20), st.integers(1, 20), st.data())
def test_a_letterbox_and_back_gives_the_same_box(
    width: int, height: int, columns: int, rows: int, data: st.DataObject
) -> None:
    placement = centred_placement(width, height, columns * 32, rows * 32)
    x = sorted(data.draw(st.tuples(st.floats(0, width), st.floats(0, width))))
    y = sorted(data.draw(st.tuples(st.floats(0, height), st.floats(0, height))))
    box = np.array([[x[0], y[0], x[1], y[1]]], np.float32)
    there = placement.to_letterbox(box)
    assert (there >= -1e-2).all() and (there <= np.array([columns, rows, columns, rows]) * 32 + 1e-2).all()
    np.testing.assert_allclose(placement.to_image(there), box, atol=2e-3 * max(width, height) / 32, rtol=1e-4)


def test_a_letterbox_holds_the_image_in_the_middle_and_grey_around() -> None:
    image = np.full((48, 64, 3), 200, np.uint8)
    canvas, placement = letterbox(image, 128, 128)
    assert placement.as_row() == (2.0, 2.0, 0, 16)
    assert (canvas[16:112] == 200).all()
    assert (canvas[:16] == 114).all() and (canvas[112:] == 114).all()


@given(st.floats(0.2, 4), st.booleans(), st.floats(-400, 700), st.integers(20, 640), st.integers(32, 640), st.data())
def test_fitting_to_whole_pixels_moves_nothing_by_more_than_a_pixel(
    scale: float, mirrored: bool, shift: float, length: int, side: int, data: st.DataObject
) -> None:
    scale = -scale if mirrored else scale
    fit = fit_axis(scale, shift, 0, length, length, side)
    lowest, highest = sorted((shift, scale * length + shift))
    if fit is None:
        assert highest <= 1 or lowest >= side - 1
        return
    assume(fit.last > fit.first)
    x = data.draw(st.floats(fit.first, fit.last))
    assert abs((fit.scale * x + fit.shift) - (scale * x + shift)) <= 0.5 + 1e-6
    ends = sorted((fit.scale * fit.first + fit.shift, fit.scale * fit.last + fit.shift))
    np.testing.assert_allclose(ends, [fit.start, fit.end], atol=1e-6)
