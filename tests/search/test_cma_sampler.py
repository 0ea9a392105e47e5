"""CMA-ES without state: the optimizer of the library told the same, as good as Optuna's, and no pickle is opened."""

from __future__ import annotations

import math
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import TrialState
from scipy import stats
from tests.search.genetics import new_study, silent

from lehr.rng import generator
from lehr.search.cma_sampler import CmaSampler, from_unit, to_unit
from lehr.search.definition import Definition
from lehr.search.samplers import make_sampler
from lehr.search.space import Parameter, Space
from lehr.studies.study import open_study

cmaes = pytest.importorskip("cmaes")
__all__ = ["silent"]

SPHERE = {f"x{number}": FloatDistribution(0.5, 10.0) for number in range(4)}
START = dict.fromkeys(SPHERE, 6.0)


def negative_sphere(x: np.ndarray) -> float:
    return -float(((x - 3) ** 2).sum())


def negative_rosenbrock(x: np.ndarray) -> float:
    return -float((100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2).sum())


def seed_of(seed: int, slot: int) -> int:
    return int(generator(seed, "sampler", index=slot).integers(2**31))


def search(
    kind: str, f: Callable[[np.ndarray], float], space: dict[str, BaseDistribution], start: float, seed: int
) -> float:
    study = new_study(optuna.samplers.RandomSampler())
    begin = dict.fromkeys(space, start)
    study.enqueue_trial(begin)
    for slot in range(60):
        if kind == "own":
            study.sampler = CmaSampler(space=space, start=begin, seed=seed_of(seed, slot))
        else:
            study.sampler = optuna.samplers.CmaEsSampler(seed=seed_of(seed, slot), warn_independent_sampling=False)
        trial = study.ask(space)
        study.tell(trial, f(np.array([*trial.params.values()])))
    return study.best_value


@pytest.mark.parametrize(
    ("f", "low", "high", "start"),
    [
        pytest.param(negative_sphere, 0.5, 10.0, 5.25, marks=pytest.mark.slow),
        (negative_rosenbrock, 0.1, 4.0, 2.05),
    ],
)
def test_it_searches_as_well_as_optunas(
    f: Callable[[np.ndarray], float], low: float, high: float, start: float
) -> None:
    """From the middle, where Optuna's begins unless it is told otherwise."""
    space: dict[str, BaseDistribution] = {f"x{number}": FloatDistribution(low, high) for number in range(4)}
    own, other = ([search(kind, f, space, start, seed) for seed in range(12)] for kind in ("own", "optuna"))
    assert stats.mannwhitneyu(own, other, alternative="less").pvalue > 0.05
    chance = [max(f(x) for x in np.random.default_rng(seed).uniform(low, high, (60, 4))) for seed in range(12)]
    assert stats.mannwhitneyu(own, chance, alternative="greater").pvalue < 0.001


def test_it_is_the_librarys_optimizer_told_each_generation_when_it_has_finished() -> None:
    study = new_study(optuna.samplers.RandomSampler())
    study.enqueue_trial(START)
    optimizer = cmaes.CMA(np.full(4, 5.5 / 9.5), 1 / 6, np.tile([0.0, 1.0], (4, 1)), n_max_resampling=40)
    told: list[tuple[np.ndarray, float]] = []
    for slot in range(40):
        study.sampler = CmaSampler(space=SPHERE, start=START, seed=slot)
        trial = study.ask(SPHERE)
        if slot > 0:  # the first is the start, which the optimizer did not draw
            optimizer.reseed_rng(slot)
            x = optimizer.ask()
            assert [*trial.params.values()] == pytest.approx(0.5 + 9.5 * x, rel=1e-9)
            told.append((x, float(((0.5 + 9.5 * x - 3) ** 2).sum())))
            if len(told) == optimizer.population_size:
                optimizer.tell(told)
                told = []
        study.tell(trial, negative_sphere(np.array([*trial.params.values()])))
    assert optimizer.generation == 4


def test_a_lost_worker_changes_nothing_and_trials_without_result_count_nothing() -> None:
    studies = [new_study(optuna.samplers.RandomSampler()) for _ in range(2)]
    for number, study in enumerate(studies):
        for slot in range(20):
            study.sampler = CmaSampler(space=SPHERE, start=START, seed=slot)
            if number == 1 and slot % 3 == 0:
                study.tell(study.ask(SPHERE), state=TrialState.FAIL)
            trial = study.ask(SPHERE)
            study.tell(trial, negative_sphere(np.array([*trial.params.values()])))
    first, second = ([t.params for t in study.get_trials(states=(TrialState.COMPLETE,))] for study in studies)
    assert first == second


def test_counts_and_logarithms_are_within_their_bounds_and_choices_are_drawn() -> None:
    space: dict[str, BaseDistribution] = {
        "rate": FloatDistribution(1e-5, 0.1, log=True),
        "count": IntDistribution(1, 3),
        "scale": IntDistribution(1, 64, log=True),
        "kind": CategoricalDistribution(("a", "b")),
        "single": FloatDistribution(2.0, 2.0),
    }
    start = {"rate": 0.01, "count": 2, "scale": 8, "kind": "a", "single": 2.0}
    study = new_study(optuna.samplers.RandomSampler())
    for slot in range(40):
        study.sampler = CmaSampler(space=space, start=start, seed=slot)
        trial = study.ask(space)
        study.tell(trial, -abs(math.log10(trial.params["rate"]) + 3))
    params = [trial.params for trial in study.trials]
    assert {each["count"] for each in params} == {1, 2, 3} and {each["kind"] for each in params} == {"a", "b"}
    assert all(1e-5 <= each["rate"] <= 0.1 and 1 <= each["scale"] <= 64 and each["single"] == 2 for each in params)
    assert abs(np.median([math.log10(each["rate"]) for each in params[-10:]]) + 3) < 0.7


@pytest.mark.parametrize(
    "bounds",
    [
        FloatDistribution(-2, 5),
        FloatDistribution(1e-6, 3, log=True),
        IntDistribution(2, 9),
        IntDistribution(1, 99, log=True),
    ],
)
def test_positions_and_values_are_of_each_other(bounds: FloatDistribution | IntDistribution) -> None:
    for position in np.linspace(0, 1, 41):
        value = from_unit(float(position), bounds)
        assert bounds.low <= value <= bounds.high
        if isinstance(bounds, FloatDistribution):
            assert to_unit(value, bounds) == pytest.approx(position, abs=1e-9)
        else:
            assert from_unit(to_unit(value, bounds), bounds) == value
    assert to_unit(bounds.low - 100, bounds) == 0 and to_unit(bounds.high + 100, bounds) == 1


class Attack:
    """An object whose unpickling makes a file."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.system, (f"touch {self.victim}",)


@pytest.mark.parametrize("url", ["sqlite:///{}/study.db", "{}/study.journal"])
@pytest.mark.parametrize("prefix", ["cma", "sepcma", "cmawm"])
def test_a_pickle_in_a_study_is_never_opened(url: str, prefix: str, tmp_path: Path) -> None:
    victim, where = tmp_path / "victim", url.format(tmp_path)
    space = Space({"lr0": Parameter(0.0, 1.0), "box": Parameter(0.0, 1.0)}, {"lr0": 0.5, "box": 0.5})
    search = {"fitness": "map", "sampler": "cmaes", "pruner": "none", "prune_after": None, "space": space.as_plain()}
    study = open_study(where, "study", Definition("evolve", {"epochs": 3, "seed": 0}, "data", search), patience=5)
    poison = pickle.dumps(Attack(victim)).hex()
    bounds = {name: parameter.distribution() for name, parameter in space.parameters.items()}
    for slot in range(12):
        attributes = {f"{prefix}:optimizer:0": poison, f"{prefix}:generation": slot // 6}
        study.study.add_trial(
            optuna.create_trial(
                params={"lr0": 0.1 + 0.01 * slot, "box": 0.5},
                distributions=bounds,
                value=0.1,
                system_attrs=attributes,
                user_attrs={"slot": slot, "attempt": 1, "worker": "host:1", "result": {"state": "finished"}},
            )
        )
    study.fill([{}] * 13)
    trial = study.take("host:1", lambda slot: make_sampler("cmaes", space, 0, slot), optuna.pruners.NopPruner())
    assert trial is not None and set(space.suggest(trial)) == {"lr0", "box"}
    assert not victim.exists()
    pickle.loads(bytes.fromhex(poison))  # the attack itself is sound
    assert victim.exists()


@pytest.mark.parametrize("generation", [0, "0", 1.5, True, None, [0], -1, 10**30, "x" * 100, {"a": 1}])
@pytest.mark.parametrize("value", [1e308, -1e308, 0.0])
def test_generations_and_values_that_no_search_comes_to_end_in_a_draw_within_bounds(
    generation: object, value: float
) -> None:
    study = new_study(optuna.samplers.RandomSampler())
    for number in range(24):
        trial = optuna.create_trial(
            params=dict.fromkeys(SPHERE, 0.5 + 0.1 * number),
            distributions=dict(SPHERE),
            value=value,
            system_attrs={"cma:generation": number // 8 if generation == 0 else generation},
        )
        study.add_trial(trial)
    study.sampler = CmaSampler(space=SPHERE, start=START, seed=0)
    assert all(0.5 <= value <= 10 for value in study.ask(SPHERE).params.values())
