"""Environment variables that belong to whoever imports Lehr."""

from __future__ import annotations

import os
import random
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

CHANGED = (
    "CUBLAS_WORKSPACE_CONFIG",
    "LD_LIBRARY_PATH",
    "TORCHELASTIC_SIGNALS_TO_HANDLE",
    "TORCHINDUCTOR_CACHE_DIR",
    "TORCH_ELASTIC_SHUTDOWN_TIMEOUT",
    "TRITON_CACHE_DIR",
)
"""Variables that a run sets, or OpenCV and torch when they are imported; child processes would inherit them."""


@contextmanager
def preserve_environment(names: Iterable[str] = CHANGED) -> Iterator[None]:
    """Put back some variables, however the block ends; others may be a callback's business.

    Args:
        names: of the variables.
    """
    before = {name: os.environ.get(name) for name in names}
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


@contextmanager
def preserve_random() -> Iterator[None]:
    """Put back the state of Python's random numbers, however the block ends."""
    state = random.getstate()
    try:
        yield
    finally:
        random.setstate(state)


@contextmanager
def tidy_imports() -> Iterator[None]:
    """Undo what importing libraries does to the process: OpenCV and torch set variables, rich draws a random number."""
    with preserve_random(), preserve_environment():
        yield
