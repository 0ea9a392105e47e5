"""What pruners save, on learning curves that are computed; `benchmarks/pruning.py` trains them."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import pytest

from lehr.search.samplers import PrunerName, default_prune_after, make_pruner, make_sampler
from lehr.search.space import Parameter, Space

optuna = pytest.importorskip("optuna")
EPOCHS, TRIALS, SEEDS, NOISE = 12, 20, 12, 0.015
SPACE = Space({"lr0": Parameter(1e-5, 0.03, gain=15, log=True), "box": Parameter(3, 30)}, {"lr0": 2e-4, "box": 7.5})
"""It starts from a rate that is far too low, as the benchmark does."""


def curve(params: dict[str, float], rng: np.random.Generator) -> list[float]:
    """The fitness after each epoch: the right learning rate ends higher and learns sooner."""
    off = math.log10(params["lr0"] / 3e-3)
    height, pace = 0.4 * math.exp(-(off**2)), 4 + 4 * abs(off)
    return [height * (1 - math.exp(-epoch / pace)) + NOISE * rng.normal() for epoch in range(1, EPOCHS + 1)]


@dataclass(frozen=True)
class Found:
    """Epochs trained, the best fitness, and the trials that were pruned."""

    epochs: int
    best: float
    pruned: int


def search(name: PrunerName, seed: int) -> Found:
    """A search by two workers in turns, an epoch each."""
    study = optuna.create_study(study_name="search", direction="maximize", pruner=make_pruner(name, EPOCHS))
    running: list[tuple[optuna.Trial, list[float]]] = []
    epochs, begun = 0, 0
    while begun < TRIALS or running:
        while begun < TRIALS and len(running) < 2:
            study.sampler = make_sampler("ga", SPACE, seed, begun)
            trial = study.ask({each: parameter.distribution() for each, parameter in SPACE.parameters.items()})
            running.append((trial, curve(trial.params, np.random.default_rng([seed, begun]))))
            begun += 1
        for trial, course in list(running):
            done = len(study.get_trials(deepcopy=False)[trial.number].intermediate_values) + 1
            trial.report(course[done - 1], done)
            epochs += 1
            if done == EPOCHS:
                study.tell(trial, max(course))
            elif trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
            else:
                continue
            running.remove((trial, course))
    return Found(
        epochs, study.best_value, sum(trial.state.name == "PRUNED" for trial in study.get_trials(deepcopy=False))
    )


@pytest.fixture(scope="module")
def whole() -> list[Found]:
    """Searches without a pruner."""
    return [search("none", seed) for seed in range(SEEDS)]


@pytest.mark.parametrize(("name", "least"), [("median", 0.15), ("halving", 0.4), ("hyperband", 0.3)])
def test_pruning_saves_epochs_and_finds_as_good(name: PrunerName, least: float, whole: list[Found]) -> None:
    assert all(found.epochs == TRIALS * EPOCHS and found.pruned == 0 for found in whole)
    pruned = [search(name, seed) for seed in range(SEEDS)]
    assert 1 - np.mean([found.epochs for found in pruned]) / (TRIALS * EPOCHS) > least
    middle = [np.median([found.best for found in each]) for each in (whole, pruned)]
    assert middle[1] > middle[0] - 2 * NOISE


@pytest.mark.parametrize("name", ["median", "halving"])
def test_no_trial_ends_before_it_has_had_its_epochs(name: PrunerName) -> None:
    study = optuna.create_study(direction="maximize", pruner=make_pruner(name, EPOCHS, prune_after=5))
    for height in (0.9, 0.8, 0.8, 0.7, 0.9, 0.1):
        trial = study.ask()
        for epoch in range(1, EPOCHS + 1):
            trial.report(height, epoch)
            if trial.should_prune() and height == 0.1:
                break
        else:
            study.tell(trial, height)
    assert (height, epoch) == (0.1, 5)


def test_every_trial_gets_an_eighth_of_the_epochs() -> None:
    assert [default_prune_after(epochs) for epochs in (1, 12, 20, 300)] == [1, 2, 3, 38]
