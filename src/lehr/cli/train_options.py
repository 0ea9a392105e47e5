"""The options of a run as the shell gives them: shared by every command that is about a run."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cyclopts import Parameter

from lehr.augment.augmentation import refuse_code
from lehr.callbacks.names import code_notice, split_code
from lehr.config import TrainConfig, build_config
from lehr.errors import InputError
from lehr.hyperparameters import read_hyperparameters
from lehr.options import (
    GROUPS,
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
from lehr.options.help_groups import HelpGroup
from lehr.yaml_files import read_mapping

Data = Annotated[DataOptions, Parameter(name="*", group=DataOptions.help_group)]
Model = Annotated[ModelOptions, Parameter(name="*", group=ModelOptions.help_group)]
Schedule = Annotated[ScheduleOptions, Parameter(name="*", group=ScheduleOptions.help_group)]
Loss = Annotated[LossOptions, Parameter(name="*", group=LossOptions.help_group)]
Augment = Annotated[AugmentOptions, Parameter(name="*", group=AugmentOptions.help_group)]
Speed = Annotated[SpeedOptions, Parameter(name="*", group=SpeedOptions.help_group)]
Devices = Annotated[DeviceOptions, Parameter(name="*", group=DeviceOptions.help_group)]
Run = Annotated[RunOptions, Parameter(name="*", group=RunOptions.help_group)]
Config = Annotated[
    Path | None,
    Parameter(
        help="YAML file of options, such as a run's config.yaml; options on the command line win.",
        group=HelpGroup.TRAINING,
    ),
]
Hyp = Annotated[
    str | None,
    Parameter(
        help="YOLOv5's hyp.*.yaml, or low, medium, high, fine-tuning. Other options win; all but fine-tuning use SGD.",
        group=HelpGroup.TRAINING,
    ),
]


@dataclass(frozen=True, slots=True)
class RunArguments:
    """The options of a run as a command takes them, in addition to its own.

    Attributes:
        config: a YAML file of options.
        hyp: a hyperparameter file or preset.
    """

    data: Data = DataOptions()
    model: Model = ModelOptions()
    schedule: Schedule = ScheduleOptions()
    loss: Loss = LossOptions()
    augment: Augment = AugmentOptions()
    speed: Speed = SpeedOptions()
    devices: Devices = DeviceOptions()
    run: Run = RunOptions()
    config: Config = None
    hyp: Hyp = None

    def given(self) -> dict[str, Any]:
        """Return the options that the shell gave, by flat name."""
        groups: list[Options] = [getattr(self, group) for group in GROUPS]
        return {name: getattr(group, name) for group in groups for name in group.model_fields_set}

    def settings(self) -> TrainConfig:
        """Merge the file's options, over them the hyperparameters', over them the shell's.

        Raises:
            InputError: a file cannot be used, or a value is out of range.
        """
        given = self.given()
        if "weights" in given:
            from lehr.integrations.hub import local_weights

            given["weights"] = local_weights(given["weights"])
        options: dict[str, Any] = {}
        said: list[str] = []
        if self.config is not None:
            options = {name.replace("-", "_"): value for name, value in read_mapping(self.config).items()}
            build_config(options, str(self.config))
        if "weights" in given and "model" not in {**options, **given}:
            given = {**_model_of(given["weights"]), **given}
            said = [f"The model is that of the weights, {given['model']}; --model names another."]
        if self.hyp is not None:
            model = given.get("model") or options.get("model") or ModelOptions().model
            read = read_hyperparameters(self.hyp, model)
            options = {name: value for name, value in options.items() if name not in read.values} | {"hyp": self.hyp}
        options, notes = without_code(options, self.config)
        if self.config is not None:
            from lehr.data.relocation import from_file

            options, found = from_file(options, self.config, given)
            notes += found
            if "weights" not in given:
                _offer_kept_start(options, self.config)
        if "augmentation" not in given:
            refuse_code(AugmentOptions.requests_in(options), (), str(self.config))
        settings = build_config(options | given, given_now=given)
        return settings.model_copy(update={"notes": (*settings.notes, *said, *notes)})


def _offer_kept_start(options: dict[str, Any], file: Path) -> None:
    """Refuse a run's options whose weights are not there any more where the run has kept what it took of them.

    Args:
        options: by name, their paths as they are called from here.
        file: the configuration of a run.

    Raises:
        InputError: that is so.
    """
    from lehr.checkpoint.run_folder import START

    weights, kept = options.get("weights"), file.parent / START
    if weights is not None and not Path(weights).exists() and kept.is_file():
        raise InputError(
            f"{file}: --weights {weights} is not there any more. {kept} holds what the run had taken from it; to start "
            f"from that, give --weights {kept}."
        )


def _model_of(weights: Path) -> dict[str, Any]:
    """Options of the model that weights belong to: without --model, the run continues with that model.

    Raises:
        InputError: the file is not a weights file.
    """
    from lehr.weights.source import open_weights

    details = open_weights(weights).details
    model = {"model": details.model, "depth": details.depth, "width": details.width}
    return model if details.anchors is None else {**model, "anchors": details.anchors_a_level}


RunParameter = Annotated[RunArguments, Parameter(name="*")]
"""The options of a run, for each command that is about one."""


def without_code(options: dict[str, Any], file: Path | None) -> tuple[dict[str, Any], list[str]]:
    """Skip callbacks that a file names as code, since a file may come from anybody; report each in a line.

    Args:
        options: by name, as the file has them.
        file: the file.
    """
    kept, left_out = split_code(options.get("callback") or ())
    if not left_out:
        return options, []
    return {**options, "callback": kept}, [code_notice(str(file), left_out)]
