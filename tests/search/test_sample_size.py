"""How many seeds a difference needs to be seen, against tables and by drawing."""

from __future__ import annotations

import math

import numpy as np
import pytest

from lehr.search.sample_size import seeds_needed, smallest_difference

stats = pytest.importorskip("scipy.stats")


@pytest.mark.parametrize(("size", "expected"), [(1.0, 10), (0.8, 15), (0.5, 34), (-0.2, 199)])
def test_seeds_needed_are_those_of_the_tables(size: float, expected: int) -> None:
    assert seeds_needed(1.0, size) == expected  # Cohen's d of a paired t test, power 0.8, level 0.05
    assert seeds_needed(0.02, 0.02 * size) == expected


@pytest.mark.parametrize(("size", "power"), [(2.5, 0.8), (1.2, 0.9)])
def test_the_seeds_needed_find_the_difference_as_often_as_promised_and_one_fewer_does_not(
    size: float, power: float
) -> None:
    rng, enough = np.random.default_rng(0), seeds_needed(1.0, size, power)
    found = {}
    for seeds in (enough - 1, enough):
        pairs = rng.normal(size, 1, (100_000, seeds))
        ratio = pairs.mean(1) / (pairs.std(1, ddof=1) / math.sqrt(seeds))
        found[seeds] = (np.abs(ratio) > stats.t.ppf(0.975, seeds - 1)).mean()
    assert found[enough] >= power - 0.005 and found[enough - 1] < power + 0.005


def test_the_smallest_difference_is_the_one_for_which_so_many_seeds_are_needed() -> None:
    for seeds in (2, 3, 5, 12):
        size = smallest_difference(0.02, seeds)
        assert seeds_needed(0.02, size * 1.001) == seeds
        assert seeds_needed(0.02, size * 0.999) == seeds + 1
    assert smallest_difference(0.0, 3) == 0 and seeds_needed(0.0, 0.1) == 2


def test_a_test_that_cannot_be_planned_is_refused() -> None:
    for arguments in ((-1, 1), (1, 0), (1, math.nan), (math.inf, 1), (1, 1, 0.04), (1, 1, 1.0), (1, 1, 0.8, 0)):
        with pytest.raises(ValueError):
            seeds_needed(*arguments)
    with pytest.raises(ValueError, match="2 sets"):
        seeds_needed(1, 1, sets=1)
    with pytest.raises(ValueError, match="1 seed"):
        smallest_difference(1, 1)
