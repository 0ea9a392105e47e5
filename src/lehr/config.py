"""The configuration of a run: all groups of options together, from the shell, from YAML or from Python."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from lehr.augment.closing import closing_epochs
from lehr.errors import InputError, did_you_mean, shown
from lehr.hyperparameters import read_hyperparameters
from lehr.models.family import Family, find_family, known_case
from lehr.models.scale import rounded_size
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
    option_names,
)
from lehr.options.other_names import describe_other_name
from lehr.runtime.invalid_values import expected_value

DEFAULT_BATCH = 16
"""Default number of images per step."""
BEGUN_IN = "begun_in"
"""Key in a run's config.yaml next to its options: the folder that relative paths are relative to."""


class TrainConfig(Options):
    """Everything that decides a training run."""

    data: DataOptions = DataOptions()
    model: ModelOptions = ModelOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    loss: LossOptions = LossOptions()
    augment: AugmentOptions = AugmentOptions()
    speed: SpeedOptions = SpeedOptions()
    devices: DeviceOptions = DeviceOptions()
    run: RunOptions = RunOptions()
    notes: tuple[str, ...] = ()
    """Notes on the input, such as unused parts, one line each."""
    begun_in: Path | None = None
    """Folder that relative paths are relative to (unset: where the process works)."""
    given: frozenset[str] = frozenset()
    """Options that the user gave, by flat name; two configurations that differ in nothing else are equal."""

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, TrainConfig):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in type(self).model_fields if name != "given")

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in type(self).model_fields if name != "given"))

    @property
    def imgsz(self) -> int:
        """Side of the training square, pixels: the one asked for, rounded up to a multiple of 32."""
        return rounded_size(self.data.imgsz or 640)

    @property
    def epochs(self) -> int:
        """Epochs of the run."""
        return self.schedule.epochs or 100

    @property
    def family(self) -> Family:
        """The family of the model.

        Raises:
            InputError: there is no such model.
        """
        return find_family(self.model.model)

    @property
    def batch(self) -> int:
        """Images per step; the default where it is to be measured and has not been yet."""
        batch = self.data.batch
        return batch if isinstance(batch, int) else DEFAULT_BATCH

    def with_batch(self, batch: int) -> TrainConfig:
        """The same run with a count of images per step."""
        return self.model_copy(update={"data": self.data.model_copy(update={"batch": batch})})

    def flat(self) -> dict[str, Any]:
        """Every option by its flat name, as plain values for YAML."""
        return {name: value for group in GROUPS for name, value in getattr(self, group).model_dump(mode="json").items()}

    def for_file(self) -> dict[str, Any]:
        """Every option by its flat name, and the folder that relative paths among them are relative to."""
        flat = self.flat()
        paths = [flat["data"], flat["keep_val"], flat["skip"], flat["weights"]]
        if not any(is_relative(path) for path in paths if path is not None):
            return flat
        try:
            return {**flat, BEGUN_IN: str(self.begun_in or Path.cwd())}
        except OSError:  # the folder has been removed
            return flat


def is_relative(source: str) -> bool:
    """Return whether a source of data, or a path, depends on the folder in which it is named."""
    return source != "shapes" and not source.startswith("~") and not Path(source).is_absolute()


SHAPES = {"imgsz": 128, "epochs": 18, "close_mosaic": 12}
"""Defaults for training on `shapes`: small images, and few epochs; a family may differ."""
SHAPES_LR0 = 0.002
"""The rate there, where the optimizer is chosen automatically."""


def build_config(
    options: Mapping[str, Any], source: str = "options", given_now: Collection[str] | None = None
) -> TrainConfig:
    """A validated configuration from flat options.

    Args:
        options: values by flat name, with underscores or hyphens; `hyp` names a preset or a YOLOv5 hyperparameter
            file, whose values hold where nothing else is given.
        source: what to name in messages, e.g. a YAML file.
        given_now: those of the options that the user named; others count as given where their value is not the default,
            as in a file that holds them all. None for all that are not None.

    Raises:
        InputError: an unknown name (with the nearest known one) or a value out of range.
    """
    groups = option_names()
    given: dict[str, Any] = {}
    begun_in = options.get(BEGUN_IN)
    for key, value in options.items():
        name = str(key).replace("-", "_")
        if name == BEGUN_IN:
            continue
        if name not in groups and name != "hyp":
            known = [*groups, "hyp"]
            other = describe_other_name(name, known)
            if other is not None:
                raise InputError(f"{source}: there is no {name}{other}")
            raise InputError(f"{source}: unknown option {shown(key)}. {did_you_mean(name, known)}")
        given[name] = known_case(value) if name == "model" and isinstance(value, str) else value
    family = find_family(str(given.get("model") or ModelOptions().model))
    hyp = given.pop("hyp", None)
    notes: tuple[str, ...] = ()
    if hyp is not None:
        read = read_hyperparameters(hyp, str(given.get("model") or ModelOptions().model))
        notes = read.notes
        _validated(read.values, f"--hyp {hyp}")  # separately, so that a message names the file
        unset = {name for name, value in given.items() if value is None or (name, value) == ("optimizer", "auto")}
        given = {**read.values, **{name: value for name, value in given.items() if name not in unset}}
    config = _validated(given | _automatic_on_shapes(given, family), source)
    named = {name for name in given if given[name] is not None} if given_now is None else set(given_now)
    now, default = config.flat(), TrainConfig().flat()
    named |= {name for name in given if now[name] != default[name]}
    place = None if begun_in is None else Path(str(begun_in))
    more = {"notes": notes, "given": frozenset(named & groups.keys()), "begun_in": place}
    return config.model_copy(update=more)


def _automatic_on_shapes(given: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """Defaults for training on `shapes` of options that are not given; none on other data.

    A run of fewer epochs than the default's closes mosaic as on other data: the default's number is part of its length.
    """
    if given.get("data", "shapes") != "shapes":
        return {}
    automatic = {**SHAPES, **family.on_shapes}
    if given.get("optimizer", "auto") == "auto" and given.get("weights") is None:
        automatic["lr0"] = SHAPES_LR0 * _multiple(given)
    epochs = given.get("epochs")
    if isinstance(epochs, int) and epochs < automatic["epochs"]:
        automatic["close_mosaic"] = closing_epochs(None, epochs)
    return {name: value for name, value in automatic.items() if given.get(name) is None}


def _multiple(given: Mapping[str, Any]) -> float:
    """Return the multiple of the rate in unchecked options; 1 if it is unusable."""
    multiple = given.get("lr0_mult")
    return float(multiple) if isinstance(multiple, int | float) and multiple > 0 else 1.0


def _validated(given: Mapping[str, Any], source: str) -> TrainConfig:
    grouped: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    groups = option_names()
    for name, value in given.items():
        grouped[groups[name]][name] = value
    try:
        config = TrainConfig.model_validate(grouped)
    except ValidationError as error:
        raise InputError(describe_validation(error, source)) from None
    data = config.data
    if (data.grid_min is None) != (data.grid_max is None):
        raise InputError(f"{source}: --grid-min and --grid-max belong together; give both or neither.")
    if data.grid_min is not None and data.grid_max is not None and data.grid_min > data.grid_max:
        raise InputError(f"{source}: --grid-min {data.grid_min} is above --grid-max {data.grid_max}.")
    if data.replay > 0 and data.keep_val is None:
        raise InputError(f"{source}: --replay {data.replay:g} needs --keep-val DATA, whose training images it shows.")
    _check_dp(config, source)
    _check_scores(config.loss, source)
    if config.augment.augmentation:
        from lehr.augment.augmentation import find_augmentation, is_code, probabilities

        for name, _ in probabilities(config.augment.augmentation):
            if not is_code(name):  # code is imported by the run, not when its options are read
                find_augmentation(name)
    if config.devices.sync_bn and config.speed.compile != "off":
        raise InputError(
            f"{source}: --sync-bn and --compile {config.speed.compile} do not go together, since BatchNorm then waits "
            "for other processes within the compiled step; give one."
        )
    if data.grid_min is not None and data.multi_scale > 0:
        raise InputError(f"{source}: --multi-scale and --grid-min are two ways to say the same; give one.")
    return config


def _check_dp(config: TrainConfig, source: str) -> None:
    """Check that options go together with DataParallel.

    Raises:
        InputError: they do not.
    """
    if config.devices.parallel != "dp":
        return
    for given, option in ((config.devices.sync_bn, "--sync-bn"), (config.speed.compile != "off", "--compile")):
        if given:
            raise InputError(
                f"{source}: --parallel dp and {option} do not go together; use --parallel ddp, or give one."
            )


def _check_scores(loss: LossOptions, source: str) -> None:
    """Check that options of the class loss go together.

    Raises:
        InputError: they do not.
    """
    if loss.cls_loss != "bce" and loss.fl_gamma > 0:
        raise InputError(
            f"{source}: --cls-loss {loss.cls_loss} and --fl-gamma {loss.fl_gamma:g} are two forms of focal loss; give "
            "one."
        )
    if loss.cls_loss == "vfl" and loss.label_smoothing > 0:
        raise InputError(
            f"{source}: --cls-loss vfl and --label-smoothing do not go together, since varifocal loss takes every "
            "target above 0 for an object; give one, or --cls-loss qfl."
        )


def describe_validation(error: ValidationError, source: str = "options") -> str:
    """One line an invalid option: its name, what was given, and what is allowed."""
    lines, start = [], source and f"{source}: "
    for item in error.errors(include_url=False):
        name = str(item["loc"][-1] if item["loc"] else "?").replace("_", "-")
        lines.append(f"{start}--{name} is {shown(item['input'])}; it must be {expected_value(item)}.")
    return "\n".join(dict.fromkeys(lines))
