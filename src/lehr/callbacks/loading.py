"""Finding callbacks and loggers by name: those of installed packages, and callbacks as `package.module:object`."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from importlib.metadata import EntryPoint, entry_points

from lehr.callbacks.dispatcher import check_callback
from lehr.callbacks.logger import Logger
from lehr.errors import InputError, did_you_mean
from lehr.plugins import resolve

GROUP = "lehr.callbacks"
"""Entry points under which packages offer callbacks."""
LOGGERS = "lehr.loggers"
"""Entry points under which packages offer loggers."""
OWN_LOGGERS = {
    "csv": "lehr.callbacks.csv_logger:CsvLogger",
    "tensorboard": "lehr.callbacks.tensorboard_logger:TensorBoardLogger",
    "mlflow": "lehr.callbacks.mlflow_logger:MlflowLogger",
    "trackio": "lehr.callbacks.trackio_logger:TrackioLogger",
    "wandb": "lehr.callbacks.wandb_logger:WandbLogger",
}
"""Lehr's own loggers by name."""


def load_callbacks(names: Sequence[str]) -> list[object]:
    """Load callbacks by name.

    Args:
        names: each the name of an entry point, or `package.module:object`: a callback, or its class, which is called
            without arguments.

    Raises:
        InputError: one of them cannot be found or made, or is not a callback.
    """
    return [_load(name) for name in names]


def load_loggers(names: Sequence[str]) -> list[Logger]:
    """Make loggers by name, each with its library imported.

    Args:
        names: each one of Lehr's own, or the name of an entry point.

    Raises:
        InputError: there is no such logger, its library is not installed, or it cannot be made.
    """
    return [_logger(name) for name in names]


def _logger(name: str) -> Logger:
    try:
        made = resolve(OWN_LOGGERS[name])() if name in OWN_LOGGERS else _offered_logger(name).load()()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"--loggers {name}: cannot be created ({type(error).__name__}: {error}).") from None
    if not isinstance(made, Logger):
        raise InputError(f"--loggers {name}: does not derive from lehr.callbacks.logger.Logger.")
    return made


def _offered_logger(name: str) -> EntryPoint:
    """Find the logger that an installed package offers under a name.

    Raises:
        InputError: none does.
    """
    offered = _offers(LOGGERS)
    if name not in offered:
        hint = " An object of your own is given as --callback package.module:object." if ":" in name else ""
        raise InputError(
            f"--loggers {name}: there is no such logger. {did_you_mean(name, [*OWN_LOGGERS, *offered])}{hint}"
        )
    return offered[name]


def _load(name: str) -> object:
    try:
        found: object = resolve(name) if ":" in name else _offered(name).load()
    except InputError:
        raise
    except Exception as error:
        raise InputError(f"--callback {name}: cannot be imported ({type(error).__name__}: {error}).") from None
    if inspect.isclass(found):
        try:
            found = found()
        except Exception as error:
            raise InputError(f"--callback {name}: cannot be created ({type(error).__name__}: {error}).") from None
    try:
        check_callback(found)
    except InputError as error:
        raise InputError(f"--callback {name}: {error}") from None
    return found


def _offered(name: str) -> EntryPoint:
    """Find what an installed package offers under a name.

    Raises:
        InputError: none does.
    """
    offered = _offers(GROUP)
    if name not in offered:
        known = did_you_mean(name, offered) if offered else "No installed package offers any."
        raise InputError(
            f"--callback {name}: no installed package offers this callback. {known} "
            "An object of your own is given as package.module:object."
        )
    return offered[name]


def _offers(group: str) -> dict[str, EntryPoint]:
    """Return what installed packages offer in a group of entry points, by name."""
    return {point.name: point for point in entry_points(group=group)}
