"""Effects of techniques over paired runs, with intervals: which technique helped, and how sure that is.

Two runs of one seed whose sets differ in just one technique are a pair; the technique's effect is the mean over seeds
of what having it changes. Leave-one-out, add-one-in and factorial studies differ only in which pairs they hold; in a
factorial one a seed's difference is the mean over all sets of the other techniques (main effect; Yates, "The Design
and Analysis of Factorial Experiments", 1937).

With three seeds, three pairs alone say almost nothing: the percentile bootstrap of them calls techniques without effect
good or bad one time in four. So the interval is a bootstrapped one that borrows noise from the whole study:

1. `value[set, seed] = set + seed + noise` is fitted to all runs by least squares; its mean square is the study's noise.
2. The variance of an effect is, by degrees of freedom, a mean of what its own pairs say (seeds - 1) and of what the
   study's noise says (`STUDY_DEGREES`): the moderated t statistic (Smyth, 2004) with a fixed prior weight. Half and
   half at three seeds; the more seeds, the more a technique answers for itself.
3. Residuals, studentized, are resampled for every run and the statistic is recomputed each time (bootstrap-t; Efron
   & Tibshirani, "An Introduction to the Bootstrap", 1993, ch. 12.5; Davison & Hinkley, 1997, ch. 6.3). A handful of
   residuals are a few spikes and no distribution, so each draw carries a share of normal noise (smoothed bootstrap with
   unchanged variance; Silverman & Young, 1987); the share falls with the degrees of freedom.
4. The interval is the effect plus and minus the 95% quantile of `|t*|` standard errors (symmetric: Hall, 1988).

Sets with the same values (a technique that does nothing) count as one. Sets whose noise is plainly another's, ruined
training for one, neither lend nor borrow: see `odd_sets`.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from lehr.rng import generator
from lehr.search.sample_size import (
    STUDY_DEGREES,
    Cells,
    Measured,
    Noise,
    Numbers,
    additive_fit,
    merged_cells,
    noise_of,
    odd_sets,
)

LEVEL = 0.95
SMOOTHING_DEGREES = 10.0
"""Degrees of freedom at which half the variance of a draw is normal noise."""
CHUNK = 2**21
"""Numbers drawn at a time."""

COSTS = frozenset({"seconds", "memory"})
"""Metrics that are a price: a technique `costs` or `saves`."""
NOT_MEASURED = "not measured"
ONE_SEED = "one seed: no interval"
NO_DIFFERENCE = "no difference seen at this sample size"


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a study.

    Attributes:
        on: techniques that were on.
        seed: of the run; runs of one seed are paired.
        values: by metric, e.g. `fitness`, `map50`, `seconds`; one that is missing or not finite was not measured.
    """

    on: frozenset[str]
    seed: int
    values: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Effect:
    """Effect of having a technique on a metric.

    Attributes:
        technique: which.
        metric: which, in its own unit.
        without: mean over the pairs' runs without it; None if there is no pair.
        with_: mean over the pairs' runs with it; None if there is no pair.
        difference: mean of the paired differences, with minus without; None if there is no pair.
        low: lower end of the 95% interval of the difference; None if there are fewer than two pairs.
        high: upper end.
        pairs: difference of each seed, seeds ascending.
        seeds: of the pairs.
        verdict: `helps`, `hurts` (of a price: `saves`, `costs`) where the interval excludes 0, else why there is none.
    """

    technique: str
    metric: str
    without: float | None
    with_: float | None
    difference: float | None
    low: float | None
    high: float | None
    pairs: tuple[float, ...]
    seeds: tuple[int, ...]
    verdict: str


def effects(
    runs: Sequence[Run],
    techniques: Sequence[str],
    metric: str,
    *,
    higher_is_better: bool = True,
    draws: int = 10_000,
    seed: int = 0,
) -> list[Effect]:
    """Effect of each technique on a metric, in their order.

    Each interval on its own is right 95% of the time: of twenty techniques that do nothing, one is called good or bad.

    Args:
        runs: of the study, in any order; leave-one-out, add-one-in or factorial follow from their sets. What lacks its
            partner makes no pair.
        techniques: whose effect is asked for.
        metric: key of the runs' values.
        higher_is_better: which side is good; without meaning for `seconds` and `memory`.
        draws: of the bootstrap, 1,000 or more.
        seed: of the bootstrap.

    Raises:
        ValueError: two runs have the same set and seed.
    """
    measured = measured_values(runs, metric)
    cells = merged_cells(measured)
    found = {technique: complete_pairs(measured, technique) for technique in techniques}
    weights = {
        technique: pair_weights(cells, technique, *pairs) for technique, pairs in found.items() if len(pairs[1]) > 1
    }
    widths = half_widths(cells, weights, draws, seed)
    made = []
    for technique in techniques:
        contexts, seeds = found[technique]
        on, off = paired_values(measured, technique, contexts, seeds)
        differences = (on - off).mean(1)
        difference = float(differences.mean()) if seeds else None
        low = high = None
        if difference is not None and technique in widths:
            low, high = difference - widths[technique], difference + widths[technique]
        made.append(
            Effect(
                technique,
                metric,
                without=float(off.mean()) if seeds else None,
                with_=float(on.mean()) if seeds else None,
                difference=difference,
                low=low,
                high=high,
                pairs=tuple(differences.tolist()),
                seeds=tuple(seeds),
                verdict=verdict(low, high, metric, higher_is_better) if seeds else NOT_MEASURED,
            )
        )
    return made


def noise(runs: Sequence[Run], metric: str) -> Noise:
    """Noise of a metric from seed to seed, and its degrees of freedom.

    Args:
        runs: of the study.
        metric: key of the runs' values.

    Raises:
        ValueError: two runs have the same set and seed.
    """
    return noise_of(merged_cells(measured_values(runs, metric)))


def verdict(low: float | None, high: float | None, metric: str, higher_is_better: bool) -> str:
    """Return the verdict of an interval: on which side of 0 it is, and whether that is the good one."""
    if low is None or high is None:
        return ONE_SEED
    if low <= 0 <= high:
        return NO_DIFFERENCE
    if metric in COSTS:
        return "costs" if low > 0 else "saves"
    return "helps" if (low > 0) == higher_is_better else "hurts"


def measured_values(runs: Sequence[Run], metric: str) -> dict[frozenset[str], dict[int, float]]:
    """Finite values of a metric by set and seed, whatever the order of the runs.

    Raises:
        ValueError: two runs have the same set and seed.
    """
    seen: set[tuple[frozenset[str], int]] = set()
    measured: dict[frozenset[str], dict[int, float]] = {}
    for run in sorted(runs, key=lambda run: (sorted(run.on), run.seed)):
        if (run.on, run.seed) in seen:
            names = ", ".join(sorted(run.on)) or "nothing"
            raise ValueError(f"two runs with {names} on and seed {run.seed}")
        seen.add((run.on, run.seed))
        value = run.values.get(metric, math.nan)
        if math.isfinite(value):
            measured.setdefault(run.on, {})[run.seed] = float(value)
    return measured


def complete_pairs(measured: Measured, technique: str) -> tuple[list[frozenset[str]], list[int]]:
    """The sets of other techniques and the seeds for which all runs with and without a technique are there.

    All seeds are compared on the same sets: were some sets missing in one seed, what techniques do to each other would
    pass for noise. Where not all are there, two seeds come first, then as many sets, then as many seeds as can be had.

    Returns:
        Sets without the technique, and seeds, ascending; both empty if there is no pair.
    """
    by_seed: dict[int, set[frozenset[str]]] = {}
    for context in measured:
        if technique not in context:
            partner = measured.get(context | {technique}, {})
            for seed in measured[context].keys() & partner.keys():
                by_seed.setdefault(seed, set()).add(context)
    choices = [
        (contexts, sorted(seed for seed in by_seed if contexts <= by_seed[seed]))
        for contexts in (one & other for one in by_seed.values() for other in by_seed.values())
        if contexts
    ]
    if not choices:
        return [], []
    contexts, seeds = max(
        choices,
        key=lambda each: (min(len(each[1]), 2), len(each[0]), len(each[1]), sorted(map(sorted, each[0]))),
    )
    return sorted(contexts, key=sorted), seeds


def paired_values(
    measured: Measured, technique: str, contexts: Sequence[frozenset[str]], seeds: Sequence[int]
) -> tuple[Numbers, Numbers]:
    """Values with a technique and without it, (seeds, sets of other techniques) each."""
    shape = (len(seeds), max(len(contexts), 1))
    on = [[measured[context | {technique}][seed] for context in contexts] for seed in seeds]
    off = [[measured[context][seed] for context in contexts] for seed in seeds]
    return np.array(on, np.float64).reshape(shape), np.array(off, np.float64).reshape(shape)


def pair_weights(cells: Cells, technique: str, contexts: Sequence[frozenset[str]], seeds: Sequence[int]) -> Numbers:
    """Weights of the cells in each seed's difference, (seeds, n)."""
    counts = np.zeros((len(seeds), len(cells.values)))
    for number, seed in enumerate(seeds):
        for context in contexts:
            counts[number, cells.of[context | {technique}, seed]] += 1
            counts[number, cells.of[context, seed]] -= 1
    # Whole numbers until here: what cancels leaves exactly 0.
    return counts / len(contexts)


def half_widths(cells: Cells, weights: Mapping[str, Numbers], draws: int, seed: int) -> dict[str, float]:
    """Half the width of each technique's interval.

    Args:
        cells: of the study.
        weights: of the cells in each seed's difference, (seeds, n), by technique.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    rows_of = {technique: set(cells.rows[weight.any(0)].tolist()) for technique, weight in weights.items()}
    everything = set(cells.rows.tolist())
    # Where each effect rests on all sets, factorial, their average noise is what it needs: none is odd.
    odd = odd_sets(cells) if any(rows != everything for rows in rows_of.values()) else set()
    groups: dict[frozenset[int], list[str]] = {}
    for technique, rows in rows_of.items():
        groups.setdefault(frozenset(everything - rows if rows & odd else odd), []).append(technique)
    widths: dict[str, float] = {}
    for strange, members in groups.items():
        inside = ~np.isin(cells.rows, list(strange))
        found = bootstrap_t(
            cells.without(set(strange)), [weights[member][:, inside] for member in members], draws, seed
        )
        widths.update(zip(members, found.tolist(), strict=True))
    return widths


def bootstrap_t(cells: Cells, weights: Sequence[Numbers], draws: int, seed: int) -> Numbers:
    """Half widths of symmetric bootstrap-t intervals, (k,).

    Args:
        cells: whose noise is alike.
        weights: k times the weights of the cells in each seed's difference, (seeds, n).
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    basis, residuals = additive_fit(cells)
    degrees = len(residuals) - basis.shape[1]
    leverage = (basis**2).sum(1)
    free = leverage < 1 - 1e-9
    errors = residuals[free] / np.sqrt(1 - leverage[free])
    errors -= errors.mean() if len(errors) else 0.0
    if degrees < 1 or not errors.any():
        return np.zeros(len(weights))
    errors /= np.sqrt((errors**2).mean())
    counts = np.array([len(weight) for weight in weights])
    starts = np.cumsum(counts) - counts
    stacked = np.concatenate(weights).T  # (n, pairs of all)
    shares = np.array([(weight.mean(0) ** 2).sum() for weight in weights])
    study = STUDY_DEGREES / (STUDY_DEGREES + counts - 1)

    def estimates(noise: Numbers) -> tuple[Numbers, Numbers]:
        pairs = noise @ stacked
        means = np.add.reduceat(pairs, starts, axis=1) / counts
        own = np.add.reduceat((pairs - means.repeat(counts, axis=1)) ** 2, starts, axis=1) / (counts * (counts - 1))
        square = ((noise**2).sum(1) - ((noise @ basis) ** 2).sum(1)).clip(0) / degrees
        return means, np.sqrt(study * shares * square[:, None] + (1 - study) * own)

    rng = generator(seed, "ablate")
    normal = SMOOTHING_DEGREES / (SMOOTHING_DEGREES + degrees)
    statistics = []
    for start in range(0, draws, step := max(1, CHUNK // len(residuals))):
        size = (min(step, draws - start), len(residuals))
        noise = np.sqrt(1 - normal) * errors[rng.integers(len(errors), size=size)]
        means, deviations = estimates(noise + np.sqrt(normal) * rng.standard_normal(size))
        statistics.append(np.divide(np.abs(means), deviations, out=np.zeros_like(means), where=deviations > 0))
    return np.asarray(np.quantile(np.concatenate(statistics), LEVEL, axis=0) * estimates(residuals[None])[1][0])
