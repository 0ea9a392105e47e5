"""Ablation: which technique helps on these data, measured by training with and without it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations
from typing import TYPE_CHECKING, Any, Literal

from lehr.errors import InputError
from lehr.search.definition import Definition
from lehr.search.records import Value
from lehr.search.switches import Sides

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler

Mode = Literal["leave-one-out", "add-one-in", "factorial"]
SEED = "seed"
MAX_SEED = 2**53 - 1
"""A storage keeps values as 64-bit floats."""
MAX_FACTORIAL = 8
"""Techniques of a factorial ablation at most: 256 sets."""


@dataclass(frozen=True, slots=True)
class Ablation:
    """An ablation of techniques.

    Attributes:
        base: the options of a run, by flat name.
        switches: the techniques, by name.
        mode: which sets of techniques are trained.
        fitness: what the words are about.
    """

    base: Mapping[str, Any]
    switches: Mapping[str, Sides]
    mode: str
    fitness: str

    @classmethod
    def of(cls, definition: Definition) -> Ablation:
        """The ablation that a definition is of."""
        search = definition.search
        switches = {name: Sides(**values) for name, values in search["techniques"].items()}
        return cls(definition.options, switches, search["mode"], search["fitness"])

    def definition(self, data: str) -> Definition:
        """Definition by which other machines know the same ablation.

        Args:
            data: fingerprint of the data set.
        """
        techniques = {name: asdict(switch) for name, switch in self.switches.items()}
        return Definition(
            "ablate", self.base, data, {"fitness": self.fitness, "mode": self.mode, "techniques": techniques}
        )

    @property
    def epochs(self) -> int:
        """Epochs of a whole trial."""
        return int(self.base["epochs"])

    def sets(self) -> list[frozenset[str]]:
        """The sets of techniques that are trained, the baseline first.

        Raises:
            InputError: there would be too many.
        """
        every = frozenset(self.switches)
        if self.mode == "leave-one-out":
            return [every, *(every - {name} for name in self.switches)]
        if self.mode == "add-one-in":
            return [frozenset(), *(frozenset({name}) for name in self.switches)]
        if len(every) > MAX_FACTORIAL:
            raise InputError(
                f"--mode factorial with {len(every)} techniques means {2 ** len(every)} runs for each seed. Name at "
                f"most {MAX_FACTORIAL}, or use --mode leave-one-out."
            )
        return [frozenset(some) for count in range(len(every), -1, -1) for some in combinations(self.switches, count)]

    def slots(self, seeds: Sequence[int]) -> list[Mapping[str, Value]]:
        """The values of each trial: all sets with the first seed, then all with the next, so that a budget that ends
        early leaves sets that can be compared.

        Args:
            seeds: of the runs.
        """
        return [{**{name: name in on for name in self.switches}, SEED: seed} for seed in seeds for on in self.sets()]

    def options(self, trial: Trial) -> dict[str, Any]:
        """The options of a trial's run."""
        on = {name for name in self.switches if trial.suggest_categorical(name, (True, False))}
        return self.with_techniques(on) | {SEED: trial.suggest_int(SEED, 0, MAX_SEED)}

    def with_techniques(self, on: set[str] | frozenset[str]) -> dict[str, Any]:
        """The options of a run with these techniques on and the others off."""
        options = dict(self.base)
        for name, switch in self.switches.items():
            options |= switch.on if name in on else switch.off
        if "lr_schedule" in {option for switch in self.switches.values() for option in switch.on}:
            options["cos_lr"] = False  # the other name of the same
        return options

    def sampler(self, slot: int) -> BaseSampler:
        """Not asked: all values are fixed."""
        from optuna.samplers import RandomSampler

        return RandomSampler(seed=slot)

    def pruner(self) -> BasePruner:
        """None: each trial is trained to its end."""
        from optuna.pruners import NopPruner

        return NopPruner()
