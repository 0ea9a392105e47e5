"""Matching references with ids: numbers in the standard; text, floats or lists of one in files that people have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


def id_text(value: Any) -> str | None:
    """Return an id as text: 7, 7.0, "7" and [7] are the same; None for what cannot be an id (null, true, {}, ...)."""
    if isinstance(value, list) and len(value) == 1:
        return id_text(value[0])
    if isinstance(value, bool):
        return None
    if isinstance(value, int):
        return str(value)
    if isinstance(value, float):
        return str(int(value)) if value.is_integer() else None
    if isinstance(value, str) and value.strip():
        text = value.strip()
        whole, dot, rest = text.partition(".")
        return whole if dot and whole.lstrip("-").isdigit() and not rest.strip("0") else text
    return None


def plain_text(value: object) -> str:
    """Return a value as text that can be printed: without the halves of characters and zeros that JSON may hold."""
    return str(value).encode("utf-8", "backslashreplace").decode().replace("\0", "\\0")


def shown(value: object) -> str:
    """Return a value as text for a message, cut where it is long."""
    text = plain_text(value if isinstance(value, str) else repr(value))
    return text if len(text) < 60 else f"{text[:57]}..."


@dataclass(frozen=True, slots=True)
class Matches:
    """References matched with ids.

    Attributes:
        found: int64 (n,), the position of the id that each refers to; -1 if there is none.
        by_text: how many matched only as text, since one is given as a number and the other is not.
    """

    found: NDArray[np.int64]
    by_text: int


def match_ids(references: Sequence[Any], ids: Sequence[Any]) -> Matches:
    """Match references with ids: as they are given where the types agree, as text otherwise.

    Args:
        references: (n,) as given.
        ids: as given, no two the same; what cannot be an id is matched by nothing.
    """
    exact: dict[Any, int] = {}
    text: dict[str, int] = {}
    for position, value in enumerate(ids):
        key = id_text(value)
        if key is not None:
            text.setdefault(key, position)
            if isinstance(value, int | float | str):
                exact[value] = position
    if not ({*map(type, references)} - {int, float, str}):
        found = np.fromiter((exact.get(value, -1) for value in references), np.int64, len(references))
    else:
        plain = (isinstance(each, int | float | str) and not isinstance(each, bool) for each in references)
        found = np.array(
            [exact.get(value, -1) if usual else -1 for value, usual in zip(references, plain, strict=True)], np.int64
        )
    by_text = 0
    for position in np.flatnonzero(found < 0).tolist():
        key = id_text(references[position])
        match = -1 if key is None else text.get(key, -1)
        found[position] = match
        by_text += match >= 0
    return Matches(found.reshape(-1), by_text)
