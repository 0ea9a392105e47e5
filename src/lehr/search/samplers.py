"""Samplers and pruners of a search, by name.

A sampler is rebuilt for each trial, seeded by the study's seed and the trial's slot, and knows what happened before
from the study alone: so it makes no difference which worker takes which trial, or how often one was lost.
"""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Literal

from lehr.errors import InputError
from lehr.rng import generator
from lehr.runtime.installing import how_to_install
from lehr.search.space import Space

if TYPE_CHECKING:
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

SamplerName = Literal["ga", "tournament", "tpe", "cmaes", "gp", "random"]
PrunerName = Literal["none", "median", "halving", "hyperband"]
STARTUP = 5
"""Trials that the median pruner lets finish before it ends one."""
REDUCTION = 3
"""Reduction factor: one of this many trials continues at each rung of successive halving."""


def make_sampler(name: str, space: Space, seed: int, slot: int) -> BaseSampler:
    """The sampler of one trial.

    - ga: YOLOv5's genetic algorithm; tournament: its later form, with crossover and elites.
    - tpe: tree-structured Parzen estimator (Bergstra et al., 2011), all parameters together.
    - cmaes: covariance matrix adaptation (Hansen & Ostermeier, 2001), from the current values.
    - gp: a Gaussian process with expected improvement (Jones et al., 1998).
    - random: uniform within the bounds.

    Args:
        name: one of these.
        space: what is varied.
        seed: of the study.
        slot: which trial.

    Raises:
        InputError: a package that the sampler needs is missing.
    """
    from optuna import samplers

    from lehr.search.genetic_samplers import EvolutionSampler, TournamentSampler

    distributions = {option: parameter.distribution() for option, parameter in space.parameters.items()}
    gains = {option: parameter.gain for option, parameter in space.parameters.items()}
    if name == "ga":
        return EvolutionSampler(space=distributions, start=space.start, gains=gains, seed=seed)
    if name == "tournament":
        return TournamentSampler(space=distributions, start=space.start, gains=gains, seed=seed)
    drawn = int(generator(seed, "sampler", index=slot).integers(2**31))
    if name == "tpe":
        return samplers.TPESampler(seed=drawn, multivariate=True, constant_liar=True)
    if name == "random":
        return samplers.RandomSampler(seed=drawn)
    try:
        if name == "cmaes":
            import cmaes  # noqa: F401  (loaded for each trial; if missing, report it now)

            from lehr.search.cma_sampler import CmaSampler

            return CmaSampler(space=distributions, start=space.start, seed=drawn)
        import scipy  # noqa: F401

        return samplers.GPSampler(seed=drawn)
    except ImportError as error:
        raise InputError(f"--sampler {name}: needs {error.name}. {how_to_install('search')}") from None


def make_pruner(name: str, epochs: int, prune_after: int | None = None) -> BasePruner:
    """The pruner that ends unpromising trials early, by the fitness after each epoch.

    - median: one whose best epoch so far is below the median of the others' at the same epoch.
    - halving: asynchronous successive halving (Li et al., "A System for Massively Parallel Hyperparameter Tuning",
      2020): at each rung, 3 times as many epochs as at the one before, the best third continues.
    - hyperband: successive halving with several first rungs (Li et al., "Hyperband", 2018).

    Args:
        name: one of these, or none.
        epochs: of a whole trial.
        prune_after: epochs that every trial gets; None for an eighth of all, rounded up.
    """
    from optuna import pruners

    first = prune_after or default_prune_after(epochs)
    if name == "median":
        return pruners.MedianPruner(n_startup_trials=STARTUP, n_warmup_steps=first)
    if name == "halving":
        return pruners.SuccessiveHalvingPruner(min_resource=first, reduction_factor=REDUCTION)
    if name == "hyperband":
        return pruners.HyperbandPruner(min_resource=first, max_resource=epochs, reduction_factor=REDUCTION)
    return pruners.NopPruner()


def default_prune_after(epochs: int) -> int:
    """Epochs that every trial gets: an eighth of all, rounded up."""
    return ceil(epochs / 8)
