"""Decay of the average of the weights over a run; without torch, for planning runs."""

from __future__ import annotations

import math
from typing import Literal

PUBLISHED_TAU = 2000.0
"""Updates over which the decay rises, as published."""
FINAL_SPAN = 10.0
"""Updates that the average spans at the end with `--ema-tau auto`, if the published tau would make it fewer."""
UNSET_TAU: float | Literal["auto"] = PUBLISHED_TAU
"""`--ema-tau` if it is not given: a number of updates, or `auto`."""


def resolve_tau(asked: float | Literal["auto"] | None, updates: int) -> float:
    """Updates over which the decay rises in a run.

    `auto` is `min(2000, updates / log(10))`: the decay ends at `0.9999 * (1 - 1/10)` or above, an average over ten
    updates. Longer averages lag behind weights that still move fast (docs/results.md).

    Args:
        asked: `--ema-tau`: updates, `auto`, or None if not given.
        updates: optimizer steps of the whole run.
    """
    tau = UNSET_TAU if asked is None else asked
    return min(PUBLISHED_TAU, max(updates, 1) / math.log(FINAL_SPAN)) if tau == "auto" else float(tau)


def ema_decay(updates: int, decay: float, tau: float) -> float:
    """Decay of an update: `decay * (1 - exp(-updates / tau))`.

    Args:
        updates: the update, counted from 1.
        decay: largest decay, 0 to 1.
        tau: updates over which the decay rises.
    """
    return decay * (1 - math.exp(-updates / tau))
