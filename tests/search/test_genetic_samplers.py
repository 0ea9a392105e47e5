"""Genetic samplers in Optuna: whom they take as parents, and how they search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy import stats
from tests.search.genetics import Space, asked, finished, new_study, opened, same_distribution, silent, slow_factors

from lehr.search.genetic_samplers import EvolutionSampler, TournamentSampler
from lehr.search.optuna_adapter import storage_of

__all__ = ["silent"]


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
    generations = [trial.system_attrs["TournamentSampler:generation"] for trial in study.get_trials(deepcopy=False)]
    assert generations[::2] == [0, 0, 0, 0, 1, 1, 1, 1, 2]
    assert all(
        70 < trial.params["x"] < 150 for trial in study.get_trials(deepcopy=False) if trial.number < 7
    )  # mutations of the start


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
        from_study_name=study.study_name,
        from_storage=storage_of(study),
        to_storage=storage,
        to_study_name="copy",
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
    assert len(studies[0].get_trials(deepcopy=False)) == 16
    for trial in studies[0].get_trials(deepcopy=False):
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
