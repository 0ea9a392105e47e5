"""Runs of an ablation made of tables of numbers, as the tests of its effects read them."""

from __future__ import annotations

from itertools import combinations

import numpy as np

from lehr.search.effects import Effect, Run


def names(count: int) -> list[str]:
    return [f"t{number:02}" for number in range(count)]


def leave_one_out_sets(techniques: list[str]) -> list[frozenset[str]]:
    return [frozenset(techniques), *(frozenset(techniques) - {technique} for technique in techniques)]


def all_sets(techniques: list[str]) -> list[frozenset[str]]:
    return [frozenset(chosen) for size in range(len(techniques) + 1) for chosen in combinations(techniques, size)]


def study(sets: list[frozenset[str]], table: np.ndarray, metric: str = "fitness") -> list[Run]:
    """Runs of a table, (sets, seeds)."""
    return [
        Run(on, seed, {metric: float(value)})
        for on, row in zip(sets, table, strict=True)
        for seed, value in enumerate(row)
    ]


def leave_one_out(table: np.ndarray) -> tuple[list[Run], list[str]]:
    techniques = names(len(table) - 1)
    return study(leave_one_out_sets(techniques), table), techniques


def half_width(effect: Effect) -> float:
    assert effect.low is not None and effect.high is not None
    return (effect.high - effect.low) / 2


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape)


def heavy_tailed(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_t(4, shape)


def with_seed_effects(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.standard_normal(shape) + 5 * rng.standard_normal(shape[1])
