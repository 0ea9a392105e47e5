"""Effects of techniques over many drawn studies: how often a verdict is wrong, and how often a difference is found."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from tests.search.ablations import all_sets, heavy_tailed, leave_one_out_sets, names, normal, study, with_seed_effects

from lehr.search.effects import NO_DIFFERENCE, effects
from lehr.search.sample_size import found_share

optimize = pytest.importorskip("scipy.optimize")

Draw = Callable[[np.random.Generator, tuple[int, ...]], np.ndarray]


def share_of_words(
    sets: list[frozenset[str]], seeds: int, draw: Draw, studies: int, shift: np.ndarray | float = 0.0
) -> float:
    """How often a technique is said to do something."""
    rng, techniques = np.random.default_rng(0), sorted(frozenset().union(*sets))
    words = [
        effect.verdict
        for _ in range(studies)
        for effect in effects(study(sets, draw(rng, (len(sets), seeds)) + shift), techniques, "fitness", draws=1000)
    ]
    return 1 - words.count(NO_DIFFERENCE) / len(words)


@pytest.mark.parametrize("draw", [normal, heavy_tailed, with_seed_effects])
@pytest.mark.parametrize(("seeds", "techniques"), [(2, 6), (3, 3), (3, 6), (5, 6)])
def test_a_technique_that_does_nothing_is_called_good_or_bad_about_one_time_in_twenty(
    draw: Draw, seeds: int, techniques: int
) -> None:
    share = share_of_words(leave_one_out_sets(names(techniques)), seeds, draw, 480 // techniques)
    assert 0.02 < share < 0.09


@pytest.mark.parametrize("draw", [normal, heavy_tailed])
def test_a_factorial_study_is_as_seldom_wrong(draw: Draw) -> None:
    assert 0.02 < share_of_words(all_sets(names(3)), 3, draw, 150) < 0.09


def test_techniques_that_share_a_study_see_smaller_differences_and_find_them_as_often_as_promised() -> None:
    deviation = math.sqrt(2)  # of a difference, the noise of a run being 1

    def found_4_times_in_5(sets: int) -> float:
        return deviation * float(optimize.brentq(lambda shift: found_share(shift, 3, 0.05, sets) - 0.8, 0.1, 10))

    size = found_4_times_in_5(7)
    assert size < 0.7 * found_4_times_in_5(2)
    shift = np.array([size, 0, 0, 0, 0, 0, 0])[:, None]
    share = share_of_words(leave_one_out_sets(names(6)), 3, normal, 100, shift)
    assert 0.76 < share < 0.9
