"""How many seeds a difference needs to be seen, against tables and by drawing."""

from __future__ import annotations

import math
import sys

import numpy as np
import pytest

from lehr.errors import InputError
from lehr.search.sample_size import largest_by_chance, seeds_needed

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


def test_a_difference_without_noise_needs_the_two_seeds_that_any_difference_needs() -> None:
    assert seeds_needed(0.0, 0.1) == 2


@pytest.mark.parametrize(("own", "others", "expected"), [(1, 10, 12.83), (2, 10, 9.43), (4, 20, 5.17), (10, 4, 20.97)])
def test_a_ratio_of_variances_too_large_for_chance_is_that_of_the_table(own: int, others: int, expected: float) -> None:
    assert largest_by_chance(own, others) == pytest.approx(expected, abs=0.01)  # F, upper 0.5% point


def test_without_scipy_the_package_to_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy", None)
    for statistics in (lambda: seeds_needed(1, 1), lambda: largest_by_chance.__wrapped__(2, 10)):
        with pytest.raises(InputError, match=r"need SciPy\. Run pip install '\.\[search\]'"):
            statistics()


def test_a_test_that_cannot_be_planned_is_refused() -> None:
    for arguments in ((-1, 1), (1, 0), (1, math.nan), (math.inf, 1), (1, 1, 0.04), (1, 1, 1.0), (1, 1, 0.8, 0)):
        with pytest.raises(ValueError):
            seeds_needed(*arguments)
    with pytest.raises(ValueError, match="2 sets"):
        seeds_needed(1, 1, sets=1)
