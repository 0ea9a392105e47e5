"""Genetic samplers on standard test functions: they improve as the published loop does."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import optuna
import pytest
from optuna.distributions import FloatDistribution
from scipy import stats
from tests.search.genetics import Space, new_study, silent, slow_factors

from lehr.search.genetic_samplers import EvolutionSampler, TournamentSampler

__all__ = ["silent"]


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
