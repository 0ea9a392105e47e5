"""CMA-ES as a sampler of an Optuna study that is maximised, without any state but the finished trials.

Optuna's own sampler keeps the optimizer as a pickle in the study, so whoever can write the study runs code on every
worker. Here the optimizer is rebuilt for each trial from the finished generations, which takes
milliseconds: its state is a function of the trials, and nothing that a study holds is more than numbers.

The method is that of Hansen & Ostermeier, "Completely Derandomized Self-Adaptation in Evolution Strategies", 2001, as
the library `cmaes` has it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.samplers import BaseSampler, RandomSampler
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState

from lehr.search.optuna_adapter import (
    enqueued_values,
    keep_cma_generation,
    kept_cma_generation,
    trials_at_start,
)
from lehr.search.records import Value

if TYPE_CHECKING:
    from cmaes import CMA
    from optuna.study import Study

SIGMA = 1 / 6
"""Standard deviation at first, as a share of each parameter's range."""
RESAMPLING = 10
"""Retries of draws outside the bounds, for each parameter; then the last is moved to the nearest bound."""

Bounded = FloatDistribution | IntDistribution


class CmaSampler(BaseSampler):
    """Covariance matrix adaptation of all parameters that are numbers; choices are drawn at random.

    Trials that are sampled belong to the generation that their optimizer is at. Once as many of a generation have
    finished as it has members, those of the smallest numbers move the optimizer on to the next.

    Args:
        space: of the search, by name.
        start: the values at which it starts.
        seed: of this trial's draws.
    """

    def __init__(self, *, space: Mapping[str, BaseDistribution], start: Mapping[str, Value], seed: int) -> None:
        # In the order of names, so that the optimizer does not depend on how the mapping was made.
        self._space: dict[str, Bounded] = {
            name: bounds
            for name, bounds in sorted(space.items())
            if isinstance(bounds, FloatDistribution | IntDistribution) and not bounds.single()
        }
        self._start, self._seed = dict(start), seed
        self._others = RandomSampler(seed=seed)

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Refuse a study of anything but one objective that is maximised."""
        if study.directions != [StudyDirection.MAXIMIZE]:
            raise ValueError("CmaSampler maximises one objective: create_study(direction='maximize').")

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The parameters that are numbers, without what has a single value."""
        return dict(self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of a member of the generation that the study is at; none if they are fixed as the start's."""
        given = enqueued_values(trial)
        if not self._space or (given and all(given.get(name) == self._start[name] for name in self._space)):
            return {}
        try:
            optimizer = self._optimizer(trials_at_start(study, (TrialState.COMPLETE,)))
            drawn = optimizer.ask()
        except (ValueError, ArithmeticError, AssertionError):  # trials that no search can have produced
            return {}
        keep_cma_generation(study, trial, optimizer.generation)
        return {name: from_unit(float(x), bounds) for x, (name, bounds) in zip(drawn, self._space.items(), strict=True)}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """A random draw of a choice."""
        return self._others.sample_independent(study, trial, param_name, param_distribution)

    def _optimizer(self, finished: Sequence[FrozenTrial]) -> CMA:
        """The optimizer after all finished generations.

        Args:
            finished: trials, by number.
        """
        from cmaes import CMA

        count = len(self._space)
        mean = np.array([to_unit(self._start[name], bounds) for name, bounds in self._space.items()], dtype=np.float64)
        bounds = np.tile([0.0, 1.0], (count, 1))  # (parameters, 2)
        optimizer = CMA(mean=mean, sigma=SIGMA, bounds=bounds, seed=self._seed, n_max_resampling=RESAMPLING * count)
        generations = self._generations(finished)
        with np.errstate(all="ignore"):
            while len(members := generations.get(optimizer.generation, [])) >= optimizer.population_size:
                optimizer.tell(members[: optimizer.population_size])
        return optimizer

    def _generations(self, finished: Iterable[FrozenTrial]) -> dict[int, list[tuple[np.ndarray, float]]]:
        """The members of each generation: positions within the unit cube, and what is minimised."""
        found: dict[int, list[tuple[np.ndarray, float]]] = {}
        for trial in finished:
            generation, values = kept_cma_generation(trial), [trial.params.get(name) for name in self._space]
            if generation is None or trial.value is None or not math.isfinite(trial.value):
                continue
            if not all(isinstance(value, int | float) and math.isfinite(value) for value in values):
                continue
            x = [to_unit(value, bounds) for value, bounds in zip(values, self._space.values(), strict=True)]
            found.setdefault(generation, []).append((np.array(x, dtype=np.float64), -trial.value))
        return found


def to_unit(value: Any, bounds: Bounded) -> float:
    """Return the position of a value between its bounds, 0 to 1; of one outside, that of the nearest bound."""
    low, high = _ends(bounds)
    if bounds.log:
        value = math.log(max(float(value), math.exp(low)))
    return min(max((float(value) - low) / (high - low), 0.0), 1.0)


def from_unit(position: float, bounds: Bounded) -> float | int:
    """Return the value at a position between its bounds, 0 to 1."""
    low, high = _ends(bounds)
    value = low + position * (high - low)
    if bounds.log:
        value = math.exp(value)
    if isinstance(bounds, IntDistribution):
        return min(max(round(value), bounds.low), bounds.high)
    return min(max(value, bounds.low), bounds.high)


def _ends(bounds: Bounded) -> tuple[float, float]:
    """The ends of the unit interval: each count has the same share of it, the first and the last too."""
    half = 0.5 if isinstance(bounds, IntDistribution) else 0.0
    low, high = bounds.low - half, bounds.high + half
    return (math.log(low), math.log(high)) if bounds.log else (low, high)
