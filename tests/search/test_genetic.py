"""Genetic samplers: their draws against the published rule written the slow obvious way, and how they search."""

from __future__ import annotations

import math
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy import stats

from lehr.search.genetic import (
    EvolutionSampler,
    Mutation,
    TournamentSampler,
    crossover,
    factors,
    mean_parent,
    mutate,
    selection_weights,
    tournament,
    within,
)

DRAWS = 10_000
Space = dict[str, BaseDistribution]


@pytest.fixture(autouse=True)
def silent() -> Iterator[None]:
    """Any warning is a failure: none may reach who runs a search."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


def new_study(sampler: optuna.samplers.BaseSampler, **more: Any) -> optuna.Study:
    return optuna.create_study(direction="maximize", sampler=sampler, **more)


def opened(path: Path) -> optuna.storages.RDBStorage:
    """A storage in SQLite; without waiting for the disk, since no power is cut here."""
    storage = optuna.storages.RDBStorage(f"sqlite:///{path}")
    sqlalchemy.event.listen(storage.engine, "connect", lambda each, _: each.execute("PRAGMA synchronous=OFF"))
    storage.engine.dispose()
    return storage


def finished(params: Mapping[str, Any], space: Space, value: float) -> optuna.trial.FrozenTrial:
    return optuna.create_trial(params=dict(params), distributions=space, value=value)


def asked(study: optuna.Study, space: Space) -> dict[str, Any]:
    return study.ask(space).params


def slow_factors(rng: np.random.Generator, gains: list[float], m: float = 0.8, s: float = 0.2) -> list[float]:
    """The published rule, a value at a time."""
    while True:
        uniform = rng.uniform()
        result = []
        for gain in gains:
            factor = 1.0
            if rng.uniform() < m:
                factor = 1 + gain * rng.normal() * uniform * s
            result.append(min(max(factor, 0.3), 3.0))
        if any(factor != 1 for factor in result):
            return result


def same_distribution(ours: Any, slow: Any) -> bool:
    return bool(stats.ks_2samp(ours, slow).pvalue > 0.01)


def same_share(ours: int, slow: int, of: int) -> bool:
    return bool(stats.fisher_exact([[ours, of - ours], [slow, of - slow]]).pvalue > 0.01)


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
        assert all(trial.params["zero"] == 0 for trial in study.trials) == stuck


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


# Through Optuna. The number of the parent is a value of gain 0, which a child has from its parent as it is.
PARENT: Space = {"parent": IntDistribution(0, 99), "x": FloatDistribution(1.0, 1e6)}
FITNESS = [0.11, 0.60, 0.43, 0.10, 0.52, 0.30, 0.05]  # 3 and 6 are not of the best five


def children(make: Callable[[int], optuna.samplers.BaseSampler], count: int) -> list[dict[str, Any]]:
    """Children of seven finished trials, from several seeds, since many trials of one study take long."""
    result = []
    for seed in range(count // 300):
        study = new_study(make(seed))
        for number, fitness in enumerate(FITNESS):
            study.add_trial(finished({"parent": number, "x": 1000.0 + number}, PARENT, fitness))
        result += [asked(study, PARENT) for _ in range(300)]
    return result


def test_parents_are_drawn_by_their_weights_from_the_best_five_only() -> None:
    start = {"parent": 99, "x": 500.0}
    born = children(lambda seed: EvolutionSampler(space=PARENT, start=start, gains={"parent": 0}, seed=seed), 1800)
    counts = Counter(child["parent"] for child in born)
    # The fifth, 0.11, has a weight of a millionth.
    assert set(counts) == {1, 2, 4, 5}
    above = np.array([FITNESS[number] - 0.11 for number in (1, 4, 2, 5)])
    assert stats.chisquare([counts[number] for number in (1, 4, 2, 5)], above / above.sum() * len(born)).pvalue > 0.01
    rng = np.random.default_rng(9)
    drawn = [child["x"] / (1000 + child["parent"]) for child in born]
    assert same_distribution(drawn, [slow_factors(rng, [1.0])[0] for _ in born])
    assert all(factor != 1 for factor in drawn)


def test_the_weighted_parent_is_the_average_by_the_same_weights() -> None:
    space: Space = {"kept": FloatDistribution(0, 99), "x": FloatDistribution(0, 1)}
    sampler = EvolutionSampler(space=space, start={"kept": 9, "x": 0.5}, gains={"kept": 0}, parent="weighted")
    study = new_study(sampler)
    for number, fitness in enumerate(FITNESS):
        study.add_trial(finished({"kept": number**2 / 7, "x": 0.5}, space, fitness))
    best = sorted(range(7), key=lambda number: -FITNESS[number])[:5]
    weights = [FITNESS[number] - 0.11 + 1e-6 for number in best]
    expected = sum(w * number**2 / 7 for w, number in zip(weights, best, strict=True)) / sum(weights)
    assert [asked(study, space)["kept"] for _ in range(3)] == pytest.approx([expected] * 3, rel=1e-12)


def test_no_child_is_equal_to_its_parent_as_long_as_it_can_differ() -> None:
    # Most factors leave 3 as it is when rounded, and half of them leave a value at its bound.
    space: Space = {
        "n": IntDistribution(1, 9),
        "x": FloatDistribution(1.0, 2.0),
        "off": CategoricalDistribution((0, 1)),
    }
    start = {"n": 3, "x": 2.0, "off": 0}
    study = new_study(EvolutionSampler(space=space, start=start, gains={"off": 0}))
    born = [asked(study, space) for _ in range(300)]
    assert start not in born
    assert sum(child["n"] == 3 for child in born) > 200
    stuck = new_study(EvolutionSampler(space=space, start=start, gains=dict.fromkeys(space, 0)))
    assert asked(stuck, space) == start


def test_trials_without_a_result_are_no_parents() -> None:
    start = {"parent": 99, "x": 500.0}
    for make in (EvolutionSampler, TournamentSampler):
        study = new_study(make(space=PARENT, start=start, gains={"parent": 0}))
        for state in (TrialState.PRUNED, TrialState.FAIL):
            trial = study.ask(PARENT)
            trial.report(0.9, 1)
            study.tell(trial, state=state)
        assert [asked(study, PARENT)["parent"] for _ in range(20)] == [99] * 20


def test_trials_that_the_sampler_did_not_make_are_parents_too() -> None:
    study = new_study(EvolutionSampler(space=PARENT, start={"parent": 99, "x": 500.0}, gains={"parent": 0}))
    study.enqueue_trial({"parent": 7, "x": 4000.0})
    first = study.ask(PARENT)
    assert first.params == {"parent": 7, "x": 4000.0}
    study.tell(first, 0.1)
    assert asked(study, PARENT)["parent"] == 7
    study.add_trial(finished({"parent": 8}, {"parent": PARENT["parent"]}, 0.9))  # one that knew no x
    born = [asked(study, PARENT) for _ in range(50)]
    assert {child["parent"] for child in born} == {8}  # the weight of 7 is a millionth
    assert all(child["x"] < 1000 for child in born)  # so it is the start's
    elsewhere: Space = {**PARENT, "x": FloatDistribution(1e7, 1e8)}  # and one of another space
    study.add_trial(finished({"parent": 9, "x": 2e7}, elsewhere, 1e9))
    assert asked(study, PARENT)["parent"] == 9 and asked(study, PARENT)["x"] < 1000
    study.enqueue_trial({"parent": 5})  # as a trial that is begun again, only in part
    assert asked(study, PARENT)["parent"] == 5


def test_a_trial_that_ends_late_becomes_a_parent_at_once() -> None:
    study = new_study(EvolutionSampler(space=PARENT, start={"parent": 1, "x": 500.0}, gains={"parent": 0}))
    slow = study.ask(PARENT)
    study.enqueue_trial({"parent": 2, "x": 500.0})
    study.tell(study.ask(PARENT), 0.2)
    assert asked(study, PARENT)["parent"] == 2
    study.tell(slow, 0.9)
    assert asked(study, PARENT)["parent"] == 1


def test_equal_fitness_gives_every_parent_the_same_chance() -> None:
    study = new_study(EvolutionSampler(space=PARENT, start={"parent": 99, "x": 500.0}, gains={"parent": 0}))
    for number in range(6):
        study.add_trial(finished({"parent": number, "x": 1000.0}, PARENT, 0.0))
    counts = Counter(asked(study, PARENT)["parent"] for _ in range(400))
    assert set(counts) == {0, 1, 2, 3, 4}  # of equal ones, the earlier are the best five
    assert stats.chisquare(list(counts.values())).pvalue > 0.01


TENS: Space = {"x": FloatDistribution(1, 1e6)}


def ten_apart(sampler: TournamentSampler, count: int = 10) -> optuna.Study:
    """A study of trials at 10, 20, ..., the later the better; a mutation of little sigma leaves who the parent was."""
    study = new_study(sampler)
    for number in range(count):
        study.add_trial(finished({"x": 10.0 * (number + 1)}, TENS, number / 10))
    return study


def test_parents_of_the_tournament_win_as_often_as_combinatorics_says() -> None:
    wins: Counter[int] = Counter()
    for seed in range(5):
        study = ten_apart(TournamentSampler(space=TENS, start={"x": 1.0}, crossover=0, sigma=0.01, seed=seed), 12)
        wins += Counter(round(asked(study, TENS)["x"] / 10) for _ in range(300))
    assert set(wins) == set(range(5, 13))  # of the best ten, 3 to 12, the two worst win no tournament of three
    expected = [1500 * math.comb(9 - rank, 2) / math.comb(10, 3) for rank in range(8)]
    assert stats.chisquare([wins[12 - rank] for rank in range(8)], expected).pvalue > 0.01


def test_children_of_the_tournament_lie_in_the_interval_of_their_parents() -> None:
    space: Space = {
        "x": FloatDistribution(0, 10),
        "lr": FloatDistribution(1e-5, 1, log=True),
        "kept": FloatDistribution(0, 9),
    }
    start = {"x": 9, "lr": 1, "kept": 5}
    # In a tournament of one, either of both may be either parent.
    more = {"mutation": 0, "population_size": 2, "tournament": 1}
    study = new_study(TournamentSampler(space=space, start=start, gains={"kept": 0}, **more))
    study.add_trial(finished({"x": 2.0, "lr": 1e-4, "kept": 1.0}, space, 0.5))
    study.add_trial(finished({"x": 6.0, "lr": 1e-2, "kept": 2.0}, space, 0.4))
    born = [asked(study, space) for _ in range(300)]
    assert all(1.2 <= child["x"] <= 6.8 for child in born)
    assert all(10**-4.4 - 1e-5 <= child["lr"] <= 10**-1.6 + 1e-5 for child in born)
    assert min(child["x"] for child in born) < 2 and max(child["x"] for child in born) > 6
    assert {child["kept"] for child in born} == {5}  # gain 0: the start's, whatever the parents have


def test_elites_never_leave_the_pool_and_the_newest_join_it_at_once() -> None:
    study = ten_apart(TournamentSampler(space=TENS, start={"x": 1.0}, crossover=0, sigma=0.01, tournament=10))
    # The best of all ten in the pool is the parent of all.
    assert {round(asked(study, TENS)["x"] / 10) for _ in range(5)} == {10}
    for number in range(35):  # three generations of worse trials
        study.add_trial(finished({"x": 1e5}, TENS, -1.0 - number))
        assert round(asked(study, TENS)["x"] / 10) == 10
    study.add_trial(finished({"x": 2000.0}, TENS, 5.0))
    assert round(asked(study, TENS)["x"] / 10) == pytest.approx(200, abs=10)
    without = ten_apart(
        TournamentSampler(space=TENS, start={"x": 1.0}, crossover=0, sigma=0.01, tournament=10, elites=0)
    )
    asked(without, TENS)
    without.add_trial(finished({"x": 2000.0}, TENS, 5.0))
    assert round(asked(without, TENS)["x"] / 10) == 10  # waits for its generation to end


def test_generations_are_as_long_as_the_population() -> None:
    study = new_study(TournamentSampler(space=TENS, start={"x": 100.0}, population_size=4))
    for number in range(9):
        study.tell(study.ask(TENS), number / 10)
        study.tell(study.ask(TENS), state=TrialState.PRUNED)
    generations = [trial.system_attrs["TournamentSampler:generation"] for trial in study.trials]
    assert generations[::2] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert all(70 < trial.params["x"] < 150 for trial in study.trials if trial.number < 7)  # mutations of the start


def negative_sphere(x: np.ndarray) -> float:
    return -float(((x - 3) ** 2).sum())


def negative_rosenbrock(x: np.ndarray) -> float:
    return -float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def negative_rastrigin(x: np.ndarray) -> float:
    return -float(((x - 2) ** 2 - 10 * np.cos(2 * math.pi * (x - 2)) + 10).sum())


FUNCTIONS = [  # lower and upper bound, start, dimensions
    (negative_sphere, 0.5, 10.0, 6.0, 5),
    (negative_rosenbrock, 0.1, 4.0, 2.0, 5),
    (negative_rastrigin, 0.1, 20.0, 4.3, 5),
]
Function = Callable[[np.ndarray], float]


def search(sampler: optuna.samplers.BaseSampler, f: Function, space: Space, start: float, trials: int = 100) -> float:
    study = new_study(sampler)
    study.enqueue_trial(dict.fromkeys(space, start))
    for _ in range(trials):
        trial = study.ask(space)
        study.tell(trial, f(np.array([*trial.params.values()])))
    return study.best_value


def slow_search(f: Function, low: float, high: float, start: float, dims: int, seed: int, trials: int = 100) -> float:
    """The published rule, a list of what was tried."""
    rng = np.random.default_rng(seed)
    tried = [(f(np.full(dims, start)), [start] * dims)]
    while len(tried) < trials:
        parents = sorted(tried, key=lambda each: each[0], reverse=True)[:5]
        weights = [fitness - min(p[0] for p in parents) + 1e-6 for fitness, _ in parents]
        parent = parents[rng.choice(len(parents), p=[w / sum(weights) for w in weights])][1]
        child = [
            round(min(max(v * k, low), high), 5) for v, k in zip(parent, slow_factors(rng, [1.0] * dims), strict=True)
        ]
        tried.append((f(np.array(child)), child))
    return max(fitness for fitness, _ in tried)


@pytest.mark.parametrize(("f", "low", "high", "start", "dims"), FUNCTIONS)
def test_both_searches_improve_and_evolution_as_much_as_the_published_rule(
    f: Function, low: float, high: float, start: float, dims: int
) -> None:
    space: Space = {f"x{number}": FloatDistribution(low, high) for number in range(dims)}
    given = {"space": space, "start": dict.fromkeys(space, start)}
    ours = [search(EvolutionSampler(seed=seed, **given), f, space, start) for seed in range(14)]
    slow = [slow_search(f, low, high, start, dims, seed) for seed in range(40)]
    # As telling as 20 of each: the harmonic mean of 14 and 40 is 20.7, and Optuna is what takes long.
    assert stats.mannwhitneyu(ours, slow).pvalue > 0.01
    later = [search(TournamentSampler(seed=seed, **given), f, space, start) for seed in range(3)]
    first = f(np.full(dims, start))
    rng = np.random.default_rng(0)
    chance = [max(f(x) for x in rng.uniform(low, high, (100, dims))) for _ in range(20)]
    for found in (ours, later):
        assert min(found) > first and np.median(found) > first / 2
        assert stats.mannwhitneyu(found, chance, alternative="greater").pvalue < 0.01


MIXED: Space = {
    "lr": FloatDistribution(1e-5, 0.1, log=True),
    "n": IntDistribution(0, 20),
    "optimizer": CategoricalDistribution(("sgd", "adam")),
    "mosaic": FloatDistribution(0, 1),
}
START = {"lr": 0.01, "n": 10, "optimizer": "sgd", "mosaic": 0.0}


def quality(params: Mapping[str, Any]) -> float:
    return (
        float(params["mosaic"])
        - abs(math.log(params["lr"] / 0.003))
        + params["n"] / 50
        + (params["optimizer"] == "adam")
    )


BOTH: dict[Any, dict[str, int]] = {EvolutionSampler: {}, TournamentSampler: {"population_size": 4}}


@pytest.mark.parametrize("make", BOTH)
def test_a_study_that_is_opened_again_goes_on_with_the_same_children(make: Any, tmp_path: Path) -> None:
    def some(count: int, seed: int, space: Space, **more: Any) -> list[dict[str, Any]]:
        study = new_study(make(space=space, start=START, seed=seed, **BOTH[make]), **more)
        result = []
        for _ in range(count):
            trial = study.ask(MIXED)
            study.tell(trial, quality(trial.params))
            result.append(trial.params)
        return result

    whole = some(14, 5, MIXED)
    file, more = tmp_path / "study.db", {"study_name": "s", "load_if_exists": True}
    otherwise = dict(reversed(MIXED.items()))  # the order of names does not matter either
    parts = some(6, 5, MIXED, storage=opened(file), **more) + some(8, 5, otherwise, storage=opened(file), **more)
    assert parts == whole
    assert all(a != b for a, b in zip(some(14, 6, MIXED), whole, strict=True))


@pytest.mark.parametrize("make", BOTH)
def test_a_child_depends_on_seed_number_and_history_alone(make: Any) -> None:
    def study_with(fitness: list[float]) -> optuna.Study:
        study = new_study(make(space=MIXED, start=START, seed=1, **BOTH[make]))
        for number, value in enumerate(fitness):
            study.add_trial(finished({**START, "n": number, "lr": 0.001 * (number + 1)}, MIXED, value))
        return study

    fitness = [0.4, 0.1, 0.3, 0.2, 0.5, 0.0]
    one, two = study_with(fitness), study_with(fitness)
    expected = [asked(one, MIXED) for _ in range(6)]
    assert len({str(child) for child in expected}) == 6
    for _ in range(5):
        two.ask()  # numbers that others take, without a draw
    assert asked(two, MIXED) == expected[5]
    reverse = study_with(fitness[::-1])
    assert [asked(reverse, MIXED) for _ in range(6)] != expected


@pytest.mark.parametrize("make", BOTH)
def test_a_copied_study_goes_on_too(make: Any) -> None:
    study = new_study(make(space=PARENT, start={"parent": 99, "x": 500.0}, **BOTH[make]))
    running = [asked(study, PARENT) for _ in range(8)]
    for number in range(4):
        study.tell(study.ask(PARENT), number)
    # The study keeps its parents by ids, which are those of running trials in the copy.
    asked(study, PARENT)
    storage = optuna.storages.InMemoryStorage()
    other = new_study(optuna.samplers.RandomSampler(), storage=storage, study_name="other")
    for _ in running:
        other.ask()
    optuna.copy_study(
        from_study_name=study.study_name, from_storage=study._storage, to_storage=storage, to_study_name="copy"
    )
    copy = optuna.load_study(study_name="copy", storage=storage, sampler=study.sampler)
    assert asked(copy, PARENT) == asked(study, PARENT)


def test_samplers_and_workers_share_a_study_without_errors(tmp_path: Path) -> None:
    workers = [(make, opened(tmp_path / "study.db")) for make in BOTH]
    studies = [
        new_study(make(space=MIXED, start=START), storage=storage, study_name="s", load_if_exists=True)
        for make, storage in workers
    ]
    running: list[tuple[optuna.Study, optuna.Trial]] = []
    rng = np.random.default_rng(0)
    for number in range(16):
        study = studies[number % 2]
        running.append((study, study.ask(MIXED)))
        if len(running) == 4:
            owner, trial = running.pop(int(rng.integers(4)))
            if number % 7:
                owner.tell(trial, quality(trial.params))
            else:
                owner.tell(trial, state=TrialState.PRUNED)
    assert len(studies[0].trials) == 16
    for trial in studies[0].trials:
        assert all(MIXED[name]._contains(MIXED[name].to_internal_repr(value)) for name, value in trial.params.items())


def test_a_pruner_of_brackets_does_not_disturb() -> None:
    pruner = optuna.pruners.HyperbandPruner(max_resource=9)
    study = new_study(EvolutionSampler(space=MIXED, start=START), pruner=pruner)

    def objective(trial: optuna.Trial) -> float:
        value = quality({name: trial._suggest(name, each) for name, each in MIXED.items()})
        for epoch in range(9):
            trial.report(value, epoch)
            if trial.should_prune():
                raise optuna.TrialPruned
        return value

    study.optimize(objective, n_trials=40)
    assert study.best_value > quality(START)


def test_parameters_outside_the_space_take_the_start_or_chance() -> None:
    space: Space = {"x": FloatDistribution(1, 2), "fixed": FloatDistribution(3, 3)}
    sampler = EvolutionSampler(space=space, start={"x": 1.5, "y": 0.25})
    study = new_study(sampler)
    assert sampler.infer_relative_search_space(study, study.ask()._cached_frozen_trial) == {"x": space["x"]}
    outside: Space = {
        "y": FloatDistribution(0, 1),
        "z": FloatDistribution(1e-3, 1, log=True),
        "n": IntDistribution(2, 4),
    }
    born = [asked(study, {**space, **outside, "c": CategoricalDistribution(("a", "b"))}) for _ in range(40)]
    assert {child["fixed"] for child in born} == {3} and {child["y"] for child in born} == {0.25}
    assert len({child["z"] for child in born}) == 40 and {child["n"] for child in born} == {2, 3, 4}
    assert {child["c"] for child in born} == {"a", "b"}
    assert asked(study, {"y": FloatDistribution(0.5, 1)})["y"] >= 0.5  # where the start's is not allowed


def test_what_does_not_fit_is_refused() -> None:
    space: Space = {"x": FloatDistribution(1, 2), "c": CategoricalDistribution(("a", "b"))}
    for start in ({"x": 1.5}, {"x": 3.0, "c": "a"}, {"x": 1.5, "c": "z"}, {"x": "1.5", "c": "a"}):
        with pytest.raises(ValueError, match="start: "):
            EvolutionSampler(space=space, start=start)
    for gain in (-1.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="gains: x"):
            TournamentSampler(space=space, start={"x": 1.5, "c": "a"}, gains={"x": gain})
    for directions in (["minimize"], ["maximize", "maximize"]):
        study = optuna.create_study(
            directions=directions, sampler=EvolutionSampler(space=space, start={"x": 1, "c": "a"})
        )
        with pytest.raises(ValueError, match="maximises one objective"):
            study.ask(space)
