"""What the tests of genetic algorithms share, the published rule written the slow obvious way among it."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
import sqlalchemy
from optuna.distributions import BaseDistribution
from scipy import stats

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
