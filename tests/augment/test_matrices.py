"""Each matrix moves points by its formula, many boxes are moved each by itself, and what is seen has exact limits."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lehr.augment.box_filter import visible
from lehr.augment.geometry import (
    Matrix,
    corners,
    rotation,
    scaling,
    shearing,
    tilting,
    transform_boxes,
    transform_points,
    translation,
)

POINTS = np.array([[3.0, 5.0], [-2.0, 7.0], [0.0, 0.0]])


def moved(matrix: Matrix) -> list[list[float]]:
    return [[x, y] for x, y in transform_points(POINTS, matrix)]


def test_translation_scaling_and_shear_follow_their_formulas() -> None:
    assert moved(translation(4, -6)) == [[x + 4, y - 6] for x, y in POINTS]
    assert moved(scaling(2, -0.5)) == [[2 * x, -0.5 * y] for x, y in POINTS]
    a, b = math.tan(math.radians(30)), math.tan(math.radians(-10))
    np.testing.assert_allclose(moved(shearing(30, -10)), [[x + a * y, b * x + y] for x, y in POINTS])


@pytest.mark.parametrize(("a", "b"), [(0.01, 0.02), (0.0, 0.02), (0.01, 0.0), (0.0, 0.0)])
def test_a_tilt_divides_by_the_depth(a: float, b: float) -> None:
    depths = [1 + a * x + b * y for x, y in POINTS]
    expected = [[x / z, y / z] for (x, y), z in zip(POINTS, depths, strict=True)]
    np.testing.assert_allclose(moved(tilting(a, b)), expected)
    np.testing.assert_allclose(moved(2 * tilting(a, b)), expected)  # a multiple of a matrix is the same map


def test_matrices_compose_from_right_to_left() -> None:
    one = translation(1, 2) @ scaling(3, 3) @ rotation(90)
    np.testing.assert_allclose(transform_points(np.array([[1.0, 0.0]]), one), [[1, -1]], atol=1e-12)
    assert all(m.dtype == np.float64 for m in (translation(1, 2), scaling(1, 2), shearing(0, 0), tilting(0, 0)))


def test_many_boxes_are_moved_each_by_itself() -> None:
    boxes = np.array([[0.0, 0, 10, 20], [30, 5, 32, 50], [7, 7, 8, 9]])
    matrix = rotation(25) @ tilting(1e-3, 2e-3)
    together = transform_boxes(boxes, matrix)
    np.testing.assert_allclose(together, np.concatenate([transform_boxes(box[None], matrix) for box in boxes]))
    assert transform_boxes(np.zeros((0, 4)), matrix).shape == (0, 4)


def test_a_single_box_and_a_stack_of_them_keep_their_shape() -> None:
    assert corners(np.array([1.0, 2, 3, 4])).tolist() == [[1, 2], [3, 2], [3, 4], [1, 4]]
    stack = np.arange(24.0).reshape(2, 3, 4)
    together = transform_boxes(stack, rotation(30))
    np.testing.assert_allclose(together, [transform_boxes(each, rotation(30)) for each in stack])


@pytest.mark.parametrize(
    ("box", "kept"),
    [
        ([10, 10, 12, 40], False),  # a side of exactly 2 pixels
        ([10, 10, 12.01, 40], True),
        ([-90, 10, 10, 40], True),  # exactly a tenth is left
        ([-91, 10, 10, 40], False),
        ([0, 10, 400, 14], False),  # exactly 100 times as long as high
        ([0, 10, 399, 14], True),
        ([-5, 10, 2.5, 40], True),
        ([500, 10, 600, 40], False),
    ],
)
def test_what_is_seen_has_exact_limits(box: list[float], kept: bool) -> None:
    inside, seen = visible(np.array([box], np.float64), 400, 100)
    assert seen.tolist() == [kept]
    assert inside.tolist() == [[min(max(v, 0), limit) for v, limit in zip(box, (400, 100, 400, 100), strict=True)]]


def test_boxes_are_judged_each_by_itself() -> None:
    boxes = np.array([[10.0, 10, 12, 40], [0, 0, 300, 90], [10, 10, 30, 40], [0, 10, 400, 14]])
    assert visible(boxes, 400, 100)[1].tolist() == [False, True, True, False]
    others = np.array([[-91.0, 10, 10, 40], [0, 0, 399, 90], [10, 10, 13, 40]])  # large ones make up for nothing
    assert visible(others, 400, 100)[1].tolist() == [False, True, True]
    assert visible(np.zeros((0, 4)), 400, 100)[1].shape == (0,)
