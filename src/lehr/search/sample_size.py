"""Noise of a study's runs, and how many seeds it asks for.

Noise is what `value[set, seed] = set + seed + noise` leaves over: what all runs of a seed share takes no part in a
paired difference. Seeds are counted for Student's t test of paired differences, whose power is a noncentral t
(Student, 1908; Cohen, "Statistical Power Analysis for the Behavioral Sciences", 1988).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import ModuleType
from typing import cast

import numpy as np
from numpy.typing import NDArray

from lehr.errors import InputError
from lehr.runtime.installing import how_to_install

Numbers = NDArray[np.float64]
Integers = NDArray[np.int64]
Measured = Mapping[frozenset[str], Mapping[int, float]]
"""Values by set of techniques and seed."""

ODD_LEVEL = 0.005
"""Probability that a set whose noise is that of the others is taken for odd.

At 3 seeds and 6 techniques (simulated), one with five times the noise hides 22 in 100 differences of 4 standard
deviations of the others where it is left in, and 4 in 100 where it is taken out.
"""
STUDY_DEGREES = 2.0
"""Weight of the study's noise next to a technique's own pairs, in degrees of freedom.

At 3 seeds and 6 techniques (simulated): with the study's noise alone, a technique that triples the noise and does
nothing else is called good or bad 20% of the time; with 2 degrees 13%, and a difference of 4 standard deviations is
still found 98% of the time.
"""


@dataclass(frozen=True, slots=True)
class Cells:
    """All values of a study, one a run, n in all; sets that give the same values are one row.

    Attributes:
        values: (n,).
        rows: which row each belongs to, (n,).
        columns: which seed, (n,).
        of: number of the cell by set and seed.
    """

    values: Numbers
    rows: Integers
    columns: Integers
    of: Mapping[tuple[frozenset[str], int], int]

    def without(self, rows: set[int]) -> Cells:
        """The cells of the other rows, by number only."""
        kept = ~np.isin(self.rows, list(rows))
        return Cells(self.values[kept], self.rows[kept], self.columns[kept], {})


@dataclass(frozen=True, slots=True)
class Noise:
    """Noise of a metric from seed to seed, pooled over the sets of techniques.

    Attributes:
        deviation: standard deviation of one run from seed to seed; None if no set has two seeds.
        degrees: its degrees of freedom, as though runs of one seed had nothing in common.
        paired: standard deviation of the difference of two sets' runs of one seed; None if there are no two seeds with
            two sets.
        paired_degrees: its degrees of freedom.
    """

    deviation: float | None
    degrees: int
    paired: float | None
    paired_degrees: int


def merged_cells(measured: Measured) -> Cells:
    """The values as cells; a set whose values equal another's in every common seed shares its row.

    So a technique that does nothing in a trainer that repeats itself bit for bit adds no degrees of freedom, and its
    effect is without noise.
    """
    rows: list[dict[int, float]] = []
    row_of: dict[frozenset[str], int] = {}
    for on, values in measured.items():
        number = next((number for number, row in enumerate(rows) if same_values(row, values)), len(rows))
        if number == len(rows):
            rows.append({})
        rows[number].update(values)
        row_of[on] = number
    keys = [(number, seed) for number, row in enumerate(rows) for seed in sorted(row)]
    cell = {key: index for index, key in enumerate(keys)}
    return Cells(
        np.array([rows[number][seed] for number, seed in keys], np.float64),
        np.array([number for number, _ in keys], np.int64),
        np.array([seed for _, seed in keys], np.int64),
        {(on, seed): cell[row_of[on], seed] for on, values in measured.items() for seed in values},
    )


def same_values(one: Mapping[int, float], other: Mapping[int, float]) -> bool:
    """Return whether two sets share a seed, and are equal for all shared seeds."""
    common = one.keys() & other.keys()
    return bool(common) and all(one[seed] == other[seed] for seed in common)


def additive_fit(cells: Cells) -> tuple[Numbers, Numbers]:
    """The model `set + seed`: an orthonormal basis of it, (n, p), and the residuals, (n,)."""
    if not len(cells.values):
        return np.zeros((0, 0)), cells.values
    dummies = [labels[:, None] == np.unique(labels) for labels in (cells.rows, cells.columns)]
    left, singular, _ = np.linalg.svd(np.concatenate(dummies, 1).astype(np.float64), full_matrices=False)
    basis = left[:, singular > 1e-9]
    residuals = cells.values - basis @ (basis.T @ cells.values)
    rounding = 1e-12 * np.abs(cells.values).max()
    return basis, np.where(np.abs(residuals) > rounding, residuals, 0.0)


def odd_sets(cells: Cells) -> set[int]:
    """Rows whose noise is not the others', so that neither may speak for the other.

    That is a row without any noise (fitness 0 in every seed), and one whose deviations from the others' course over the
    seeds are larger than theirs by an F test, the most deviating first. What rests on an odd row only uses the noise of
    the rows that it compares. A row with little noise is kept: one of three takes 18% of the others' width, one of
    seven 7%.

    Args:
        cells: of the study.
    """
    odd = {
        row
        for row in np.unique(cells.rows).tolist()
        if (values := cells.values[cells.rows == row]).size > 1 and np.ptp(values) == 0
    }
    while True:
        worst = noisiest_row(cells.without(odd))
        if worst is None:
            return odd
        odd.add(worst)


def noisiest_row(cells: Cells) -> int | None:
    """The row with the largest F ratio against the others, where that is too large for chance."""
    basis, residuals = additive_fit(cells)
    total, degrees = float(residuals @ residuals), len(residuals) - basis.shape[1]
    worst, largest = None, 1.0
    for row in np.unique(cells.rows).tolist():
        mine = cells.rows == row
        # What leaving the row out would take from the sum of squares: r' (I - H)^+ r.
        spread, vectors = np.linalg.eigh(np.eye(int(mine.sum())) - basis[mine] @ basis[mine].T)
        free = spread > 1e-9
        own, others = int(free.sum()), degrees - int(free.sum())
        if not own or not others:
            continue
        squares = float((((vectors[:, free].T @ residuals[mine]) ** 2) / spread[free]).sum())
        rest = max(total - squares, 0.0)
        ratio = squares / own / max(rest / others, 1e-300) / largest_by_chance(own, others)
        if ratio > largest:
            worst, largest = row, ratio
    return worst


@lru_cache(maxsize=4096)
def largest_by_chance(own: int, others: int) -> float:
    """Quantile of the F distribution at 1 - `ODD_LEVEL`.

    Args:
        own: degrees of freedom of the numerator.
        others: degrees of freedom of the denominator.

    Raises:
        InputError: SciPy is missing.
    """
    return float(scipy_stats().f.isf(ODD_LEVEL, own, others))


def noise_of(cells: Cells) -> Noise:
    """Noise of the sets whose noise is alike; of all sets where none has any."""
    odd = odd_sets(cells)
    part = cells if odd >= set(cells.rows.tolist()) else cells.without(odd)
    basis, residuals = additive_fit(part)
    paired_degrees = len(residuals) - basis.shape[1]
    spread = [part.values[part.rows == row] for row in np.unique(part.rows)]
    degrees = len(part.values) - len(spread)
    squares = sum(float(((values - values.mean()) ** 2).sum()) for values in spread)
    return Noise(
        float(np.sqrt(squares / degrees)) if degrees else None,
        degrees,
        float(np.sqrt(2 * (residuals @ residuals) / paired_degrees)) if paired_degrees else None,
        paired_degrees,
    )


def seeds_needed(deviation: float, size: float, power: float = 0.8, level: float = 0.05, *, sets: int = 2) -> int:
    """Fewest seeds with which a difference of a size is found, 2 or more.

    Args:
        deviation: standard deviation of a seed's difference, e.g. `Noise.paired`, 0 or more.
        size: of the difference that is to be found; its sign does not matter, but it is not 0.
        power: how often it is to be found, above `level`, below 1.
        level: how often a difference is seen if there is none, two-sided, 0 to 1.
        sets: of techniques in the study, as far as they are run with every seed: they share what they know of the
            noise. 2 is a single technique.

    Raises:
        InputError: SciPy is missing.
        ValueError: an argument is out of its range.
    """
    check_test(deviation, power, level, sets)
    if size == 0 or not np.isfinite(size):
        raise ValueError(f"size of a difference to be found must not be 0, is {size}")
    if deviation == 0:
        return 2
    shift = abs(size) / deviation
    few, enough = 1, 2
    while found_share(shift, enough, level, sets) < power:
        few, enough = enough, enough * 2
    while enough - few > 1:
        middle = (few + enough) // 2
        if found_share(shift, middle, level, sets) < power:
            few = middle
        else:
            enough = middle
    return enough


def found_share(shift: float, seeds: int, level: float, sets: int) -> float:
    """Probability that a difference is found, 0 to 1.

    Degrees of freedom are those of the mixed variance of `lehr.search.effects` (Satterthwaite, 1946), exact for two
    sets and a little too few for more: what is promised is kept.

    Args:
        shift: the difference, in standard deviations of a seed's difference.
        seeds: how many, 2 or more.
        level: of the two-sided test.
        sets: of techniques in the study.

    Raises:
        InputError: SciPy is missing.
    """
    stats = scipy_stats()
    own = (seeds - 1) / (STUDY_DEGREES + seeds - 1)
    degrees = (seeds - 1) / (own**2 + (1 - own**2) / (sets - 1))
    limit = stats.t.isf(level / 2, degrees)
    centre = shift * np.sqrt(seeds)
    # On the wrong side SciPy gives nan if nothing is left.
    wrong = np.nan_to_num(stats.nct.cdf(-limit, degrees, centre))
    return float(stats.nct.sf(limit, degrees, centre) + wrong)


def scipy_stats() -> ModuleType:
    """Import SciPy's distributions.

    Raises:
        InputError: SciPy is missing.
    """
    try:
        from scipy import stats
    except ImportError:
        raise InputError(f"The statistics of an ablation need SciPy. {how_to_install('search')}") from None
    return cast(ModuleType, stats)


def check_test(deviation: float, power: float, level: float, sets: int) -> None:
    """Raise ValueError where a test cannot be planned."""
    if not (deviation >= 0 and np.isfinite(deviation)):
        raise ValueError(f"deviation must be 0 or more, is {deviation}")
    if not 0 < level < power < 1:
        raise ValueError(f"power must be between level and 1, level above 0: {power}, {level}")
    if sets < 2:
        raise ValueError(f"a difference takes 2 sets, not {sets}")
