"""Search space of `lehr evolve`: parameters, their bounds, and their current values.

The table of bounds is the one that YOLOv5 made familiar. Its gains of the loss belong to families with anchors; for
YOLOv8 they are the same multiples of that family's defaults.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from lehr.augment.augmentation import refuse_code
from lehr.augment.mosaic import closed_epochs
from lehr.config import TrainConfig, build_config
from lehr.errors import InputError, did_you_mean
from lehr.hyperparameters import WITHOUT_EFFECT
from lehr.models.family import Family
from lehr.options import option_names
from lehr.preview import Preview
from lehr.search.records import Value
from lehr.techniques.plan import LONGEST_WARMUP
from lehr.techniques.schedule import fitted_period
from lehr.techniques.warmup import MIN_STEPS
from lehr.yaml_files import line_of_key, read_mapping

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial


@dataclass(frozen=True, slots=True)
class Parameter:
    """One option that a search varies.

    Attributes:
        low: smallest value.
        high: largest value.
        gain: how strongly a genetic algorithm mutates it; 0 is never.
        log: whether samplers draw on a logarithmic scale.
        whole: whether it is a count.
        choices: what it may be, for one that is not a number; low and high mean nothing then.
    """

    low: float = 0.0
    high: float = 0.0
    gain: float = 1.0
    log: bool = False
    whole: bool = False
    choices: tuple[Value, ...] = ()

    def distribution(self) -> BaseDistribution:
        """The same as Optuna's."""
        from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

        if self.choices:
            return CategoricalDistribution(self.choices)
        if self.whole:
            return IntDistribution(round(self.low), round(self.high), log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)

    def allows(self, value: Value) -> bool:
        """Return whether a value is within the bounds."""
        if self.choices:
            return value in self.choices
        return not isinstance(value, str) and self.low <= value <= self.high

    @property
    def ends(self) -> tuple[Value, ...]:
        """Its bounds, as the option takes them; its choices where it has them."""
        if self.choices:
            return self.choices
        return (round(self.low), round(self.high)) if self.whole else (self.low, self.high)

    def __str__(self) -> str:
        if self.choices:
            return " or ".join(map(str, self.choices))
        return f"{self.low:g} to {self.high:g}"


TABLE: dict[str, Parameter] = {
    "lr0": Parameter(1e-5, 0.1, log=True),
    "lrf": Parameter(0.01, 1.0),
    "momentum": Parameter(0.6, 0.98),
    "weight_decay": Parameter(0.0, 0.001),
    "warmup_epochs": Parameter(0.0, 5.0),
    "warmup_momentum": Parameter(0.0, 0.95),
    "warmup_bias_lr": Parameter(0.0, 0.2),
    "box": Parameter(0.02, 0.2),
    "cls": Parameter(0.2, 4.0),
    "cls_pw": Parameter(0.5, 2.0),
    "obj": Parameter(0.2, 4.0),
    "obj_pw": Parameter(0.5, 2.0),
    "anchor_t": Parameter(2.0, 8.0),
    "anchors": Parameter(2, 10, gain=0.0, whole=True),
    "fl_gamma": Parameter(0.0, 2.0, gain=0.0),
    "hsv_h": Parameter(0.0, 0.1),
    "hsv_s": Parameter(0.0, 0.9),
    "hsv_v": Parameter(0.0, 0.9),
    "degrees": Parameter(0.0, 45.0),
    "translate": Parameter(0.0, 0.9),
    "scale": Parameter(0.0, 0.9),
    "shear": Parameter(0.0, 10.0),
    "perspective": Parameter(0.0, 0.001),
    "flipud": Parameter(0.0, 1.0),
    "fliplr": Parameter(0.0, 1.0),
    "mosaic": Parameter(0.0, 1.0),
    "mixup": Parameter(0.0, 1.0),
    "copy_paste": Parameter(0.0, 1.0),
}
"""Bounds of families with anchors. Gain 0: only where a search names it, since another model or another loss would be
compared with the first."""
OF_THE_MACHINE = ("data", "workers", "cache", "skip", "skip_broken", "scaled_decoding")
"""Options of the data that say how they are reached."""

DFL = Parameter(0.6, 6.0)
"""Bounds of the gain that families with anchors lack: 0.4 to 4 times the default."""
GAIN_BOUNDS = {"box": (0.4, 4.0), "cls": (0.4, 8.0)}
"""The table's bounds of gains that each family has its own default of, as multiples of it."""
FORM = "'NAME: [low, high]', or 'NAME: {low: ..., high: ..., gain: 1, log: false}', or 'NAME: {choices: [...]}'"


@dataclass(frozen=True, slots=True)
class Space:
    """Search space.

    Attributes:
        parameters: by option name.
        start: the values that they have now.
        notes: what was skipped or widened, one line each.
    """

    parameters: Mapping[str, Parameter]
    start: Mapping[str, Value]
    notes: tuple[str, ...] = ()

    def suggest(self, trial: Trial) -> dict[str, Value]:
        """The values of a trial, from its study's sampler."""
        values: dict[str, Value] = {}
        for name, parameter in self.parameters.items():
            if parameter.choices:
                values[name] = cast(Value, trial.suggest_categorical(name, parameter.choices))
            elif parameter.whole:
                values[name] = trial.suggest_int(name, round(parameter.low), round(parameter.high), log=parameter.log)
            else:
                values[name] = trial.suggest_float(name, parameter.low, parameter.high, log=parameter.log)
        return values

    def as_plain(self) -> dict[str, Any]:
        """The space as JSON holds it."""
        return {
            "parameters": {name: asdict(parameter) for name, parameter in self.parameters.items()},
            "start": dict(self.start),
        }

    @classmethod
    def from_plain(cls, plain: Mapping[str, Any]) -> Space:
        """Restore the space from the values of `as_plain`."""
        parameters = {
            name: Parameter(**{**values, "choices": tuple(values["choices"])})
            for name, values in plain["parameters"].items()
        }
        return cls(parameters, dict(plain["start"]))


def build_space(run: Preview, file: Path | None = None, kept: Collection[str] = ()) -> Space:
    """The space of a search: the table, or that of a file.

    Args:
        run: what is varied.
        file: a YAML file of parameters, `NAME: [low, high]` a line; a name alone takes the table's bounds.
        kept: parameters that stay although they have no effect, since the search has begun with them.

    Raises:
        InputError: a parameter is unknown or has no effect, or its bounds are wrong.
    """
    config = run.config
    table = _table(config.family)
    if file is None:
        parameters = {name: parameter for name, parameter in table.items() if parameter.gain > 0}
        fitting, notes = _fitting(parameters, run, kept)
        start = _current(run, fitting)
        for name, value in start.items():
            if not fitting[name].allows(value):
                notes.append(f"{name} is {value:g} now, outside of {fitting[name]}: its bounds are widened to it.")
                fitting[name] = _widened(fitting[name], float(value))
        return Space(fitting, start, tuple(notes))
    given = {str(name): value for name, value in read_mapping(file).items()}
    if not given:
        raise InputError(f"{file}: holds no parameter. Each line is {FORM}.")
    parameters = {}
    for name, value in given.items():
        where = f"{file}:{line_of_key(file, name)}"
        parameters[name] = _read(name, value, table, where)
        _check(name, parameters[name], config, where)
    ineffective = _ineffective(parameters, run)
    for name, why in ineffective.items():
        if name not in kept:
            where = f"{file}:{line_of_key(file, name)}"
            raise InputError(f"{where}: '{name}' has no effect: {why}. Omit it.")
    start = _current(run, parameters)
    for name, now in start.items():
        if not parameters[name].allows(now):
            raise InputError(
                f"{file}:{line_of_key(file, name)}: {name} is {now} now, which the first trial is made with, and that "
                f"is not within {parameters[name]}. Widen the bounds, or give another --{name.replace('_', '-')}."
            )
    return Space(parameters, start)


def _table(family: Family) -> dict[str, Parameter]:
    """The bounds that a family's options have."""
    gains = {
        name: Parameter(round(low * family.gains[name], 10), round(high * family.gains[name], 10))
        for name, (low, high) in GAIN_BOUNDS.items()
    }
    return TABLE | gains | ({"dfl": DFL} if "dfl" in family.options else {})


def _read(name: str, value: Any, table: Mapping[str, Parameter], where: str) -> Parameter:
    """A parameter as a file gives it.

    Raises:
        InputError: it is not given in one of the ways.
    """
    if name in WITHOUT_EFFECT:
        raise InputError(f"{where}: '{name}' has no effect here; omit it.")
    if name not in option_names():
        raise InputError(f"{where}: unknown parameter '{name}'. {did_you_mean(name, {*table, *option_names()})}")
    known = table.get(name)
    if value is None:
        if known is None:
            raise InputError(f"{where}: '{name}' has no own bounds: give {FORM}.")
        return Parameter(known.low, known.high, 1.0, known.log, known.whole)
    if isinstance(value, list) and len(value) == 2:
        value = {"low": value[0], "high": value[1]}
    if not isinstance(value, dict) or not value.keys() <= {"low", "high", "gain", "log", "choices"}:
        raise InputError(f"{where}: '{name}' is {value!r}; it must be {FORM}.")
    gain = value.get("gain", 1.0)
    if not _is_number(gain) or gain < 0:
        raise InputError(f"{where}: the gain of '{name}' is {gain!r}; it must be a number, 0 or more.")
    if "choices" in value:
        choices = value["choices"]
        if not isinstance(choices, list) or len(choices) < 2 or not all(isinstance(c, Value) for c in choices):
            raise InputError(f"{where}: the choices of '{name}' are {choices!r}; give a list of two or more.")
        return Parameter(gain=gain, choices=tuple(choices))
    low, high = _number(value.get("low")), _number(value.get("high"))
    if low is None or high is None:
        raise InputError(f"{where}: '{name}' needs two numbers as bounds: {FORM}.")
    if low > high:
        raise InputError(
            f"{where}: the bounds of '{name}' are in the wrong order: {low:g} is above {high:g}. Swap them."
        )
    if low == high:
        raise InputError(f"{where}: the bounds of '{name}' leave only {low:g}. Give it as --{name.replace('_', '-')}.")
    log = value.get("log", known.log if known is not None and low > 0 else False)
    if not isinstance(log, bool) or (log and low <= 0):
        raise InputError(f"{where}: 'log' of '{name}' must be true or false, and true only with bounds above 0.")
    return Parameter(low, high, float(gain), log, known.whole if known is not None else _counts(name))


def _check(name: str, parameter: Parameter, config: TrainConfig, where: str) -> None:
    """Check that a parameter is part of the training, and that the option may have its bounds.

    Raises:
        InputError: they are not.
    """
    for value in parameter.ends:
        wanted = build_config({**config.flat(), name: value}, where)
        refuse_code(wanted.augment.augmentation, config.augment.augmentation, where)
    if option_names()[name] in ("run", "devices", "speed") or name in OF_THE_MACHINE:
        raise InputError(f"{where}: '{name}' is not part of the training itself, so no search can vary it.")
    if name == "epochs" or not (parameter.choices or _is_numeric(name, config)):
        raise InputError(f"{where}: '{name}' cannot be varied between bounds. Known: {', '.join(TABLE)}.")


def _fitting(
    table: Mapping[str, Parameter], run: Preview, kept: Collection[str]
) -> tuple[dict[str, Parameter], list[str]]:
    """Parameters of the table that have an effect on a run, and notes on skipped ones."""
    fitting, plan, notes = dict(table), run.plan, []
    if run.config.schedule.warmup not in ("none", "first-epoch"):
        if plan.warmup < MIN_STEPS:
            fitting.pop("warmup_epochs")
            few = f"{plan.steps} steps are too few for warmups of different length"
            notes.append(f"warmup_epochs is skipped: {few if plan.warmup else 'the warmup is off'}.")
        else:
            longest = min(table["warmup_epochs"].high, round(plan.epochs * LONGEST_WARMUP, 3))
            fitting["warmup_epochs"] = Parameter(0.0, max(longest, plan.warmup / plan.batches))
    reasons: dict[str, list[str]] = {}
    for name, why in _ineffective(fitting, run).items():
        if name not in kept:
            fitting.pop(name)
            reasons.setdefault(why, []).append(name)
    notes += [
        f"{', '.join(names)} {'are' if len(names) > 1 else 'is'} skipped: {why}." for why, names in reasons.items()
    ]
    return fitting, notes


def _ineffective(parameters: Mapping[str, Parameter], run: Preview) -> dict[str, str]:
    """Parameters that change nothing in a run, and why; imported here, since it loads torch, which no worker needs."""
    from lehr.search.ineffective import ineffective_parameters

    return ineffective_parameters({name: each.ends for name, each in parameters.items()}, run)


def _current(run: Preview, names: Mapping[str, Parameter]) -> dict[str, Value]:
    """The current values of a run, including those chosen automatically."""
    config, plan, options = run.config, run.plan, run.config.flat()
    chosen: dict[str, Any] = {
        "lr0": plan.optimizer.lr0,
        "momentum": plan.optimizer.momentum,
        "warmup_bias_lr": plan.optimizer.warmup_bias_lr,
        "warmup_epochs": round(plan.warmup / plan.batches, 5),
        "nominal_batch": plan.optimizer.nominal_batch,
        "ema_tau": plan.ema_tau,
        "restart_epochs": fitted_period(plan.epochs, config.schedule.restart_factor),
        "optimizer": plan.optimizer.name,
        "lr_schedule": "cosine" if config.schedule.cos_lr else "linear",
        "imgsz": config.imgsz,
        "close_mosaic": closed_epochs(run),
        "batch": config.batch,
        **config.family.gains,
    }
    start: dict[str, Value] = {}
    for name in names:
        value = options[name]
        start[name] = chosen[name] if value is None or value == "auto" else value
    return start


def _widened(parameter: Parameter, value: float) -> Parameter:
    low, high = min(parameter.low, value), max(parameter.high, value)
    return Parameter(low, high, parameter.gain, parameter.log and low > 0, parameter.whole)


def _counts(name: str) -> bool:
    """Return whether an option is a count."""
    return name in ("close_mosaic", "nominal_batch", "anchors", "imgsz", "batch", "patience")


def _is_numeric(name: str, config: TrainConfig) -> bool:
    value = config.flat()[name]
    return name in TABLE or name == "dfl" or _counts(name) or (_is_number(value) and not isinstance(value, str))


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _number(value: Any) -> float | None:
    """A number, `1e-5` too, which YAML reads as text; None for anything else."""
    if isinstance(value, str):
        try:
            value = float(value)
        except ValueError:
            return None
    return value if _is_number(value) else None
