"""The parts of genetic algorithms: their draws against the published rule written the slow obvious way."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import numpy as np
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from scipy import stats
from tests.search.genetics import DRAWS, Space, new_study, same_distribution, same_share, silent, slow_factors

from lehr.search.genetic import (
    Mutation,
    crossover,
    factors,
    mean_parent,
    mutate,
    selection_weights,
    tournament,
    within,
)
from lehr.search.genetic_samplers import EvolutionSampler, TournamentSampler

__all__ = ["silent"]


@pytest.fixture(scope="module")
def ours_and_slow() -> tuple[np.ndarray, np.ndarray]:
    """Factors of 8 values in 10,000 children, the last two with a gain of 20, which are often clipped."""
    gains = [1.0] * 5 + [0.3, 20.0, 20.0]
    rng, slow_rng = np.random.default_rng(1), np.random.default_rng(2)
    ours = np.array([factors(rng, np.array(gains)) for _ in range(DRAWS)])
    return ours, np.array([slow_factors(slow_rng, gains) for _ in range(DRAWS)])


def test_four_of_five_values_are_mutated(ours_and_slow: tuple[np.ndarray, np.ndarray]) -> None:
    ours, _ = ours_and_slow
    assert stats.binomtest(int((ours != 1).sum()), ours.size, 0.8).pvalue > 0.01
    assert (ours != 1).any(1).all()


def test_factors_are_distributed_as_in_the_published_rule(ours_and_slow: tuple[np.ndarray, np.ndarray]) -> None:
    ours, slow = ours_and_slow
    assert all(same_distribution(ours[:, i], slow[:, i]) for i in range(8))
    free = [each[(each[:, 7] > 0.3) & (each[:, 7] < 3) & (each[:, 7] != 1), 7] for each in ours_and_slow]
    assert same_distribution(*free)
    for end in (0.3, 3.0):
        assert (ours[:, 6] == end).sum() > 500
        assert same_share(int((ours[:, 6] == end).sum()), int((slow[:, 6] == end).sum()), DRAWS)


def test_values_of_a_child_share_how_strongly_they_are_mutated(ours_and_slow: tuple[np.ndarray, np.ndarray]) -> None:
    # For n, n' normal and u uniform: corr(|n u|, |n' u|) = (2/pi)(1/3 - 1/4) / (1/3 - (2/pi)/4), and of the squares
    # (1/5 - 1/9) / (3/5 - 1/9).
    expected = {1: (2 / math.pi) * (1 / 3 - 1 / 4) / (1 / 3 - 2 / math.pi / 4), 2: (1 / 5 - 1 / 9) / (3 / 5 - 1 / 9)}
    for power, correlation in expected.items():
        for each in ours_and_slow:
            both = each[(each[:, 0] != 1) & (each[:, 1] != 1), :2]
            steps = np.abs(both - 1) ** power
            assert np.corrcoef(steps.T)[0, 1] == pytest.approx(correlation, abs=0.05)
            assert np.corrcoef(both.T)[0, 1] == pytest.approx(0, abs=0.05)  # but not in which direction


def test_factors_are_drawn_again_until_one_is_not_1() -> None:
    rng = np.random.default_rng(0)
    drawn = np.array([factors(rng, np.ones(3), 0.2) for _ in range(DRAWS)])
    assert (drawn != 1).any(1).all()
    assert stats.binomtest(int((drawn[:, 0] != 1).sum()), DRAWS, 0.2 / (1 - 0.8**3)).pvalue > 0.01
    assert (factors(rng, np.zeros(3)) == 1).all()  # and not for ever, where none can
    assert (factors(rng, np.ones(3), 0) == 1).all()


def test_children_stay_in_bounds_and_are_clipped_as_often_as_in_the_published_rule() -> None:
    bounds = {"a": (0.9, 1.2), "b": (0.0, 1.02), "c": (-2.0, -0.97), "d": (1e-6, 3e-6), "e": (0.5, 2.0)}
    start = {"a": 1.0, "b": 0.95, "c": -1.03, "d": 2e-6, "e": 1.234567}
    space = {name: FloatDistribution(*ends) for name, ends in bounds.items()}
    how = Mutation({"e": 0.0}, leave_zero=True)
    rng, slow_rng = np.random.default_rng(3), np.random.default_rng(4)
    ours = [mutate(rng, start, space, how) for _ in range(DRAWS)]
    slow = []
    for _ in range(DRAWS):
        drawn = slow_factors(slow_rng, [1, 1, 1, 1])
        slow.append(
            {
                k: round(min(max(start[k] * f, bounds[k][0]), bounds[k][1]), 5)
                for k, f in zip("abc", drawn, strict=False)
            }
        )
    for name in "abc":
        values = np.array([child[name] for child in ours])
        theirs = np.array([child[name] for child in slow])
        assert same_distribution(values, theirs)
        for end in bounds[name]:
            assert same_share(int((values == end).sum()), int((theirs == end).sum()), DRAWS)
        assert all(value == round(value, 5) for value in values)
    assert sum(child["a"] == 0.9 for child in ours) > 500 and sum(child["b"] == 1.02 for child in ours) > 500
    assert {child["d"] for child in ours} == {1e-6}  # 2e-6 is rounded to 0, which is below the bounds
    assert {child["e"] for child in ours} == {1.234567}  # gain 0 is not even rounded


def test_zero_stays_zero_by_the_published_rule_and_moves_in_the_later_form() -> None:
    space = {"x": FloatDistribution(0.0, 10.0), "below": FloatDistribution(-4.0, 0.0), "y": FloatDistribution(-1, 1)}
    start = {"x": 0.0, "below": 0.0, "y": 0.0}
    rng = np.random.default_rng(0)
    assert all(mutate(rng, start, space, Mutation(leave_zero=True)) == start for _ in range(100))
    born = [mutate(rng, start, space, Mutation({"x": 0.5})) for _ in range(DRAWS)]
    moved = [child["x"] for child in born if child["x"]]
    assert stats.binomtest(len(moved), DRAWS, 0.8).pvalue > 0.01
    assert stats.kstest(moved, stats.halfnorm(scale=0.2 * 0.5 * 10).cdf).pvalue > 0.01
    assert {np.sign(child["below"]) for child in born} == {-1, 0}
    assert stats.binomtest(sum(child["below"] < 0 for child in born), DRAWS, 0.8).pvalue > 0.01
    assert stats.binomtest(sum(child["y"] > 0 for child in born), sum(child["y"] != 0 for child in born)).pvalue > 0.01


def test_zeros_are_stuck_in_evolution_but_not_in_the_tournament() -> None:
    space: Space = {"zero": FloatDistribution(0, 1), "x": FloatDistribution(0, 1)}
    for make, stuck in ((EvolutionSampler, True), (TournamentSampler, False)):
        study = new_study(make(space=space, start={"zero": 0.0, "x": 0.5}))
        for number in range(15):
            study.tell(study.ask(space), number)
        assert all(trial.params["zero"] == 0 for trial in study.get_trials(deepcopy=False)) == stuck


def test_whole_numbers_are_rounded_and_stay_on_their_grid() -> None:
    space = {
        "n": IntDistribution(1, 20),
        "odd": IntDistribution(1, 9, step=2),
        "step": FloatDistribution(0, 1, step=0.25),
    }
    rng = np.random.default_rng(0)
    born = [mutate(rng, {"n": 10, "odd": 5, "step": 0.5}, space, Mutation()) for _ in range(2000)]
    assert all(type(child["n"]) is int and type(child["odd"]) is int for child in born)
    assert {child["odd"] for child in born} <= {1, 3, 5, 7, 9} and {child["step"] for child in born} <= {
        0.25,
        0.5,
        0.75,
    }
    slow_rng = np.random.default_rng(1)
    slow = [round(10 * slow_factors(slow_rng, [1, 1, 1])[0]) for _ in range(2000)]
    assert same_distribution([child["n"] for child in born], slow)


def test_choices_are_drawn_again_with_a_probability_of_16_percent() -> None:
    space = {
        "optimizer": CategoricalDistribution(("sgd", "adam", "adamw")),
        "kept": CategoricalDistribution((False, True)),
    }
    rng = np.random.default_rng(0)
    start = {"optimizer": "sgd", "kept": True}
    counts = Counter(mutate(rng, start, space, Mutation({"kept": 0.0}))["optimizer"] for _ in range(DRAWS))
    again = DRAWS * 0.8 * 0.2 / 3
    expected = [DRAWS - 2 * again, again, again]
    assert stats.chisquare([counts["sgd"], counts["adam"], counts["adamw"]], expected).pvalue > 0.01
    assert all(mutate(rng, start, space, Mutation({"kept": 0.0}))["kept"] is True for _ in range(100))


def test_weights_are_the_fitness_above_the_least() -> None:
    weights = selection_weights([0.5, 0.4, 0.2])
    np.testing.assert_allclose(weights, np.array([0.300001, 0.200001, 0.000001]) / 0.500003, rtol=1e-12)
    np.testing.assert_array_equal(selection_weights([0.3] * 4), [0.25] * 4)
    for large in ([math.inf, 0.0, -math.inf], [-math.inf] * 3, [1.7e308, 0, -1.7e308], [1e20, 1e20, -1e20]):
        weights = selection_weights(large)
        assert weights.sum() == pytest.approx(1) and (np.diff(weights) <= 0).all()  # and none is NaN


def test_the_mean_parent_is_the_weighted_average_and_the_heaviest_choice() -> None:
    space = {"x": FloatDistribution(0, 1), "n": IntDistribution(0, 9), "c": CategoricalDistribution(("a", "b"))}
    parents = [{"x": 0.1, "n": 1, "c": "a"}, {"x": 0.4, "n": 2, "c": "b"}, {"x": 0.7, "n": 9, "c": "b"}]
    mean = mean_parent(parents, np.array([0.4, 0.35, 0.25]), space)
    assert mean["x"] == pytest.approx(0.4 * 0.1 + 0.35 * 0.4 + 0.25 * 0.7)
    assert mean["n"] == pytest.approx(0.4 * 1 + 0.35 * 2 + 0.25 * 9)
    assert mean["c"] == "b"  # 0.6 against 0.4, though the heaviest of all has a
    for weights in np.random.default_rng(0).dirichlet(np.ones(5), 50):
        assert mean_parent([{"x": 0.1}] * 5, weights, {"x": space["x"]}) == {"x": 0.1}  # to the last bit


def test_crossed_values_are_drawn_evenly_from_the_interval_of_blx() -> None:
    space: dict[str, Any] = {
        "x": FloatDistribution(0, 10),
        "lr": FloatDistribution(1e-5, 1, log=True),
        "c": CategoricalDistribution(("a", "b")),
        "same": FloatDistribution(1e-5, 1, log=True),
    }
    first, second = {"x": 6.0, "lr": 1e-4, "c": "a", "same": 0.3}, {"x": 2.0, "lr": 1e-2, "c": "b", "same": 0.3}
    rng = np.random.default_rng(0)
    born = [crossover(rng, first, second, space) for _ in range(DRAWS)]
    assert stats.binomtest(sum(child["x"] == 6 for child in born), DRAWS, 0.1).pvalue > 0.01
    drawn = [child["x"] for child in born if child["x"] != 6]
    assert min(drawn) >= 2 - 0.2 * 4 and max(drawn) <= 6 + 0.2 * 4
    assert stats.kstest(drawn, stats.uniform(1.2, 5.6).cdf).pvalue > 0.01
    logs = [math.log10(child["lr"]) for child in born if child["lr"] != 1e-4]
    assert stats.kstest(logs, stats.uniform(-4.4, 2.8).cdf).pvalue > 0.01
    assert stats.binomtest(sum(child["c"] == "a" for child in born), DRAWS, 0.5).pvalue > 0.01
    assert {child["same"] for child in born} == {0.3}


def test_a_tournament_is_won_by_the_best_of_three() -> None:
    rng = np.random.default_rng(0)
    fitness = [0.3, 0.9, 0.1, 0.5, 0.7, 0.2, 0.8, 0.4]
    wins = Counter(tournament(rng, fitness) for _ in range(DRAWS))
    ranked = sorted(range(8), key=lambda index: -fitness[index])
    chances = [math.comb(7 - rank, 2) / math.comb(8, 3) for rank in range(6)]  # the two last never win
    assert stats.chisquare([wins[index] for index in ranked[:6]], np.array(chances) * DRAWS).pvalue > 0.01
    ties = Counter(tournament(rng, [0.5] * 4) for _ in range(DRAWS))
    assert stats.chisquare([ties[index] for index in range(4)]).pvalue > 0.01
    assert tournament(rng, [0.1, 0.2]) == 1  # a pool of fewer than three


@pytest.mark.parametrize(
    ("value", "bounds", "expected"),
    [
        (5.0, FloatDistribution(0, 1), 1.0),
        (0.0, FloatDistribution(1e-6, 1), 1e-6),
        (2.6, IntDistribution(0, 9), 3),
        (99, IntDistribution(0, 9), 9),
        (7.9, IntDistribution(1, 9, step=4), 9),
        (0.34, FloatDistribution(0, 0.9, step=0.3), 0.3),
    ],
)
def test_numbers_are_placed_within_a_distribution(value: float, bounds: Any, expected: float) -> None:
    assert within(value, bounds) == pytest.approx(expected, abs=1e-12)
    assert bounds._contains(bounds.to_internal_repr(within(value, bounds)))
