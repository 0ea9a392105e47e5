"""The parts of genetic algorithms for the values of a training run: selection, mutation, crossover, tournaments.

Mutation and selection follow the published rule that YOLOv5 made familiar; tournaments are Brindle's ("Genetic
Algorithms for Function Optimization", 1981), the crossover is BLX-alpha (Eshelman & Schaffer, "Real-Coded Genetic
Algorithms and Interval-Schemata", 1993). `lehr.search.genetic_samplers` makes samplers of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from lehr.search.records import Value

if TYPE_CHECKING:
    pass

Rng = np.random.Generator
Numeric = FloatDistribution | IntDistribution
Distributions = Mapping[str, BaseDistribution]
Bounds = Mapping[str, Numeric | CategoricalDistribution]
Values = Mapping[str, Value]

PARENTS = 5
"""Best trials that may be the parent of a steady-state child."""
WEIGHT_FLOOR = 1e-6
"""Added to what a parent's fitness is above the least, so that the least, and equals, can be drawn."""
MUTATION, SIGMA = 0.8, 0.2
"""Probability that a value is mutated, and how strongly."""
MIN_FACTOR, MAX_FACTOR = 0.3, 3.0
"""Bounds of a mutated value, as multiples of the parent's."""
DIGITS = 5
"""Digits after the point of a child's values."""
POPULATION = 10
"""Trials of a generation, and most trials in the pool that parents are drawn from."""
TOURNAMENT = 3
"""Trials drawn for a parent, which the best of them becomes."""
ELITES = 2
"""Best trials that belong to the pool at once, before the next generation begins."""
CROSSOVER, ALPHA = 0.9, 0.2
"""Probability that a value is drawn from between and around those of the parents, and how far around."""
MAX_DRAWS = 100
"""Draws of a child until it differs from its parents; where none can, as with all gains 0, it is equal."""
LARGEST = 1e300
"""Fitness beyond counts as this, so that differences stay finite."""


@dataclass(frozen=True, slots=True)
class Mutation:
    """Settings of a mutation.

    Attributes:
        gains: how strongly each is, by name, 0 or more; 0 is never, missing is 1.
        probability: that a value is.
        sigma: how strongly all are.
        leave_zero: whether zero stays zero, as in the published rule.
    """

    gains: Mapping[str, float] = field(default_factory=dict)
    probability: float = MUTATION
    sigma: float = SIGMA
    leave_zero: bool = False

    def gain(self, name: str) -> float:
        """Strength of the mutation of a value, by name; 1 if none is given."""
        return self.gains.get(name, 1.0)


def selection_weights(fitness: Sequence[float]) -> NDArray[np.float64]:
    """The probability of each parent: its fitness above the least of them, plus 1e-6, normalised; (n,) from n."""
    values = np.clip(np.asarray(fitness, np.float64), -LARGEST, LARGEST)
    weights = values - values.min() + WEIGHT_FLOOR
    return np.asarray(weights / weights.sum())


def factors(
    rng: Rng, gains: NDArray[np.float64], probability: float = MUTATION, sigma: float = SIGMA
) -> NDArray[np.float64]:
    """Random factors of a mutation: `clip(1 + m * gain * normal * uniform * sigma, 0.3, 3)`.

    `m` is 1 with the probability of mutation and `normal` a standard normal draw, both for each value; `uniform`, in
    [0, 1), is one draw for all, so that some children are mutated strongly and others slightly. They are drawn again
    until one differs from 1.

    Args:
        rng: draws them.
        gains: (n,), 0 or more.
        probability: that a value is mutated.
        sigma: how strongly all are.

    Returns:
        (n,), 0.3 to 3.
    """
    drawn = np.ones(len(gains))
    for _ in range(MAX_DRAWS if gains.any() and probability > 0 else 0):
        mutated = rng.random(len(gains)) < probability
        steps = gains * rng.standard_normal(len(gains)) * rng.random() * sigma
        drawn = np.where(mutated, np.clip(1 + steps, MIN_FACTOR, MAX_FACTOR), 1.0)
        if (drawn != 1).any():
            break
    return drawn


def mutate(rng: Rng, values: Values, space: Bounds, how: Mutation) -> dict[str, Value]:
    """Values times random factors, clipped to their bounds and rounded to 5 digits after the point.

    No factor moves a zero. Instead, `|normal| * sigma * gain * (high - low)` is added with the probability of mutation;
    with its sign where zero lies between the bounds, downwards where it is the upper one. A choice is drawn again,
    evenly, with `probability * sigma`: our own addition, since the published rule is for numbers.

    Args:
        rng: draws the mutation.
        values: one for each name of the space.
        space: what each may be.
        how: with gain 0 a value is unchanged, not even rounded.
    """
    gains = np.array(
        [0.0 if isinstance(bounds, CategoricalDistribution) else how.gain(k) for k, bounds in space.items()]
    )
    drawn = factors(rng, gains, how.probability, how.sigma)
    born: dict[str, Value] = {}
    for (name, bounds), factor in zip(space.items(), drawn, strict=True):
        gain = how.gain(name)
        if isinstance(bounds, CategoricalDistribution):
            again = gain > 0 and rng.random() < how.probability * how.sigma
            born[name] = anywhere(rng, bounds) if again else values[name]
            continue
        value = float(values[name]) * factor
        if value == 0 and gain > 0 and not how.leave_zero and rng.random() < how.probability:
            step = rng.standard_normal() * how.sigma * gain * (bounds.high - bounds.low)
            value = abs(step) if bounds.low >= 0 else -abs(step) if bounds.high <= 0 else step
        # Rounding can leave the bounds: 1e-6 is rounded to 0.
        born[name] = within(round(within(value, bounds), DIGITS) if gain else value, bounds)
    return born


def crossover(
    rng: Rng, first: Values, second: Values, space: Bounds, probability: float = CROSSOVER, alpha: float = ALPHA
) -> dict[str, Value]:
    """Values from between and around those of two parents (BLX-alpha).

    Each is drawn evenly from the interval between the parents' values, widened on both sides by alpha times its length;
    on a logarithmic scale where the distribution is. A choice is taken from either parent with equal chance. Bounds
    are not regarded: `mutate` does.

    Args:
        rng: draws them.
        first: a parent; a number that is not drawn is taken from it.
        second: the other.
        space: by name.
        probability: that a number is drawn.
        alpha: how far the interval is widened, as a share of its length, 0 or more.
    """
    born: dict[str, Value] = {}
    for name, bounds in space.items():
        if isinstance(bounds, CategoricalDistribution):
            born[name] = (first, second)[int(rng.integers(2))][name]
        elif first[name] == second[name] or rng.random() >= probability:
            born[name] = first[name]
        else:
            ends = np.array([first[name], second[name]], np.float64)
            low, high = np.sort(np.log(ends) if bounds.log else ends)
            value = rng.uniform(low - alpha * (high - low), high + alpha * (high - low))
            born[name] = float(np.exp(value) if bounds.log else value)
    return born


def mean_parent(parents: Sequence[Values], weights: NDArray[np.float64], space: Bounds) -> dict[str, Value]:
    """The average of parents by their weights; of a choice, the one whose parents weigh most together.

    Args:
        parents: a value for each name of the space.
        weights: (parents,), their sum 1.
        space: by name.
    """
    mean: dict[str, Value] = {}
    for name in space:
        values = [parent[name] for parent in parents]
        if isinstance(space[name], CategoricalDistribution):
            total = {value: weights[[candidate == value for candidate in values]].sum() for value in values}
            mean[name] = max(total, key=lambda value: total[value])
        else:
            # From the first on, so that the mean of equal values is that value bit for bit.
            first = float(values[0])
            mean[name] = first + float(weights @ (np.array(values, np.float64) - first))
    return mean


def tournament(rng: Rng, fitness: Sequence[float], size: int = TOURNAMENT) -> int:
    """The index of the best of some drawn without replacement; of equal ones, any."""
    drawn = rng.choice(len(fitness), min(size, len(fitness)), replace=False)
    return int(drawn[np.argmax([fitness[index] for index in drawn])])


def within(value: float, bounds: Numeric) -> float | int:
    """The number nearest to another that its distribution allows."""
    value = min(max(float(value), bounds.low), bounds.high)
    if bounds.step is None:
        return value
    return min(bounds.low + round((value - bounds.low) / bounds.step) * bounds.step, bounds.high)


def differing(draw: Callable[[], dict[str, Value]], parents: Sequence[Values]) -> dict[str, Value]:
    """Draw a child until it is equal to none of its parents, since training one of them again gains nothing."""
    for _ in range(MAX_DRAWS):
        born = draw()
        if all(any(value != parent[name] for name, value in born.items()) for parent in parents):
            break
    return born


def anywhere(rng: Rng, bounds: Numeric | CategoricalDistribution) -> Any:
    """A random value of a distribution: a choice evenly, a number evenly on its scale."""
    if isinstance(bounds, CategoricalDistribution):
        return bounds.choices[int(rng.integers(len(bounds.choices)))]
    if bounds.log:
        return within(float(np.exp(rng.uniform(np.log(bounds.low), np.log(bounds.high)))), bounds)
    return within(float(rng.uniform(bounds.low, bounds.high)), bounds)
