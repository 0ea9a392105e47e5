"""Contents of a study, typed and bounded: checked before anything that a storage holds is used.

A database, a shared disk and a file belong to whoever can write them. Content that a worker of Lehr would not write
ends in one message. Unused attributes are dropped, so that nothing else reads them either.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lehr.errors import InputError
from lehr.runtime.invalid_values import describe_fault
from lehr.runtime.plain_text import one_line
from lehr.search.definition import Definition
from lehr.search.optuna_adapter import CMA_GENERATION

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

MAX_SLOTS = 1_000_000
"""Maximum number of trials in a study."""
MAX_NOTE = 10_000
"""Characters of a result's note; longer ones are cut off where they are written."""
MAX_DEPTH, MAX_PARTS = 20, 200_000
"""Levels of lists and mappings within each other, and values in all of them, of a definition."""
ROUNDING = 1e-9
"""Share of a bound by which a value may be outside."""
SHOWN = 200
"""Characters of a foreign text that a message shows."""

Model = TypeVar("Model", bound=BaseModel)
Name = Annotated[str, Field(min_length=1, max_length=200)]
Number = Annotated[float, Field(allow_inf_nan=False, ge=-1e15, le=1e15)]
Amount = Annotated[float, Field(allow_inf_nan=False, ge=0, le=1e12)]
Scalar = bool | Annotated[int, Field(ge=-(2**63), le=2**63)] | Number | Annotated[str, Field(max_length=2000)]
Count = Annotated[int, Field(ge=0, le=2**53)]


class DamagedStudy(InputError):
    """A study whose content Lehr did not write.

    Args:
        message: what is wrong.
        placed: whether the message names the storage.
    """

    def __init__(self, message: str, placed: bool = False) -> None:
        super().__init__(message)
        self.placed = placed


class _Content(BaseModel):
    """Base for strict parsing: no text for a number; unknown fields are dropped."""

    model_config = ConfigDict(strict=True, extra="ignore", protected_namespaces=())


class _Result(_Content):
    """Result of a trial, as `lehr.studies.study.Result` is written."""

    state: Literal["finished", "pruned", "diverged", "failed"] | None = None
    fitness: Number | None = None
    metrics: Annotated[dict[Name, Number], Field(max_length=100)] | None = None
    seconds: Amount | None = None
    memory: Amount | None = None
    folder: Annotated[str, Field(pattern=r"^(trials[/\\][0-9]{1,10})?$")] = ""
    note: Annotated[str, Field(max_length=100_000)] = ""
    fault: bool = False


class _Attributes(_Content):
    """Attributes that Lehr's workers write about a trial."""

    slot: Annotated[int, Field(ge=0, lt=MAX_SLOTS)] | None = None
    attempt: Annotated[int, Field(ge=1, le=1_000_000)] = 1
    worker: Annotated[str, Field(max_length=300, pattern=r"^[^\x00-\x1f\x7f-\x9f/\\]*:[0-9]{1,10}$")] | None = None
    pulse: Count | None = None
    result: _Result | None = None


class _Trial(_Content):
    """A trial but for its distributions and times, which are Optuna's own objects."""

    number: Annotated[int, Field(ge=0, le=10 * MAX_SLOTS)]
    values: Annotated[list[Number], Field(min_length=1, max_length=1)] | None
    params: Annotated[dict[Name, Scalar], Field(max_length=1000)]
    intermediate_values: dict[Annotated[int, Field(ge=0, le=MAX_SLOTS)], Number]
    user_attrs: _Attributes


class _Parameter(_Content):
    low: Number = 0.0
    high: Number = 0.0
    gain: Number = 1.0
    log: bool = False
    whole: bool = False
    choices: Annotated[list[Scalar], Field(max_length=1000)] = []


class _Space(_Content):
    parameters: Annotated[dict[Name, _Parameter], Field(max_length=1000)]
    start: Annotated[dict[Name, Scalar], Field(max_length=1000)]


class _Search(_Content):
    fitness: Annotated[str, Field(max_length=1000)] | None = None
    sampler: Name | None = None
    pruner: Name | None = None
    prune_after: Count | None = None
    space: _Space | None = None
    mode: Name | None = None
    techniques: dict[Name, dict[Literal["on", "off"], dict[Name, Any]]] | None = None


class _Definition(_Content):
    """Definition of a study, as `lehr.search.definition.Definition`."""

    model_config = ConfigDict(strict=True, extra="forbid")

    kind: Literal["evolve", "ablate"]
    options: Annotated[dict[Name, Any], Field(max_length=1000)]
    data: Annotated[str, Field(max_length=1000)]
    search: _Search


SYSTEM_ATTRIBUTES: tuple[tuple[str, Any], ...] = (
    ("fixed_params", Annotated[dict[Name, Scalar], Field(max_length=1000)]),
    (r"completed_rung_[0-9]{1,4}", Number),
    (re.escape(CMA_GENERATION), Count),
    (r"[A-Za-z]{1,50}Sampler:generation", Count),
    (r"(tpe|gp):relative_params:[0-9]{1,3}", Annotated[str, Field(max_length=2046)]),
)
"""Attributes of trials that Optuna's samplers and pruners write and read: name patterns and types."""
STUDY_ATTRIBUTES: tuple[tuple[str, Any], ...] = (
    (r"[A-Za-z]{1,50}Sampler:parent:[0-9]{1,9}", Annotated[list[Count], Field(max_length=1000)]),
)
"""The same for a study."""


def checked_definition(content: object) -> Definition:
    """The definition of a study as its storage holds it.

    Raises:
        DamagedStudy: it is not a definition.
    """
    what = "its definition"
    _require_plain(content, what)
    _validated(_Definition, content, what)
    assert isinstance(content, dict)
    return Definition(**content)


def checked_trial(trial: FrozenTrial) -> FrozenTrial:
    """A trial with the attributes that Lehr and Optuna read, each of its type.

    Raises:
        DamagedStudy: no worker of Lehr wrote it.
    """
    from optuna.distributions import BaseDistribution
    from optuna.trial import TrialState

    what = f"trial {trial.number if isinstance(trial.number, int) else '?'}"
    content = {name: getattr(trial, name) for name in _Trial.model_fields}
    found = _validated(_Trial, content, what)
    if trial.state == TrialState.COMPLETE and found.values is None:
        raise _damaged(what, "it has ended without a value")
    if trial.params.keys() != trial.distributions.keys() or not all(
        isinstance(each, BaseDistribution) for each in trial.distributions.values()
    ):
        raise _damaged(what, "its values and their bounds do not belong together")
    checked = copy.copy(trial)
    checked.user_attrs = found.user_attrs.model_dump(exclude_unset=True, exclude_none=True)
    checked.system_attrs = _known(trial.system_attrs, SYSTEM_ATTRIBUTES, what)
    return checked


def checked_study_attributes(attributes: object) -> dict[str, Any]:
    """The attributes that Optuna's samplers read of a study.

    Raises:
        DamagedStudy: one of them is of another type.
    """
    return _known(attributes, STUDY_ATTRIBUTES, "its attributes")


def require_bounds(trial: FrozenTrial, bounds: Mapping[str, BaseDistribution]) -> None:
    """Check that a trial's values are those that a study varies, each within its bounds.

    Args:
        trial: as `checked_trial` returns it.
        bounds: of the study's parameters, by name.

    Raises:
        DamagedStudy: they are not.
    """
    from optuna.trial import TrialState

    what = f"trial {trial.number}"
    given = trial.system_attrs.get("fixed_params", {})
    for name, value in (*given.items(), *trial.params.items()):
        if name not in bounds:
            raise _damaged(what, f"it has a value of '{_cut(name)}', which the study does not vary")
        if not _allows(bounds[name], value):
            raise _damaged(what, f"its {name} is {_cut(repr(value))}, which is not within the study's bounds")
    for name, distribution in trial.distributions.items():
        if distribution != bounds[name]:
            raise _damaged(what, f"it has other bounds of {name} than the study")
    if trial.state in (TrialState.COMPLETE, TrialState.PRUNED) and trial.params.keys() != bounds.keys():
        raise _damaged(what, "it has ended and lacks values of the study")


def bounds_of(definition: Definition) -> dict[str, BaseDistribution] | None:
    """The bounds of what a study varies, by name; None if its definition does not say."""
    from optuna.distributions import CategoricalDistribution, IntDistribution

    from lehr.search.ablation import MAX_SEED, SEED
    from lehr.search.space import Space

    if "space" in definition.search:
        parameters = Space.from_plain(definition.search["space"]).parameters
        return {name: parameter.distribution() for name, parameter in parameters.items()}
    if "techniques" in definition.search:
        switches = dict.fromkeys(definition.search["techniques"], CategoricalDistribution((True, False)))
        return {**switches, SEED: IntDistribution(0, MAX_SEED)}
    return None


def _allows(bounds: BaseDistribution, value: object) -> bool:
    """Return whether a value is one of a distribution's."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(bounds, CategoricalDistribution):
        return any(type(value) is type(choice) and value == choice for choice in bounds.choices)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    assert isinstance(bounds, FloatDistribution | IntDistribution)
    slack = ROUNDING * max(abs(bounds.low), abs(bounds.high))  # logarithms do not round-trip exactly
    whole = isinstance(bounds, FloatDistribution) or isinstance(value, int)
    return whole and bounds.low - slack <= value <= bounds.high + slack


def _known(attributes: object, known: tuple[tuple[str, Any], ...], what: str) -> dict[str, Any]:
    """The attributes whose names are known.

    Raises:
        DamagedStudy: one of them is of another type.
    """
    from pydantic import TypeAdapter

    if not isinstance(attributes, Mapping):
        raise _damaged(what, "its attributes are invalid")
    found: dict[str, Any] = {}
    for name, value in attributes.items():
        kind = next((kind for pattern, kind in known if isinstance(name, str) and re.fullmatch(pattern, name)), None)
        if kind is not None:
            try:
                found[name] = TypeAdapter(kind, config=ConfigDict(strict=True)).validate_python(value)
            except ValidationError as error:
                raise _damaged(what, _first(error, name)) from None
    return found


def _validated(model: type[Model], content: object, what: str) -> Model:
    try:
        return model.model_validate(content)
    except ValidationError as error:
        raise _damaged(what, _first(error)) from None


def _require_plain(content: object, what: str) -> None:
    """Check that a value is what JSON holds, bounded in depth and size, without recursion.

    Raises:
        DamagedStudy: it is not.
    """
    waiting: list[tuple[object, int]] = [(content, 0)]
    parts = 0
    while waiting:
        value, depth = waiting.pop()
        parts += 1
        if depth > MAX_DEPTH or parts > MAX_PARTS:
            raise _damaged(what, "it is larger, or nested more deeply, than any that Lehr writes")
        if isinstance(value, Mapping):
            if not all(isinstance(name, str) and len(name) <= SHOWN for name in value):
                raise _damaged(what, "it has an invalid name")
            waiting += [(each, depth + 1) for each in value.values()]
        elif isinstance(value, list | tuple):
            waiting += [(each, depth + 1) for each in value]
        elif isinstance(value, float) and not math.isfinite(value):
            raise _damaged(what, "it has a number that is not finite")
        elif isinstance(value, int) and abs(value) > 2**64:
            raise _damaged(what, "it has a number that is too large")
        elif isinstance(value, str) and len(value) > MAX_NOTE:
            raise _damaged(what, "it has a text that is too long")
        elif value is not None and not isinstance(value, str | int | float):
            raise _damaged(what, "it has a value that JSON cannot hold")


def _first(error: ValidationError, name: str = "") -> str:
    """Return the first error and its location."""
    found = error.errors(include_url=False, include_input=False, include_context=False)[0]
    place = ".".join(str(part) for part in (*((name,) if name else ()), *found["loc"]) if part != "")
    return f"{_cut(place)}: {describe_fault(found)}"


def _cut(text: str) -> str:
    shown = one_line(text[:SHOWN])
    return shown if len(text) <= SHOWN else f"{shown}..."


def _damaged(what: str, why: str) -> DamagedStudy:
    return DamagedStudy(f"{what} cannot be used ({why})")


def read_json(data: bytes) -> object:
    """Parse untrusted JSON.

    Raises:
        ValueError: it is not JSON, or nested too deeply.
    """
    try:
        return json.loads(data)
    except RecursionError:
        raise ValueError("nested too deeply") from None
