"""The options of a training run: small typed groups with flat names, the same in the shell, in YAML and in Python."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

Probability = Annotated[float, Field(ge=0, le=1)]


@dataclass(frozen=True, slots=True)
class OnResume:
    """Marks an option that a run may be given anew when it goes on.

    Attributes:
        only: which values it may be given; empty for any.
    """

    only: str = ""


@dataclass(frozen=True, slots=True)
class PerMachine:
    """Marks an option that each machine which works on a study has its own value of."""


@dataclass(frozen=True, slots=True)
class AddedLater:
    """Marks an option that came after runs and studies had been written without it: they go on with its default.

    Nothing may change under that default. Any other option that the config.yaml of a run lacks was cut off.
    """


ON_RESUME, PER_MACHINE, ADDED_LATER = OnResume(), PerMachine(), AddedLater()


class Options(BaseModel):
    """A group of options; frozen, and without unknown names."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    fixed_because: ClassVar[str] = ""
    """Why an option of this group without `OnResume` cannot change when a run goes on."""

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
    """Return the one name of a `Literal` that a value is but for its case; the value itself where there is none."""
    if not isinstance(value, str):
        return value
    parts = [annotation, *get_args(annotation)]
    names = [name for part in parts if get_origin(part) is Literal for name in get_args(part) if isinstance(name, str)]
    alike = [name for name in names if name.casefold() == value.casefold()]
    return alike[0] if value not in names and len(alike) == 1 else value


class DataOptions(Options):
    """Images, and their way to the model."""

    fixed_because = "the batches to come would be others than the run's"

    data: Annotated[str, OnResume("the same, elsewhere"), PER_MACHINE] = "shapes"
    """A data YAML, a folder, a VOC folder, a COCO JSON, or `shapes` (generated); FORMAT:SOURCE names the format."""
    imgsz: int | None = Field(None, ge=1)
    """Image size, pixels: side of the model's square; rounded up to a multiple of 32 (unset: 640, for `shapes` 128)."""
    batch: int | float | Literal["auto"] = 16
    """Images a step; or `auto`, or a share of the device's memory such as 0.7, to have it measured."""
    workers: Annotated[int | None, ON_RESUME, PER_MACHINE] = Field(None, ge=0)
    """Processes that load and augment; 0 loads in the training process (unset: 0 on a CPU, else up to 8)."""
    cache: Annotated[Literal["ram", "disk", "none"], ON_RESUME, PER_MACHINE] = "ram"
    """Place of decoded images: memory shared by all workers, a file in the cache folder, or nowhere."""
    skip_broken: bool = False
    """Train without the images that are broken, or whose label file is; otherwise they stop the run."""
    single_cls: bool = False
    """Treat all classes as one: find objects, whatever they are."""
    rect: bool = False
    """Batches of like shape in the smallest rectangle instead of squares; turns mosaic off."""
    image_weights: bool = False
    """Draw images the more often the rarer and the worse detected their classes are."""
    multi_scale: float = Field(0.0, ge=0, lt=1)
    """A new size each step, from 1 - this to 1 + this times imgsz, e.g. 0.5; 0 is off."""
    grid_min: int | None = Field(None, ge=2)
    """With --grid-max: a new size each step, from this many cells of 32 pixels on."""
    grid_max: int | None = Field(None, ge=2)
    """With --grid-min: a new size each step, up to this many cells of 32 pixels."""

    @field_validator("batch", mode="before")
    @classmethod
    def _count_or_share(cls, value: Any) -> Any:
        """A count, a share, or `auto`, whose familiar form is -1."""
        with contextlib.suppress(TypeError, ValueError):
            number = float(value)
            if number == -1:
                return "auto"
            if number >= 1 and number == int(number):
                return int(number)
            if 0 < number < 1:
                return number
        if value == "auto":
            return value
        raise ValueError("a count greater than or equal to 1, a share of the memory between 0 and 1, or auto")


class ModelOptions(Options):
    """Model, and the start of its weights."""

    fixed_because = "the weights and the optimizer's moments belong to the run's model"

    model: str = "yolov8n"
    """Model name: yolov8 or yolov5 with n, s, m, l or x; or yolov3-spp."""
    depth: float | None = Field(None, gt=0, le=10)
    """Multiple of the blocks' repeats (unset: that of the model's name)."""
    width: float | None = Field(None, gt=0, le=10)
    """Multiple of the channels (unset: that of the model's name)."""
    weights: Path | None = None
    """Weights to start from, a .safetensors file; layers that fit are taken (unset: random weights)."""
    freeze: str | None = None
    """Layers that stay as they are: the count of first layers, or names such as model.0,model.4.cv1 (unset: none)."""
    autoanchor: bool = True
    """Fit the anchors to the data where fewer than 98% of the objects have one of like shape."""
    anchors: int = Field(3, ge=1, le=20)
    """Anchors a level, for families that have anchors."""
    frequency_bias: bool = False
    """Start the class biases at each class's share of the objects instead of all alike."""

    @field_validator("freeze", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """YAML and Python may give a count or a list."""
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class ScheduleOptions(Options):
    """Optimizer, learning rates and their course over the run."""

    fixed_because = "the optimizer's moments and the course of the rates belong to the run's own values"

    epochs: Annotated[int | None, OnResume("more")] = Field(None, ge=1)
    """Epochs (unset: 100, for `shapes` 18, with anchors 24)."""
    optimizer: Literal["auto", "SGD", "Adam", "AdamW", "RMSProp", "NAdam", "RAdam"] = "auto"
    """`auto`: SGD above 10,000 iterations, else AdamW."""
    lr0: float | None = Field(None, gt=0)
    """Learning rate after warmup (unset: SGD 0.01, the Adam family 0.01/(4 + classes), RMSProp a tenth of that)."""
    lrf: float = Field(0.01, gt=0, le=1)
    """Final learning rate, as a fraction of lr0."""
    momentum: float | None = Field(None, ge=0, lt=1)
    """Momentum, or beta1 of the Adam family (unset: 0.937; with `auto` 0.9)."""
    weight_decay: float = Field(5e-4, ge=0)
    """Weight decay of the weights (not of biases and norms), at the nominal batch."""
    lr_schedule: Literal["linear", "cosine", "restarts", "exponential", "constant"] | None = None
    """Course of the learning rate from lr0 to lr0 * lrf (unset: linear)."""
    cos_lr: bool = False
    """The familiar name of --lr-schedule cosine."""
    restart_epochs: float = Field(10.0, gt=0)
    """Epochs to the first restart of --lr-schedule restarts."""
    restart_factor: float = Field(2.0, ge=1)
    """Factor by which each further course is longer, of --lr-schedule restarts."""
    warmup: Literal["gradual", "constant", "linear", "cosine", "first-epoch", "none"] = "gradual"
    """Kind of warmup: each group by itself; a rise of all rates that then holds or falls; YOLOv3's first epoch."""
    warmup_epochs: float | None = Field(None, ge=0)
    """Epochs of warmup, at least 100 steps; 0 turns it off (unset: 3, or less in a short run)."""
    warmup_momentum: float = Field(0.8, ge=0, lt=1)
    """Momentum at the start of the gradual warmup."""
    warmup_bias_lr: float | None = Field(None, ge=0)
    """Learning rate of the biases at the start of the gradual warmup (unset: SGD 0.1, others 0)."""
    nominal_batch: int | None = Field(None, ge=1)
    """Images an optimizer step: gradients accumulate to it (unset: 64, with `auto` less where the run is short)."""
    clip_norm: float = Field(10.0, ge=0)
    """Largest norm of the gradient; 0 is no bound."""
    ema_decay: float = Field(0.9999, ge=0, lt=1)
    """Decay of the moving average of the weights; 0 turns it off."""
    ema_tau: float = Field(2000.0, gt=0)
    """Updates over which that decay rises."""
    patience: Annotated[int, ON_RESUME] = Field(100, ge=0)
    """Epochs without a better result before the run stops; 0 never stops early."""
    skip_limit: int = Field(3, ge=0)
    """Optimizer steps in a row that may be skipped, not being finite, before the run is rolled back; 0 never is."""
    rollbacks: int = Field(3, ge=0)
    """Times that a run goes back so before it stops."""
    rollback_lr: float = Field(0.5, gt=0, le=1)
    """Factor of the learning rates each time it has gone back."""


class LossOptions(Options):
    """Gains of the loss's parts, and its variations."""

    fixed_because = "the losses before and after could not be compared"

    box: float | None = Field(None, ge=0)
    """Gain of the box loss (unset: YOLOv8 7.5, with anchors 0.05)."""
    cls: float | None = Field(None, ge=0)
    """Gain of the class loss (unset: 0.5, for `shapes` with anchors 1)."""
    dfl: float = Field(1.5, ge=0)
    """Gain of the distribution focal loss, YOLOv8."""
    obj: float = Field(1.0, ge=0)
    """Gain of the objectness loss, families with anchors."""
    cls_pw: float = Field(1.0, gt=0)
    """Weight of the positive term of the class loss."""
    obj_pw: float = Field(1.0, gt=0)
    """Weight of the positive term of the objectness loss, families with anchors."""
    fl_gamma: float = Field(0.0, ge=0, le=10)
    """Exponent of the focal loss of classes and objectness, e.g. 1.5; 0 is off."""
    label_smoothing: float = Field(0.0, ge=0, lt=1)
    """Share by which class targets are pulled towards the middle, e.g. 0.1; 0 is off."""
    class_weights: float = Field(0.0, ge=0, le=2)
    """Power of the inverse class frequency that weighs the class loss: 0 is off, 0.5 mild, 1 full."""
    anchor_t: float = Field(4.0, gt=1)
    """Largest ratio of an object's and a matching anchor's sides, families with anchors."""
    least_side: float = Field(0.0, ge=0)
    """Objects with shorter sides find candidate points as if these were this long, pixels, YOLOv8; 0 is off."""


class AugmentOptions(Options):
    """Changes to the training images."""

    fixed_because = "the images before and after would be drawn in different ways"

    mosaic: Probability = 1.0
    """Probability of a mosaic of four images."""
    close_mosaic: int = Field(10, ge=0)
    """Last epochs without mosaic, mixup and copy-paste."""
    mixup: Probability = 0.0
    """Probability of blending with another image."""
    copy_paste: Probability = 0.0
    """Probability of pasting objects of another image."""
    degrees: float = Field(0.0, ge=0, le=180)
    """Rotation, degrees either way."""
    translate: float = Field(0.1, ge=0, le=0.9)
    """Shift, share of the image either way."""
    scale: float = Field(0.5, ge=0, le=0.9)
    """Zoom: a factor between 1 - scale and 1 + scale."""
    shear: float = Field(0.0, ge=0, le=45)
    """Shear, degrees either way."""
    perspective: float = Field(0.0, ge=0, le=0.001)
    """Perspective, share of the image a pixel."""
    hsv_h: float = Field(0.015, ge=0, le=1)
    """Hue, share of the circle either way."""
    hsv_s: float = Field(0.7, ge=0, le=1)
    """Saturation, share either way."""
    hsv_v: float = Field(0.4, ge=0, le=1)
    """Brightness, share either way."""
    flipud: Probability = 0.0
    """Probability of an upside-down flip."""
    fliplr: Probability = 0.5
    """Probability of a left-right flip."""
    augmentation: Annotated[tuple[str, ...], ADDED_LATER] = ()
    """An augmentation of an installed package, NAME or NAME=PROBABILITY; may be given several times."""

    @field_validator("augmentation", mode="before")
    @classmethod
    def _requests(cls, value: Any) -> Any:
        """One, a list, or a mapping from names to probabilities."""
        if isinstance(value, Mapping):
            return tuple(f"{name}={probability}" for name, probability in value.items())
        return (value,) if isinstance(value, str) else value

    @field_validator("augmentation")
    @classmethod
    def _named_once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        names = [each.partition("=")[0] for each in value]
        for each in value:
            name, equals, probability = each.partition("=")
            if not name or (equals and not _is_probability(probability)):
                raise ValueError("NAME or NAME=PROBABILITY, a probability between 0 and 1")
            if names.count(name) > 1:
                raise ValueError(f"names, each once; '{name}' is there twice")
        return value


class SpeedOptions(Options):
    """Use of the device: the same training, faster."""

    fixed_because = "the numbers before and after would be rounded in different ways"

    amp: Literal["auto", "bf16", "fp16", "off"] = "auto"
    """Mixed precision, checked on this model and its images first; `auto`: what the device has, bfloat16 or float16."""
    augment_on: Literal["auto", "cpu", "device"] = "auto"
    """Place where training samples are drawn; `auto`: on a GPU where there is one, else on the CPU."""
    compile: Annotated[Literal["off", "default", "max"], ON_RESUME] = "off"
    """torch.compile for model and loss; `max` also tries out kernels. Takes a while once, then is cached."""
    profile: Annotated[bool, ON_RESUME, PER_MACHINE] = False
    """End with a table of where the time went, and what to change."""

    @field_validator("amp", "compile", mode="before")
    @classmethod
    def _switch(cls, value: Any) -> Any:
        """YAML reads `off` as a boolean; and the familiar `amp: true` means `auto`."""
        return {False: "off", True: "auto"}.get(value, value) if isinstance(value, bool) else value


class DeviceOptions(Options):
    """Devices of the run: one, or several."""

    fixed_because = "the images that BatchNorm sees together would be others"

    device: Annotated[str, ON_RESUME, PER_MACHINE] = "auto"
    """auto, cpu, cuda, mps or a CUDA index such as 0, or several such as 0,1,2,3; `auto` falls back to the CPU."""
    processes: Annotated[int | None, ON_RESUME, PER_MACHINE] = Field(None, ge=1)
    """Processes on this machine that train together (unset: one for each device that is named)."""
    parallel: Annotated[Literal["ddp", "dp"], ON_RESUME] = "ddp"
    """Several devices: a process each (DistributedDataParallel), or one process for all (DataParallel, slower)."""
    sync_bn: bool = False
    """BatchNorm over the images of all processes instead of each one's own; for few images a device."""
    restarts: Annotated[int, ON_RESUME, PER_MACHINE] = Field(3, ge=0)
    """Times that the processes are started again after one was lost; they go on from the last checkpoint."""
    timeout: Annotated[float, ON_RESUME, PER_MACHINE] = Field(600.0, gt=0)
    """Seconds that a process waits for the others before it ends."""

    @field_validator("device", mode="before")
    @classmethod
    def _joined(cls, value: Any) -> Any:
        """YAML and Python may give an index or a list."""
        if isinstance(value, list | tuple):
            return ",".join(map(str, value))
        return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


class RunOptions(Options):
    """Seed and results of the run."""

    fixed_because = "it belongs to the run from its beginning"

    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of everything random."""
    project: Annotated[Path, PER_MACHINE] = Path("runs")
    """Folder that holds the runs."""
    name: Annotated[str | None, PER_MACHINE] = None
    """Name of the run's folder (unset: train, train-2, ...)."""
    checkpoint_minutes: Annotated[float, ON_RESUME, PER_MACHINE] = Field(5.0, gt=0)
    """Minutes between checkpoints within an epoch; there is one after each epoch in any case."""
    deterministic: bool = False
    """Repeat to the last bit on CUDA too, at a cost that is measured and told; a CPU always does."""
    callback: Annotated[tuple[str, ...], ON_RESUME, PER_MACHINE, ADDED_LATER] = ()
    """Listeners to the run, each the name of one that an installed package offers, or package.module:object."""
    strict_callbacks: Annotated[bool, ON_RESUME, PER_MACHINE, ADDED_LATER] = False
    """End the run, its state saved, when a callback fails; otherwise that is reported and the run goes on."""


def _is_probability(text: str) -> bool:
    try:
        return 0 <= float(text) <= 1
    except ValueError:
        return False


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


def option_names() -> dict[str, str]:
    """Every option's flat name and the group it lives in."""
    return {name: group for group, options in GROUPS.items() for name in options.model_fields}


def _marked(marker: type[Any]) -> dict[str, Any]:
    """The options with a marker of a kind, in the order of the groups, and the markers."""
    fields = ((name, field) for options in GROUPS.values() for name, field in options.model_fields.items())
    return {name: mark for name, field in fields for mark in field.metadata if isinstance(mark, marker)}


MAY_CHANGE: dict[str, str] = {name: mark.only for name, mark in _marked(OnResume).items()}
"""Options that a run may be given anew when it goes on, and which values of them; any where that is empty."""
LOCAL = frozenset(_marked(PerMachine))
"""Options that each machine of a study has its own of."""
MAY_LACK = frozenset(_marked(AddedLater))
"""Options that the config.yaml of a run, or the definition of a study, need not name."""


def describe_may_change() -> str:
    """The options that a run may be given anew, as the shell writes them: those that may be anything come first."""
    flags = {f"--{name.replace('_', '-')}": only for name, only in MAY_CHANGE.items()}
    told = [flag for flag, only in flags.items() if not only]
    told += [f"{flag} ({only})" for flag, only in flags.items() if only]
    return f"{', '.join(told[:-1])} and {told[-1]}"
