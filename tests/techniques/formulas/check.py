"""A formula of a page and the code that computes the same; and how inputs are drawn."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

INPUTS = 1_000
Values = NDArray[Any]
Draw = Callable[[np.random.Generator], dict[str, Values]]


@dataclass(frozen=True, slots=True)
class Formula:
    """Code that computes a formula of a page.

    Attributes:
        code: takes the formula's names as keywords, each (inputs, 1) or (inputs, n), and returns (inputs, 1).
        draw: draws values of exactly the formula's names.
        rtol: relative error that the code's own precision makes.
    """

    code: Callable[..., Any]
    draw: Draw
    rtol: float = 1e-9


@dataclass(frozen=True, slots=True)
class Checks:
    """What a page says that the code must say as well.

    Attributes:
        formulas: the code of each formula, by its name on the page.
        figures: values of the code by the words in which the page says them, `{}` in the value's place, or several
            values in turn.
        tables: for the first head of a table, what computes cells of a row, by head, from all its cells; the others are
            what it computes them from.
        elsewhere: words with numbers, or `| HEAD` for a table, and where they are from: the file of the test that
            compares them, or a work, as `Name et al., year`.
    """

    formulas: Mapping[str, Formula] = field(default_factory=dict)
    figures: Mapping[str, object] = field(default_factory=dict)
    tables: Mapping[str, Callable[[Mapping[str, str]], Mapping[str, float]]] = field(default_factory=dict)
    elsewhere: Mapping[str, str] = field(default_factory=dict)


def real(rng: np.random.Generator, low: Any, high: Any, several: int = 1) -> Values:
    """Numbers from low to high, (inputs, several); the bounds may be values themselves."""
    return np.asarray(rng.uniform(low, high, (INPUTS, several)))


def whole(rng: np.random.Generator, low: Any, high: Any, several: int = 1) -> Values:
    """Whole numbers from low to high, both included, as floats, (inputs, several)."""
    return np.asarray(rng.integers(low, np.asarray(high) + 1, (INPUTS, several)), np.float64)


def each(function: Callable[..., Any], **fixed: Any) -> Callable[..., Values]:
    """A function of numbers, called for each input by itself: of whole numbers with int, of several with a list.

    Args:
        function: takes the names as keywords.
        fixed: further arguments.
    """

    def call(**values: Values) -> Values:
        rows = [{name: _plain(value[row]) for name, value in values.items()} for row in range(INPUTS)]
        return np.array([function(**row, **fixed) for row in rows], np.float64).reshape(INPUTS, -1)

    return call


def _plain(value: Values) -> Any:
    numbers = [int(number) if number == int(number) else float(number) for number in value]
    return numbers[0] if len(numbers) == 1 else numbers


def tensors(function: Callable[..., Tensor]) -> Callable[..., Values]:
    """A function of float64 tensors, called for all inputs at once."""

    def call(**values: Values) -> Values:
        result = function(**{name: torch.as_tensor(value, dtype=torch.float64) for name, value in values.items()})
        return result.detach().numpy().reshape(INPUTS, -1)

    return call
