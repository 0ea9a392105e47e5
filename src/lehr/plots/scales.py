"""Axes of a study's plots: fitness, parameters of any kind, and their labels."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING

from lehr.plots.figure import logarithmic, plain, shortened
from lehr.plots.style import LIGHT
from lehr.search.records import Value

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.colors import Colormap

FAR = 4.0
"""Fitness axes reach as far below the best as this many times what the best is above the median."""
LOG_SPAN = 100.0
"""A parameter whose values span more than this is drawn on a logarithmic axis."""
LONGEST_LABEL = 14


@dataclass(frozen=True, slots=True)
class FitnessScale:
    """Range of a fitness axis.

    Attributes:
        low: the lowest fitness drawn where it is; what lies below is drawn at the edge.
        best: the highest.
        edge: where the axis begins.
        high: where it ends.
        room: what is left above the highest.
    """

    low: float
    best: float
    edge: float
    high: float
    room: float

    @classmethod
    def of(cls, values: Sequence[float], first: float | None) -> FitnessScale:
        """The scale for some trials.

        Args:
            values: their fitness.
            first: that of the first trial, which is always within; None if it has none.
        """
        values = [*values, *([] if first is None else [first])] or [0.0]
        best, middle = max(values), median(values)
        low = max(min(values), best - FAR * (best - middle)) if best > middle else min(values)
        low = low if first is None else min(low, first)
        room = 0.08 * (best - low) or 0.01
        return cls(low, best, low - 2 * room, best + room, room)


@dataclass(frozen=True, slots=True)
class Ruler:
    """Axis of a parameter: numbers by their size or logarithm, anything else side by side.

    Attributes:
        choices: the values in order, if they are not numbers.
        low: the lowest place.
        high: the highest place.
        log: whether by the logarithm.
    """

    choices: tuple[str, ...]
    low: float
    high: float
    log: bool

    @classmethod
    def of(cls, values: Sequence[Value]) -> Ruler:
        """The ruler for some values, one or more."""
        if all(isinstance(value, int | float) and not isinstance(value, bool) for value in values):
            numbers = [float(value) for value in values]
            low, high = min(numbers), max(numbers)
            return cls((), low, high, low > 0 and high > LOG_SPAN * low)
        choices = tuple(sorted({str(value) for value in values}))
        return cls(choices, 0.0, len(choices) - 1.0, False)

    def position(self, value: Value) -> float:
        """Coordinate of a value on the axis."""
        return float(self.choices.index(str(value))) if self.choices else float(value)

    def fraction(self, value: Value) -> float:
        """Fraction of the way from the lowest to the highest value, 0 to 1; 0.5 where all are equal."""
        position, low, high = self.position(value), self.low, self.high
        if self.log:
            position, low, high = math.log(position), math.log(low), math.log(high)
        return (position - low) / (high - low) if high > low else 0.5

    def ends(self) -> tuple[str, str]:
        """The lowest and the highest value; an empty text and the one value where all are equal."""
        low, high = (self.choices[0], self.choices[-1]) if self.choices else (f"{self.low:.3g}", f"{self.high:.3g}")
        return ("" if low == high else shortened(low, LONGEST_LABEL)), shortened(high, LONGEST_LABEL)

    def apply(self, axis: Axes) -> None:
        """Set an axis's scale and ticks."""
        if self.choices:
            axis.set_xticks(
                range(len(self.choices)), [plain(shortened(choice, LONGEST_LABEL)) for choice in self.choices]
            )
            axis.set_xlim(-0.5, len(self.choices) - 0.5)
        elif self.log:
            axis.set_xlim(self.low / 1.2, self.high * 1.2)
            logarithmic(axis, "x", 3)
        elif self.high == self.low:
            room = abs(self.low) * 0.1 or 0.1
            axis.set_xlim(self.low - room, self.high + room)
            axis.set_xticks([self.low])
        else:
            axis.locator_params(axis="x", nbins=3)


def ordered_colours() -> Colormap:
    """From light green to dark violet, readable for colour-blind people; what counts most stands out most on white."""
    from matplotlib.colors import ListedColormap

    return ListedColormap(LIGHT.order)


def percent(share: float) -> str:
    """A share of 1 as whole percent; `<1%` where it is little, but something."""
    return "<1%" if 0 < share < 0.005 else f"{share:.0%}"
