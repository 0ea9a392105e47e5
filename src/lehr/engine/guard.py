"""Fine-tuning guard: the start is evaluated like an epoch, and stays the best until an epoch is better."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from lehr.distributed.collectives import Ranks
from lehr.evaluation.against_start import AgainstStart, against_start
from lehr.evaluation.bootstrap import Comparison, Interval
from lehr.evaluation.matching import MatchRecord


@dataclass(slots=True)
class Guard:
    """Evaluations that are compared at the end of a run.

    Attributes:
        start: that of the start; None until it is evaluated.
        best: that of the best epoch; None as long as the start is the best.
        outcome: the comparison at the end; None before the end, or if it cannot be made.
    """

    start: MatchRecord | None = None
    best: MatchRecord | None = None
    outcome: AgainstStart | None = None

    def conclude(self, last: MatchRecord | None, ranks: Ranks, seed: int, say: Callable[[str], None]) -> None:
        """Compare the best and the last epoch with the start.

        Args:
            last: of the last epoch.
            ranks: the processes of the run; rank 0 compares for all.
            seed: of the bootstrap.
            say: reports why nothing can be compared.
        """
        start, best = self.start, self.best
        if start is None or last is None:
            return
        ranks.at("the comparison with the start")
        self.outcome = ranks.broadcast_from_rank0(
            lambda: against_start(start, best, last, seed), AgainstStart, Comparison, Interval
        )
        if self.outcome is None:
            say(
                "The end of the run cannot be compared with its start: one of the two evaluations could not read an "
                "image, or no image has an object."
            )

    def state_dict(self) -> dict[str, Any]:
        """The complete state, as tensors and numbers."""
        return {
            "start": None if self.start is None else self.start.state_dict(),
            "best": None if self.best is None else self.best.state_dict(),
            "outcome": None if self.outcome is None else self.outcome.as_dict(),
        }

    @classmethod
    def from_state_dict(cls, state: Mapping[str, Any]) -> Guard:
        """Restore a guard from its state.

        Raises:
            KeyError, TypeError, ValueError: it is not such a state.
        """
        start, best, outcome = (state[name] for name in ("start", "best", "outcome"))
        return cls(
            None if start is None else MatchRecord.from_state_dict(start),
            None if best is None else MatchRecord.from_state_dict(best),
            None if outcome is None else AgainstStart.from_dict(outcome),
        )
