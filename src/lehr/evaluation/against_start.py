"""A run's end compared with its start, on the validation images."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from lehr.errors import InputError
from lehr.evaluation.bootstrap import Comparison, Interval, Verdict, compare
from lehr.evaluation.matching import MatchRecord
from lehr.evaluation.metrics import Metrics
from lehr.runtime.plain_text import one_line


@dataclass(frozen=True, slots=True)
class AgainstStart:
    """The best and the last epoch of a run compared with its start.

    The best epoch was chosen by the images that it is compared on, so that luck with them is part of its difference;
    the last one was not.

    Attributes:
        best: the best epoch; None if no epoch is better than the start.
        last: the last epoch.
        same: whether the last epoch is the best.
    """

    best: Comparison | None
    last: Comparison
    same: bool = False

    @property
    def verdict(self) -> Verdict:
        """That of the best epoch; where the start is the best, that of the last."""
        return (self.best or self.last).verdict

    def describe(self) -> str:
        """Return it as one line for people."""
        last = self.last.describe()
        if self.best is None:
            return f"No epoch is better than the start, so that the start is best. The last epoch: {last}."
        if self.same:
            return f"The last epoch, which is the best: {last}."
        return f"The best epoch: {self.best.describe()}. The last epoch, which was not chosen by these images: {last}."

    def describe_on(self, source: str) -> str:
        """Return it as one line for people, of older data, by which no epoch is chosen.

        Args:
            source: names the data.
        """
        last = self.last.describe()
        if self.best is None:
            return f"On {one_line(source)}: the best is the start itself. The last epoch: {last}."
        if self.same:
            return f"On {one_line(source)}: {last}."
        return f"On {one_line(source)}: {self.best.describe()}. The last epoch: {last}."

    def as_dict(self) -> dict[str, Any]:
        """Everything, as JSON can hold it."""
        return asdict(self)

    @classmethod
    def from_dict(cls, numbers: Mapping[str, Any]) -> AgainstStart:
        """Return what `as_dict` gave.

        Raises:
            KeyError, TypeError, ValueError: it is none.
        """
        best, last = numbers["best"], numbers["last"]
        return cls(None if best is None else _comparison(best), _comparison(last), bool(numbers["same"]))


def against_start(start: MatchRecord, best: MatchRecord | None, last: MatchRecord, seed: int) -> AgainstStart | None:
    """Compare the end of a run with its start; None if they cannot be compared.

    Args:
        start: the evaluation of the start.
        best: that of the best epoch; None if no epoch is better than the start.
        last: that of the last epoch.
        seed: of the bootstrap.
    """
    try:
        of_last = compare(start, last, seed=seed)
        if best is None or best is last:
            return AgainstStart(None if best is None else of_last, of_last, same=best is not None)
        return AgainstStart(compare(start, best, seed=seed), of_last)
    except InputError:  # an image could not be read in one of them, or there is no object
        return None


def describe_older(what: str, source: str, metrics: Metrics) -> str:
    """Describe an evaluation on older data as one line.

    Args:
        what: which weights were evaluated, e.g. "Epoch 3".
        source: names the data.
        metrics: the numbers.
    """
    map50, mean = ("-" if value is None else f"{value:.3f}" for value in (metrics.map50, metrics.map))
    return f"{what}, on {one_line(source)}: mAP50 {map50}, mAP50-95 {mean}."


def _comparison(numbers: Mapping[str, Any]) -> Comparison:
    """A comparison from its numbers.

    Raises:
        KeyError, TypeError, ValueError: they are none of a comparison.
    """
    values = {name: float(numbers[name]) for name in ("difference", "low", "high")}
    map50 = Interval(**{name: float(numbers["map50"][name]) for name in Interval.__slots__})
    return Comparison(**values, map50=map50, images=int(numbers["images"]))
