"""Genetic algorithms as samplers of an Optuna study that is maximised.

`EvolutionSampler` follows the published rule that YOLOv5 made familiar: a child is one good trial, or the mean of
several, each value times a random factor. `TournamentSampler` is the later form: two parents from tournaments, crossed,
then mutated.

Nothing is remembered between draws: a child is a function of the seed, the number of its trial, and the trials finished
before it. So workers need to share nothing but the study, and a study continues as if it had never stopped.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, Literal, cast

from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.samplers import BaseGASampler
from optuna.study import StudyDirection
from optuna.trial import TrialState

from lehr.rng import generator
from lehr.search.genetic import (
    ALPHA,
    CROSSOVER,
    ELITES,
    MUTATION,
    PARENTS,
    POPULATION,
    SIGMA,
    TOURNAMENT,
    Bounds,
    Mutation,
    Numeric,
    Rng,
    Values,
    anywhere,
    crossover,
    differing,
    mean_parent,
    mutate,
    selection_weights,
    tournament,
)
from lehr.search.optuna_adapter import keep_generation, kept_generation, trials_at_start
from lehr.search.records import Value

if TYPE_CHECKING:
    from optuna.study import Study
    from optuna.trial import FrozenTrial

Distributions = Mapping[str, BaseDistribution]


def best(trials: Iterable[FrozenTrial], count: int) -> list[FrozenTrial]:
    """The best finished trials, best first; of equal ones, the earlier."""
    finished = [trial for trial in trials if trial.state == TrialState.COMPLETE]
    return sorted(finished, key=lambda trial: (-_fitness(trial), trial.number))[:count]


class GeneticSampler(BaseGASampler):
    """Base of both samplers: the space, the start, and generations that finished trials count."""

    def __init__(
        self, space: Distributions, start: Values, mutation: Mutation, seed: int, every: int, pool: int
    ) -> None:
        super().__init__(population_size=every)
        # In the order of names, so that draws do not depend on how the mapping was made.
        self._space = cast(Bounds, {name: bounds for name, bounds in sorted(space.items()) if not bounds.single()})
        self._start, self._mutation, self._seed, self._pool_size = dict(start), mutation, seed, pool
        for name, bounds in self._space.items():
            if name not in start or not _allows(bounds, start[name]):
                raise ValueError(f"start: {name} is {start.get(name)!r}; it must be one of {bounds}.")
        for name, gain in mutation.gains.items():
            if not 0 <= gain < float("inf"):
                raise ValueError(f"gains: {name} is {gain}; it must be a number, 0 or more.")

    @abstractmethod
    def _child(self, rng: Rng, study: Study, pool: list[FrozenTrial]) -> dict[str, Value]:
        """The values of a child of a pool, which is empty in the first generation."""

    def before_trial(self, study: Study, trial: FrozenTrial) -> None:
        """Refuse a study of anything but one objective that is maximised."""
        if study.directions != [StudyDirection.MAXIMIZE]:
            raise ValueError(f"{type(self).__name__} maximises one objective: create_study(direction='maximize').")

    def infer_relative_search_space(self, study: Study, trial: FrozenTrial) -> dict[str, BaseDistribution]:
        """The given space, without what has a single value."""
        return dict(self._space)

    def get_trial_generation(self, study: Study, trial: FrozenTrial) -> int:
        """The generation of a trial: one more for every `population_size` trials that were finished before it.

        Optuna counts the finished trials of the newest generation only. One that was added by hand, or one of an older
        generation, which another worker finishes late, would begin no new one and so wait to become a parent.
        """
        known = kept_generation(self, trial)
        if known is not None:
            return known
        generation = len(_finished(study)) // (self.population_size or 1)
        keep_generation(self, study, trial, generation)
        return generation

    def select_parent(self, study: Study, generation: int) -> list[FrozenTrial]:
        """The best of all generations so far."""
        return best(_finished(study), self._pool_size)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        """The values of a child."""
        generation = self.get_trial_generation(study, trial)
        # Sorted again: a pool that the study has kept comes back in the order of numbers. And selected again where it
        # is empty: in a copy of a study, it names trials of the original.
        pool = best(self.get_parent_population(study, generation), self._pool_size)
        if not pool and generation > 0:
            pool = self.select_parent(study, generation)
        child = self._child(generator(self._seed, "evolve", index=trial.number), study, pool)
        return {name: child[name] for name in search_space}

    def sample_independent(
        self, study: Study, trial: FrozenTrial, param_name: str, param_distribution: BaseDistribution
    ) -> Any:
        """The start's value of a parameter outside the space; if there is none, a random draw."""
        bounds = cast(Numeric | CategoricalDistribution, param_distribution)
        if param_name in self._start and _allows(bounds, self._start[param_name]):
            return self._start[param_name]
        return anywhere(generator(self._seed, f"evolve {param_name}", index=trial.number), bounds)

    def _values(self, trial: FrozenTrial) -> dict[str, Value]:
        """The values of a parent; the start's, if it has none that the space allows."""
        given, start = trial.params, self._start
        return {
            k: given[k] if k in given and _allows(bounds, given[k]) else start[k] for k, bounds in self._space.items()
        }


class EvolutionSampler(GeneticSampler):
    """The genetic algorithm that YOLOv5 made familiar, steady-state: every finished trial begins a new generation.

    The parent is one of the best 5 trials, drawn by how far its fitness is above the least of them, or their average by
    the same weights; the start, while none is finished. Its values are mutated by the published rule (see `factors`).
    That a zero stays zero is a known weakness of that rule, which `TournamentSampler` repairs.

    Args:
        space: by name.
        start: a value for each, within its distribution.
        gains: how strongly each is mutated, 0 or more; 0 is never, missing is 1.
        seed: of all draws, 0 to 2**64 - 1.
        parents: how many of the best trials may be the parent.
        parent: whether one of them is drawn, or they are averaged.
        mutation: probability that a value is mutated.
        sigma: how strongly.

    Raises:
        ValueError: the start does not fit the space, or a gain is below 0.
    """

    def __init__(
        self,
        *,
        space: Distributions,
        start: Values,
        gains: Mapping[str, float] | None = None,
        seed: int = 0,
        parents: int = PARENTS,
        parent: Literal["single", "weighted"] = "single",
        mutation: float = MUTATION,
        sigma: float = SIGMA,
    ) -> None:
        super().__init__(space, start, Mutation(gains or {}, mutation, sigma, leave_zero=True), seed, 1, parents)
        self._parent = parent

    def _child(self, rng: Rng, study: Study, pool: list[FrozenTrial]) -> dict[str, Value]:
        parent: Values = self._start
        if pool:
            weights = selection_weights([_fitness(trial) for trial in pool])
            if self._parent == "single":
                parent = self._values(pool[int(rng.choice(len(pool), p=weights))])
            else:
                parent = mean_parent([self._values(trial) for trial in pool], weights, self._space)
        return differing(lambda: mutate(rng, parent, self._space, self._mutation), [parent])


class TournamentSampler(GeneticSampler):
    """A genetic algorithm of generations: the best of two tournaments are crossed, and their child is mutated.

    The pool is the best 10 of all generations before, and the best 2 of all so far; in the first generation, children
    are mutations of the start.

    Args:
        space, start, seed: as of `EvolutionSampler`.
        gains: the same, but 0 keeps the start's value.
        population_size: trials of a generation, and most trials in the pool.
        tournament: trials drawn for a parent.
        elites: best trials that belong to the pool without waiting for the next generation, at most its size.
        crossover: probability that a value is drawn from between and around those of the parents.
        alpha: how far around, as a share of their distance.
        mutation, sigma: as of `EvolutionSampler`.

    Raises:
        ValueError: the start does not fit the space, or a gain is below 0.
    """

    def __init__(
        self,
        *,
        space: Distributions,
        start: Values,
        gains: Mapping[str, float] | None = None,
        seed: int = 0,
        population_size: int = POPULATION,
        tournament: int = TOURNAMENT,
        elites: int = ELITES,
        crossover: float = CROSSOVER,
        alpha: float = ALPHA,
        mutation: float = MUTATION,
        sigma: float = SIGMA,
    ) -> None:
        super().__init__(space, start, Mutation(gains or {}, mutation, sigma), seed, population_size, population_size)
        self._tournament, self._elites, self._crossover, self._alpha = tournament, elites, crossover, alpha

    def _child(self, rng: Rng, study: Study, pool: list[FrozenTrial]) -> dict[str, Value]:
        # A value that is never mutated is the start's, whatever a trial that was added has.
        kept = {name: self._start[name] for name in self._space if self._mutation.gain(name) == 0}
        first: Values = self._start
        second: Values = self._start
        if pool:
            elites = best(_finished(study), self._elites)
            pool = best({trial.number: trial for trial in pool + elites}.values(), self._pool_size)
            fitness = [_fitness(trial) for trial in pool]
            first, second = (
                {**self._values(pool[tournament(rng, fitness, self._tournament)]), **kept} for _ in range(2)
            )

        def draw() -> dict[str, Value]:
            crossed = crossover(rng, first, second, self._space, self._crossover, self._alpha)
            return mutate(rng, crossed, self._space, self._mutation)

        return differing(draw, [first, second])


def _finished(study: Study) -> list[FrozenTrial]:
    # Generation and parents are of the same moment.
    return trials_at_start(study, (TrialState.COMPLETE,))


def _fitness(trial: FrozenTrial) -> float:
    return float("-inf") if trial.value is None else trial.value


def _allows(bounds: Numeric | CategoricalDistribution, value: Any) -> bool:
    if isinstance(bounds, CategoricalDistribution):
        return value in bounds.choices
    return isinstance(value, int | float) and bounds.low <= value <= bounds.high
