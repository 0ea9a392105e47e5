"""OpenMP's threads: how long one that has nothing to do looks out for work before it sleeps."""

from __future__ import annotations

import os

SPIN_COUNT = "GOMP_SPINCOUNT"
"""Environment variable of GNU's OpenMP, which torch brings along: how often to look before sleeping."""
CHOICES = (SPIN_COUNT, "OMP_WAIT_POLICY")
"""Environment variables by which a user chooses."""


def tune_openmp() -> None:
    """Let threads that wait for others sleep at once, unless the user has chosen.

    Torch shares each operation among its threads, and the first to be done wait for the last. By default they look out
    for the next operation for some milliseconds, and take a core that loading processes or a neighbour could use: the
    very core, perhaps, on which the last of them waits for its turn. Read once, when torch is imported, so it is called
    before; child processes inherit it, so it is for commands alone.
    """
    if not any(name in os.environ for name in CHOICES):
        os.environ[SPIN_COUNT] = "0"
