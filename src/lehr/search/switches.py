"""Techniques as an ablation switches them: which options turn each on and off in a run.

On means as in the run itself where it has the technique on, else the values that the technique's description names. A
user's file adds techniques of its own: any options, those of other data too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from lehr.augment.augmentation import refuse_code
from lehr.augment.closing import closing_epochs
from lehr.config import TrainConfig, build_config
from lehr.errors import InputError, did_you_mean
from lehr.options import LOCAL, option_names
from lehr.runtime.plain_text import one_line
from lehr.technique import Switch, Technique
from lehr.techniques.catalog import techniques
from lehr.techniques.schedule import schedule_name
from lehr.yaml_files import line_of_key, read_mapping


@dataclass(frozen=True, slots=True)
class Sides:
    """A technique's two sides in a run.

    Attributes:
        on: options that turn it on.
        off: options that turn it off, the same ones.
    """

    on: Mapping[str, Any]
    off: Mapping[str, Any]


LONGEST_NAME = 100
"""Characters of a technique's name."""
FORM = "'NAME: {on: {OPTION: VALUE}, off: {OPTION: VALUE}}'"


def switches() -> dict[str, Switch]:
    """Switches of all techniques, by name."""
    return {switch.name: switch for technique in techniques() for switch in technique.switches}


def choose(names: Sequence[str], config: TrainConfig, file: Path | None = None) -> dict[str, Sides]:
    """The techniques of an ablation, on as in the run itself where it has them on.

    Args:
        names: of techniques; `all` for those that are on in the run, and those of the file.
        config: the run.
        file: a YAML file of further techniques, `NAME: {on: {...}, off: {...}}` a line.

    Raises:
        InputError: one is unknown, means nothing to the model, or shares an option with another.
    """
    own = {} if file is None else _read(file, config)
    table = switches()
    aliases = {alias: switch.name for switch in table.values() for alias in switch.aliases}
    chosen: dict[str, Sides] = {}
    for given in names:
        name = given.strip().replace("-", "_")
        name = aliases.get(name, name)
        if name in own:
            chosen[name] = own[name]
        elif name == "all":
            on = [each for each, switch in table.items() if switch.in_all and is_on(each, config)]
            chosen |= {each: _of_run(each, config) for each in on} | own
        elif name in table:
            chosen[name] = _of_run(name, config)
        else:
            raise InputError(f"--techniques: unknown technique '{given}'. {did_you_mean(name, [*table, *own, 'all'])}")
    if not chosen:
        raise InputError("--techniques: names none. Give some, e.g. --techniques mosaic,ema,warmup, or all.")
    _check(chosen)
    return chosen


def is_on(name: str, config: TrainConfig) -> bool:
    """Return whether a run has a technique on, given by the name of its switch."""
    return _owner(name).suits(config.family) and switches()[name].is_on(_now(config))


def _owner(name: str) -> Technique:
    """The technique that a switch belongs to."""
    return next(each for each in techniques() if name in {switch.name for switch in each.switches})


def _now(config: TrainConfig) -> dict[str, Any]:
    """A run's options, the schedule by its one name, mosaic with the epochs that it closes for."""
    closed = closing_epochs(config.augment.close_mosaic, config.epochs)
    return config.flat() | {"lr_schedule": schedule_name(config.schedule), "close_mosaic": closed}


def _of_run(name: str, config: TrainConfig) -> Sides:
    """A technique's two sides, on as the run has it where it does.

    Raises:
        InputError: it means nothing to the model, or needs an option that was not given.
    """
    switch, owner, now = switches()[name], _owner(name), _now(config)
    if not owner.suits(config.family):
        raise InputError(f"--techniques: '{name}' means nothing to {config.model.model}; it needs {owner.family}.")
    if is_on(name, config):
        return Sides({option: now[option] for option in switch.off}, switch.off)
    missing = [option.replace("_", "-") for option, value in switch.on.items() if value is ...]
    if missing:
        raise InputError(f"--techniques: '{name}' needs --{missing[0]}. Give it, or omit the technique.")
    return Sides(switch.on, switch.off)


def _read(file: Path, config: TrainConfig) -> dict[str, Sides]:
    """The techniques of a user's file.

    Raises:
        InputError: the file cannot be used.
    """
    switches: dict[str, Sides] = {}
    known_code = config.augment.augmentation
    for name, given in read_mapping(file).items():
        place = f"{file}:{line_of_key(file, str(name))}"
        if str(name) != one_line(str(name)) or not 0 < len(str(name)) <= LONGEST_NAME:
            shown = one_line(str(name)[:LONGEST_NAME])
            raise InputError(
                f"{place}: '{shown}' is not a valid name of a technique: one line, {LONGEST_NAME} characters at most."
            )
        if isinstance(given, dict):  # YAML reads `on` and `off` as booleans
            given = {{True: "on", False: "off"}.get(side, side): options for side, options in given.items()}
        if not isinstance(given, dict) or not given or not given.keys() <= {"on", "off"}:
            raise InputError(f"{place}: '{name}' must be {FORM}.")
        sides = {side: given.get(side) or {} for side in ("on", "off")}
        for side, options in sides.items():
            if not isinstance(options, dict):
                raise InputError(f"{place}: '{side}' of '{name}' must be options with their values: {FORM}.")
            options = {str(option).replace("-", "_"): value for option, value in options.items()}
            for option in options:
                if option not in option_names():
                    raise InputError(f"{place}: unknown option '{option}'. {did_you_mean(option, option_names())}")
                if (option in LOCAL and option != "data") or option in ("epochs", "seed"):
                    raise InputError(f"{place}: '{option}' cannot be part of a technique; all runs share it.")
            refuse_code(build_config({**config.flat(), **options}, place).augment.augmentation, known_code, place)
            sides[side] = options
        now = config.flat()
        known = [*sides["on"], *sides["off"]]
        switches[str(name).replace("-", "_")] = Sides(
            *({option: sides[side].get(option, now[option]) for option in known} for side in ("on", "off"))
        )
    return switches


def _check(chosen: Mapping[str, Sides]) -> None:
    """Check that techniques can be switched independently.

    Raises:
        InputError: two of them set the same option.
    """
    for (one, first), (other, second) in combinations(chosen.items(), 2):
        shared = first.on.keys() & second.on.keys()
        if shared:
            raise InputError(
                f"--techniques: '{one}' and '{other}' both set --{min(shared).replace('_', '-')}, so neither can be "
                "switched independently. Omit one."
            )
