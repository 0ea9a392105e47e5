"""The options of a run as the shell gives them: shared by every command that is about a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from cyclopts import Group, Parameter

from lehr.callbacks.names import code_notice, split_code
from lehr.config import TrainConfig, build_config
from lehr.hyperparameters import read_hyperparameters
from lehr.options import (
    AugmentOptions,
    DataOptions,
    DeviceOptions,
    LossOptions,
    ModelOptions,
    Options,
    RunOptions,
    ScheduleOptions,
    SpeedOptions,
)
from lehr.yaml_files import read_mapping

FIRST = {name: Group(name, sort_key=number) for number, name in enumerate(("Evolution", "Ablation", "Study"))}
"""Groups that help shows before those of a run."""
Data = Annotated[DataOptions, Parameter(name="*", group="Data")]
Model = Annotated[ModelOptions, Parameter(name="*", group="Model")]
Schedule = Annotated[ScheduleOptions, Parameter(name="*", group="Schedule")]
Loss = Annotated[LossOptions, Parameter(name="*", group="Loss")]
Augment = Annotated[AugmentOptions, Parameter(name="*", group="Augmentation")]
Speed = Annotated[SpeedOptions, Parameter(name="*", group="Speed")]
Devices = Annotated[DeviceOptions, Parameter(name="*", group="Devices")]
Run = Annotated[RunOptions, Parameter(name="*", group="Run")]
Config = Annotated[
    Path | None,
    Parameter(help="Options from a YAML file, such as a run's config.yaml; those given here win.", group="Files"),
]
Hyp = Annotated[
    str | None,
    Parameter(
        help="A YOLOv5 hyperparameter file (hyp.*.yaml), or a preset: low, medium, high, fine-tuning; options given "
        "here win. Implies --optimizer SGD.",
        group="Files",
    ),
]


def merged(*groups: Options, config: Path | None, hyp: str | None) -> TrainConfig:
    """The configuration of a run: the file's options, over them the hyperparameters', over them the shell's.

    Args:
        groups: the groups of options that the shell gave.
        config: a YAML file of options.
        hyp: a hyperparameter file or preset.

    Raises:
        InputError: a file cannot be used, or a value is out of range.
    """
    given = given_options(*groups)
    options: dict[str, Any] = {}
    if config is not None:
        options = {name.replace("-", "_"): value for name, value in read_mapping(config).items()}
        build_config(options, str(config))
    if hyp is not None:
        model = given.get("model") or options.get("model") or ModelOptions().model
        read = read_hyperparameters(hyp, model)
        options = {name: value for name, value in options.items() if name not in read.values} | {"hyp": hyp}
    options, notes = without_code(options, config)
    settings = build_config(options | given)
    return settings.model_copy(update={"notes": (*settings.notes, *notes)})


def without_code(options: dict[str, Any], file: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Leave out callbacks that a file names as code, since a file may come from anybody; say so, a line each.

    Args:
        options: by name, as the file has them.
        file: the file.
    """
    kept, left_out = split_code(options.get("callback") or ())
    if not left_out:
        return options, []
    return {**options, "callback": kept}, [code_notice(str(file), left_out)]


def given_options(*groups: Options) -> dict[str, Any]:
    """The options that the shell gave, by flat name."""
    return {name: getattr(group, name) for group in groups for name in group.model_fields_set}
