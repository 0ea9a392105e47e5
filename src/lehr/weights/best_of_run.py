"""The best weights of a run, where its folder is named."""

from __future__ import annotations

from pathlib import Path

BEST_WEIGHTS, LAST_WEIGHTS = "best.safetensors", "last.safetensors"
"""Weights in the folder of a run."""


def best_of_run(weights: str | Path) -> Path:
    """Return the best weights where weights are named by the folder of their run; else what was given."""
    path = Path(weights)
    best = path / BEST_WEIGHTS
    return best if best.is_file() else path
