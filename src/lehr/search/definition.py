"""Definition of a study, as its storage keeps it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Definition:
    """Definition of a study; the same on every machine that shares it.

    Attributes:
        kind: evolve or ablate.
        options: the options of its runs, by flat name, but for those that each machine has its own of.
        data: fingerprint of the data set.
        search: what else makes the study what it is, as JSON holds it.
    """

    kind: str
    options: Mapping[str, Any]
    data: str
    search: Mapping[str, Any]
