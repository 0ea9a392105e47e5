"""Interface of both kinds of studies, as a worker sees it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from lehr.search.definition import Definition

if TYPE_CHECKING:
    from optuna import Trial
    from optuna.pruners import BasePruner
    from optuna.samplers import BaseSampler


class Search(Protocol):
    """A study's trials: where their values come from, and which options these mean."""

    @property
    def epochs(self) -> int:
        """Epochs of a whole trial."""
        ...

    def options(self, trial: Trial) -> dict[str, Any]:
        """The options of a trial's run, by flat name; those of the machine are not among them."""
        ...

    def sampler(self, slot: int) -> BaseSampler:
        """Choose the values of a slot that are not fixed."""
        ...

    def pruner(self) -> BasePruner:
        """End trials early that promise little."""
        ...


def search_of(definition: Definition) -> Search:
    """The kind of study that a definition is of."""
    from lehr.search.ablation import Ablation
    from lehr.search.evolution import Evolution

    return Evolution.of(definition) if definition.kind == "evolve" else Ablation.of(definition)
