"""AutoBatch: the line through measured sizes, and the batch that fits the nominal one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lehr.techniques.autobatch import (
    Measured,
    bisect_fitting,
    fastest,
    fitting_nominal,
    largest_fitting,
    memory_line,
)


@given(st.integers(0, 2**34), st.integers(2**16, 2**30), st.integers(0, 2**38))
def test_the_largest_size_on_an_exact_line_is_found(base: int, each: int, budget: int) -> None:
    measured = [Measured(size, base + each * size, 1.0) for size in (1, 2, 4, 8)]
    most = largest_fitting(measured, budget)
    assert most == 0 or base + each * most <= budget * (1 + 1e-9)
    assert base + each * (most + 1) > budget * (1 - 1e-9)


@given(st.lists(st.integers(2**20, 2**34), min_size=2, max_size=6))
def test_the_line_is_that_of_least_squares(memory: list[int]) -> None:
    measured = [Measured(2**i, bytes_, 1.0) for i, bytes_ in enumerate(memory)]
    base, each = memory_line(measured)
    slope, intercept = np.polyfit([one.batch for one in measured], memory, 1)
    if slope > 0 and intercept > 0:
        assert base == pytest.approx(intercept, rel=1e-6, abs=1e3)
        assert each == pytest.approx(slope, rel=1e-6, abs=1)
    assert base >= 0 and each >= 0


def test_a_single_size_fits_or_not() -> None:
    assert largest_fitting([Measured(1, 100, 1.0)], 99) == 0
    assert largest_fitting([Measured(1, 100, 1.0)], 100) == 1


def test_the_smallest_of_equally_fast_sizes_is_taken() -> None:
    speeds = {8: 12.0, 16: 15.0, 32: 15.5, 64: 15.6}
    assert fastest([Measured(size, 0, size / speed) for size, speed in speeds.items()]) == 16


@pytest.mark.parametrize(
    ("most", "nominal", "expected"),
    [(1, 64, 1), (15, 64, 13), (31, 64, 31), (60, 64, 33), (63, 64, 63), (500, 64, 64), (40, 48, 25), (7, 8, 4)],
)
def test_whole_batches_make_up_the_nominal_one(most: int, nominal: int, expected: int) -> None:
    assert fitting_nominal(most, nominal) == expected


@pytest.mark.parametrize(
    ("most", "nominal", "devices", "expected"),
    [(40, 64, 2, 32), (64, 64, 4, 64), (30, 64, 3, 21), (28, 64, 7, 21), (2, 64, 4, 4), (100, 8, 16, 16)],
)
def test_several_devices_get_equal_shares(most: int, nominal: int, devices: int, expected: int) -> None:
    assert fitting_nominal(most, nominal, devices) == expected


@given(st.integers(0, 200), st.integers(0, 200), st.integers(0, 200), st.integers(0, 200))
def test_the_largest_size_that_fits_is_found_in_as_many_tries_as_halving_takes(
    most: int, known: int, limit: int, guess: int
) -> None:
    known = min(known, most, limit)
    first = guess if known < guess <= limit else None
    tried: list[int] = []

    def fits(size: int) -> bool:
        tried.append(size)
        return size <= most

    assert bisect_fitting(fits, known, limit, first) == min(most, limit)
    assert all(known < size <= limit for size in tried) and len(set(tried)) == len(tried)
    assert len(tried) <= (limit - known).bit_length() + (first is not None)
    assert first is None or tried[0] == first
