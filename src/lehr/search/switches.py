"""Techniques as an ablation switches them: which options turn each on and off.

On means as in the run itself where it has the technique on, else the values here. A user's file adds techniques of its
own: any options, those of other data too.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

from lehr.config import TrainConfig, build_config
from lehr.errors import InputError, did_you_mean
from lehr.options import LOCAL, option_names
from lehr.yaml_files import line_of_key, read_mapping


@dataclass(frozen=True, slots=True)
class Switch:
    """A technique's two sides.

    Attributes:
        on: options that turn it on.
        off: options that turn it off, the same ones.
    """

    on: Mapping[str, Any]
    off: Mapping[str, Any]


TABLE: dict[str, Switch] = {
    "warmup": Switch({"warmup": "gradual"}, {"warmup": "none"}),
    "schedule": Switch({"lr_schedule": "linear"}, {"lr_schedule": "constant"}),
    "cos_lr": Switch({"lr_schedule": "cosine"}, {"lr_schedule": "linear"}),
    "accumulation": Switch({"nominal_batch": None}, {"nominal_batch": 1}),
    "clipping": Switch({"clip_norm": 10.0}, {"clip_norm": 0.0}),
    "weight_decay": Switch({"weight_decay": 5e-4}, {"weight_decay": 0.0}),
    "ema": Switch({"ema_decay": 0.9999}, {"ema_decay": 0.0}),
    "pretrained_start": Switch({"weights": ...}, {"weights": None}),
    "freezing": Switch({"freeze": ...}, {"freeze": None}),
    "autoanchor": Switch({"autoanchor": True}, {"autoanchor": False}),
    "frequency_bias": Switch({"frequency_bias": True}, {"frequency_bias": False}),
    "multi_scale": Switch({"multi_scale": 0.5}, {"multi_scale": 0.0}),
    "rect": Switch({"rect": True}, {"rect": False}),
    "image_weights": Switch({"image_weights": True}, {"image_weights": False}),
    "label_smoothing": Switch({"label_smoothing": 0.1}, {"label_smoothing": 0.0}),
    "focal_loss": Switch({"fl_gamma": 1.5}, {"fl_gamma": 0.0}),
    "class_weights": Switch({"class_weights": 0.5}, {"class_weights": 0.0}),
    "mosaic": Switch({"mosaic": 1.0}, {"mosaic": 0.0}),
    "close_mosaic": Switch({"close_mosaic": 10}, {"close_mosaic": 0}),
    "mixup": Switch({"mixup": 0.1}, {"mixup": 0.0}),
    "copy_paste": Switch({"copy_paste": 0.1}, {"copy_paste": 0.0}),
    "random_perspective": Switch(
        {"translate": 0.1, "scale": 0.5, "degrees": 0.0, "shear": 0.0, "perspective": 0.0},
        {"translate": 0.0, "scale": 0.0, "degrees": 0.0, "shear": 0.0, "perspective": 0.0},
    ),
    "colour_jitter": Switch({"hsv_h": 0.015, "hsv_s": 0.7, "hsv_v": 0.4}, {"hsv_h": 0.0, "hsv_s": 0.0, "hsv_v": 0.0}),
    "flips": Switch({"fliplr": 0.5, "flipud": 0.0}, {"fliplr": 0.0, "flipud": 0.0}),
    "mixed_precision": Switch({"amp": "auto"}, {"amp": "off"}),
}
"""`...` stands for what the run must be given itself."""
ALIASES = {
    "anchors": "autoanchor",
    "hsv": "colour_jitter",
    "color_jitter": "colour_jitter",
    "fl_gamma": "focal_loss",
    "nominal_batch": "accumulation",
    "clip_norm": "clipping",
    "weights": "pretrained_start",
    "freeze": "freezing",
    "amp": "mixed_precision",
}
"""Other names that people know."""
ONLY_WITH_ANCHORS = ("autoanchor",)
NOT_OF_ALL = ("schedule", "freezing", "mixed_precision")
"""What `all` leaves out: it shares an option with another technique, or is not there to make results better."""
FORM = "'NAME: {on: {OPTION: VALUE}, off: {OPTION: VALUE}}'"


def choose(names: Sequence[str], config: TrainConfig, file: Path | None = None) -> dict[str, Switch]:
    """The techniques of an ablation, on as in the run itself where it has them on.

    Args:
        names: of techniques; `all` for those that are on in the run, and those of the file.
        config: the run.
        file: a YAML file of further techniques, `NAME: {on: {...}, off: {...}}` a line.

    Raises:
        InputError: one is unknown, means nothing to the model, or shares an option with another.
    """
    own = {} if file is None else _read(file, config)
    chosen: dict[str, Switch] = {}
    for given in names:
        name = given.strip().replace("-", "_")
        name = ALIASES.get(name, name)
        if name in own:
            chosen[name] = own[name]
        elif name == "all":
            chosen |= {each: _of_run(each, config) for each in TABLE if each not in NOT_OF_ALL and is_on(each, config)}
            chosen |= own
        elif name in TABLE:
            chosen[name] = _of_run(name, config)
        else:
            raise InputError(f"--techniques: unknown technique '{given}'. {did_you_mean(name, [*TABLE, *own, 'all'])}")
    if not chosen:
        raise InputError("--techniques: names none. Give some, e.g. --techniques mosaic,ema,warmup, or all.")
    _check(chosen)
    return chosen


def is_on(name: str, config: TrainConfig) -> bool:
    """Whether a run has a technique of the table on."""
    if name in ONLY_WITH_ANCHORS and not config.family.anchors:
        return False
    now = _now(config)
    if name == "cos_lr":
        return bool(now["lr_schedule"] == "cosine")
    return any(now[option] != value for option, value in TABLE[name].off.items())


def _now(config: TrainConfig) -> dict[str, Any]:
    """A run's options, the schedule by its one name."""
    flat = config.flat()
    return flat | {"lr_schedule": "cosine" if config.schedule.cos_lr else config.schedule.lr_schedule or "linear"}


def _of_run(name: str, config: TrainConfig) -> Switch:
    """A technique of the table, on as the run has it where it does.

    Raises:
        InputError: it means nothing to the model, or needs an option that was not given.
    """
    switch, now = TABLE[name], _now(config)
    if name in ONLY_WITH_ANCHORS and not config.family.anchors:
        raise InputError(f"--techniques: '{name}' means nothing to {config.model.model}, which has no anchors.")
    if is_on(name, config):
        return Switch({option: now[option] for option in switch.off}, switch.off)
    missing = [option for option, value in switch.on.items() if value is ...]
    if missing:
        raise InputError(f"--techniques: '{name}' needs --{missing[0]}. Give it, or leave the technique out.")
    return switch


def _read(file: Path, config: TrainConfig) -> dict[str, Switch]:
    """The techniques of a user's file.

    Raises:
        InputError: the file cannot be used.
    """
    switches = {}
    for name, given in read_mapping(file).items():
        place = f"{file}:{line_of_key(file, str(name))}"
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
            build_config({**config.flat(), **options}, place)
            sides[side] = options
        now = config.flat()
        known = [*sides["on"], *sides["off"]]
        switches[str(name).replace("-", "_")] = Switch(
            *({option: sides[side].get(option, now[option]) for option in known} for side in ("on", "off"))
        )
    return switches


def _check(chosen: Mapping[str, Switch]) -> None:
    """Whether techniques can be switched each by itself.

    Raises:
        InputError: two of them set the same option.
    """
    for (one, first), (other, second) in combinations(chosen.items(), 2):
        shared = first.on.keys() & second.on.keys()
        if shared:
            raise InputError(
                f"--techniques: '{one}' and '{other}' both set --{min(shared).replace('_', '-')}, so neither can be "
                "switched by itself. Leave one out."
            )
