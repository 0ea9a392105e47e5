"""A group of options, and the marks that an option may bear."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lehr.options.help_groups import HelpGroup

MAX_COUNT = 1_000_000
"""Bound of counts that have no other: what a mistyped or hostile file of options may ask for."""
Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class OnResume:
    """Marks an option that a resumed run may change.

    Attributes:
        only: which values it may be given; empty for any.
    """

    only: str = ""


@dataclass(frozen=True, slots=True)
class PerMachine:
    """Marks an option that each machine which works on a study has its own value of."""


@dataclass(frozen=True, slots=True)
class AddedLater:
    """Marks an option that older runs and studies do not have: they resume with its default.

    Nothing may change under that default. Any other option that the config.yaml of a run lacks was cut off.
    """


ON_RESUME, PER_MACHINE, ADDED_LATER = OnResume(), PerMachine(), AddedLater()


class Options(BaseModel):
    """A group of options; frozen, and without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    fixed_because: ClassVar[str] = ""
    """Why an option of this group without `OnResume` cannot change when a run resumes."""
    help_group: ClassVar[HelpGroup] = HelpGroup.OUTPUT
    """The heading of `--help` for the options of this group that do not name one."""

    @model_validator(mode="before")
    @classmethod
    def _any_case(cls, given: Any) -> Any:
        """Match values that are one of a few names without regard to case, e.g. sgd for SGD."""
        if not isinstance(given, Mapping):
            return given
        return {
            name: _in_known_case(cls.model_fields[name].annotation, value) if name in cls.model_fields else value
            for name, value in given.items()
        }


def _in_known_case(annotation: Any, value: Any) -> Any:
    """Return the one name of a `Literal` that a value is but for its case; the value itself if there is none."""
    if not isinstance(value, str):
        return value
    parts = [annotation, *get_args(annotation)]
    names = [name for part in parts if get_origin(part) is Literal for name in get_args(part) if isinstance(name, str)]
    alike = [name for name in names if name.casefold() == value.casefold()]
    return alike[0] if value not in names and len(alike) == 1 else value
