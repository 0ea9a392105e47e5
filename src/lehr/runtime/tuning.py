"""A process of Lehr's own, set up for computing."""

from __future__ import annotations

from lehr.runtime.malloc import tune_malloc
from lehr.runtime.openmp import tune_openmp


def tune_process() -> None:
    """Set what torch and its libraries read once, when they are imported; for commands alone, since it lasts."""
    tune_malloc()
    tune_openmp()
