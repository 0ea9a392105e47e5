"""The options of a training run: small typed groups with flat names, the same in the shell, in YAML and in Python."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from lehr.options.augment import AugmentOptions
from lehr.options.base import (
    ADDED_LATER,
    MAX_COUNT,
    ON_RESUME,
    PER_MACHINE,
    AddedLater,
    OnResume,
    Options,
    PerMachine,
)
from lehr.options.data import DataOptions
from lehr.options.loss import LossOptions
from lehr.options.model import ModelOptions
from lehr.options.run import DeviceOptions, RunOptions, SpeedOptions
from lehr.options.schedule import ScheduleOptions

__all__ = [
    "ADDED_LATER",
    "GROUPS",
    "LOCAL",
    "MAX_COUNT",
    "MAY_CHANGE",
    "MAY_LACK",
    "ON_RESUME",
    "PER_MACHINE",
    "AugmentOptions",
    "DataOptions",
    "DeviceOptions",
    "LossOptions",
    "ModelOptions",
    "OnResume",
    "Options",
    "RunOptions",
    "ScheduleOptions",
    "SpeedOptions",
    "describe_may_change",
    "in_current_form",
    "option_names",
]

GROUPS: dict[str, type[Options]] = {
    "data": DataOptions,
    "model": ModelOptions,
    "schedule": ScheduleOptions,
    "loss": LossOptions,
    "augment": AugmentOptions,
    "speed": SpeedOptions,
    "devices": DeviceOptions,
    "run": RunOptions,
}


@cache
def option_names() -> Mapping[str, str]:
    """Every option's flat name and the group it lives in."""
    return MappingProxyType({name: group for group, options in GROUPS.items() for name in options.model_fields})


def in_current_form(options: Mapping[str, Any]) -> dict[str, Any]:
    """Spell the options of an earlier run or study as they are spelled now, e.g. a choice that was a switch.

    Args:
        options: values by flat name, as plain values; whatever is not valid now is left unchanged.
    """
    groups, result = option_names(), dict(options)
    for name, value in options.items():
        with contextlib.suppress(KeyError, ValidationError):
            result[name] = GROUPS[groups[name]].model_validate({name: value}).model_dump(mode="json")[name]
    return result


def _marked(marker: type[Any]) -> dict[str, Any]:
    """The options with a marker of a kind, in the order of the groups, and the markers."""
    fields = ((name, field) for options in GROUPS.values() for name, field in options.model_fields.items())
    return {name: mark for name, field in fields for mark in field.metadata if isinstance(mark, marker)}


MAY_CHANGE: dict[str, str] = {name: mark.only for name, mark in _marked(OnResume).items()}
"""Options that a resumed run may change, and to which values; to any where that is empty."""
LOCAL = frozenset(_marked(PerMachine))
"""Options that each machine of a study has its own of."""
MAY_LACK = frozenset(_marked(AddedLater))
"""Options that the config.yaml of a run, or the definition of a study, need not name."""


def describe_may_change() -> str:
    """Return the options that a resumed run may change, as the shell writes them; those without bounds come first."""
    flags = {f"--{name.replace('_', '-')}": only for name, only in MAY_CHANGE.items()}
    told = [flag for flag, only in flags.items() if not only]
    told += [f"{flag} ({only})" for flag, only in flags.items() if only]
    return f"{', '.join(told[:-1])} and {told[-1]}"
