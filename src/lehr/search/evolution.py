"""Evolution: a search for better hyperparameters, each trial a whole training run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lehr.search.definition import Definition
from lehr.search.records import Value
from lehr.search.samplers import make_pruner, make_sampler
from lehr.search.space import Space

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


@dataclass(frozen=True, slots=True)
class Evolution:
    """A search within a space.

    Attributes:
        base: the options that are not varied, by flat name.
        space: what is varied.
        sampler_name: ga, tournament, tpe, cmaes, gp or random.
        pruner_name: none, median, halving or hyperband.
        prune_after: epochs that every trial gets; None for an eighth of all.
        fitness: what is maximised.
    """

    base: Mapping[str, Any]
    space: Space
    sampler_name: str
    pruner_name: str
    prune_after: int | None
    fitness: str

    @classmethod
    def of(cls, definition: Definition) -> Evolution:
        """The search that a definition is of."""
        search = definition.search
        return cls(
            definition.options,
            Space.from_plain(search["space"]),
            search["sampler"],
            search["pruner"],
            search["prune_after"],
            search["fitness"],
        )

    def definition(self, data: str) -> Definition:
        """Definition by which other machines know the same search.

        Args:
            data: fingerprint of the data set.
        """
        search = {
            "fitness": self.fitness,
            "sampler": self.sampler_name,
            "pruner": self.pruner_name,
            "prune_after": self.prune_after,
            "space": self.space.as_plain(),
        }
        return Definition("evolve", self.base, data, search)

    @property
    def epochs(self) -> int:
        """Epochs of a whole trial."""
        return int(self.base["epochs"])

    def slots(self, trials: int) -> list[Mapping[str, Value]]:
        """The values of each trial that are fixed: the first uses the current ones.

        Args:
            trials: how many there are.
        """
        return [self.space.start, *({} for _ in range(trials - 1))]

    def options(self, trial: Trial) -> dict[str, Any]:
        """The options of a trial's run."""
        return {**self.base, **self.space.suggest(trial)}

    def sampler(self, slot: int) -> BaseSampler:
        """The sampler of a slot."""
        return make_sampler(self.sampler_name, self.space, int(self.base["seed"]), slot)

    def pruner(self) -> BasePruner:
        """Pruner of the search's trials."""
        return make_pruner(self.pruner_name, self.epochs, self.prune_after)
