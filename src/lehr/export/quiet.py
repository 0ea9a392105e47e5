"""Converters that print their progress, their warnings and those of their parts, silenced while they work."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

LOGGERS = ("torch.onnx", "torch.utils._pytree", "torch.utils.cpp_extension", "coremltools", "nncf")
"""Those that warn of the converters' own affairs; their errors are still seen."""


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Silence converters within a block; what they raise is raised."""
    loggers = [logging.getLogger(name) for name in LOGGERS]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        nowhere = io.StringIO()
        with warnings.catch_warnings(), contextlib.redirect_stdout(nowhere), contextlib.redirect_stderr(nowhere):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
