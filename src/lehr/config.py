"""The options of a training run: small typed groups with flat names, the same in the shell, in YAML and in Python."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lehr.errors import InputError, did_you_mean

STRIDE = 32
"""The largest stride of every family; image sizes are multiples of it."""


def rounded_size(imgsz: int) -> int:
    """An image size in pixels, rounded up to a multiple of the largest stride."""
    return -(-imgsz // STRIDE) * STRIDE


Probability = Annotated[float, Field(ge=0, le=1)]


class _Options(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class DataOptions(_Options):
    """Where the images come from and how they reach the model."""

    data: str = "shapes"
    """A data YAML, a folder, a VOC folder, a COCO JSON, or `shapes` (generated)."""
    imgsz: int | None = Field(None, ge=1)
    """Image size, pixels: the side of the square the model sees; rounded up to a multiple of 32
    (unset: 640, for `shapes` 128)."""
    batch: int = Field(16, ge=1)
    """Images a step."""
    workers: int | None = Field(None, ge=0)
    """Processes that load and augment; 0 loads in the training process (unset: 0 on a CPU, else up to 8)."""
    cache: Literal["ram", "disk", "none"] = "ram"
    """Where decoded images are kept: memory shared by all workers, a file in the cache folder, or nowhere."""
    skip_broken: bool = False
    """Train without the images that are broken, or whose label file is; otherwise they stop the run."""


class ModelOptions(_Options):
    """Which model is trained."""

    model: str = "yolov8n"
    """Model name: yolov8n, yolov8s, yolov8m, yolov8l or yolov8x."""
    weights: Path | None = None
    """Weights to start from, a .safetensors file; layers that fit are taken (unset: random weights)."""


class ScheduleOptions(_Options):
    """Optimizer, learning rates and their course over the run."""

    epochs: int | None = Field(None, ge=1)
    """Epochs (unset: 100, for `shapes` 18)."""
    optimizer: Literal["auto", "SGD", "AdamW"] = "auto"
    """`auto`: SGD above 10,000 iterations, else AdamW."""
    lr0: float | None = Field(None, gt=0)
    """Learning rate after warmup (unset: SGD 0.01, AdamW 0.01/(4 + classes))."""
    lrf: float = Field(0.01, gt=0, le=1)
    """Final learning rate, as a fraction of lr0."""
    momentum: float | None = Field(None, ge=0, lt=1)
    """SGD momentum or AdamW's beta1 (unset: 0.937; with `auto` 0.9)."""
    weight_decay: float = Field(5e-4, ge=0)
    """Weight decay of the weights (not of biases and norms), at the nominal batch."""
    cos_lr: bool = False
    """Cosine course of the learning rate instead of linear."""
    warmup_epochs: float = Field(3.0, ge=0)
    """Epochs of gradual warmup, at least 100 steps; 0 turns it off."""
    warmup_momentum: float = Field(0.8, ge=0, lt=1)
    """Momentum at the start of the warmup."""
    warmup_bias_lr: float | None = Field(None, ge=0)
    """Learning rate of the biases at the start of the warmup (unset: SGD 0.1, AdamW 0)."""
    nominal_batch: int = Field(64, ge=1)
    """Images an optimizer step: gradients of several batches accumulate to it."""
    clip_norm: float = Field(10.0, gt=0)
    """Largest norm of the gradient."""
    ema_decay: float = Field(0.9999, ge=0, lt=1)
    """Decay of the moving average of the weights; 0 turns it off."""
    ema_tau: float = Field(2000.0, gt=0)
    """Updates over which that decay rises."""
    patience: int = Field(100, ge=0)
    """Epochs without a better result before the run stops; 0 never stops early."""


class LossOptions(_Options):
    """Gains of the loss's parts."""

    box: float = Field(7.5, ge=0)
    """Gain of the box loss."""
    cls: float = Field(0.5, ge=0)
    """Gain of the class loss."""
    dfl: float = Field(1.5, ge=0)
    """Gain of the distribution focal loss."""
    least_side: float = Field(0.0, ge=0)
    """Objects with shorter sides look for candidate points as if these were this long, pixels, e.g. 16; 0 is off."""


class AugmentOptions(_Options):
    """What is done to the training images."""

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


class RunOptions(_Options):
    """Where the run happens and what it leaves."""

    device: str = "auto"
    """auto, cpu, cuda, mps or a CUDA index such as 0; `auto` falls back to the CPU."""
    seed: int = Field(0, ge=0, lt=2**63)
    """Seed of everything random."""
    project: Path = Path("runs")
    """Folder that holds the runs."""
    name: str | None = None
    """Name of the run's folder (unset: train, train-2, ...)."""


GROUPS: dict[str, type[_Options]] = {
    "data": DataOptions,
    "model": ModelOptions,
    "schedule": ScheduleOptions,
    "loss": LossOptions,
    "augment": AugmentOptions,
    "run": RunOptions,
}


class TrainConfig(_Options):
    """Everything that decides a training run."""

    data: DataOptions = DataOptions()
    model: ModelOptions = ModelOptions()
    schedule: ScheduleOptions = ScheduleOptions()
    loss: LossOptions = LossOptions()
    augment: AugmentOptions = AugmentOptions()
    run: RunOptions = RunOptions()

    @property
    def imgsz(self) -> int:
        """Side of the training square, pixels: the one asked for, rounded up to a multiple of 32."""
        return rounded_size(self.data.imgsz or 640)

    @property
    def epochs(self) -> int:
        """Epochs of the run."""
        return self.schedule.epochs or 100

    def flat(self) -> dict[str, Any]:
        """Every option by its flat name, as plain values for YAML."""
        return {name: value for group in GROUPS for name, value in getattr(self, group).model_dump(mode="json").items()}


def option_names() -> dict[str, str]:
    """Every option's flat name and the group it lives in."""
    return {name: group for group, options in GROUPS.items() for name in options.model_fields}


SHAPES = {"imgsz": 128, "epochs": 18, "nominal_batch": 16, "lr0": 0.002, "close_mosaic": 12}
"""What is not asked for otherwise when training on `shapes`: small pictures, and few steps that all count."""


def build_config(options: dict[str, Any], source: str = "options") -> TrainConfig:
    """A validated configuration from flat options.

    Args:
        options: values by flat name, with underscores or hyphens.
        source: what to name in messages, e.g. a YAML file.

    Raises:
        InputError: an unknown name (with the nearest known one) or a value out of range.
    """
    groups = option_names()
    grouped: dict[str, dict[str, Any]] = {group: {} for group in GROUPS}
    for key, value in options.items():
        name = str(key).replace("-", "_")
        if name not in groups:
            raise InputError(f"{source}: unknown option '{key}'. {did_you_mean(name, groups)}")
        grouped[groups[name]][name] = value
    if grouped["data"].get("data", "shapes") == "shapes":
        for name, value in SHAPES.items():
            if grouped[groups[name]].get(name) is None:
                grouped[groups[name]][name] = value
    try:
        return TrainConfig.model_validate(grouped)
    except ValidationError as error:
        raise InputError(describe_validation(error, source)) from None


def describe_validation(error: ValidationError, source: str = "options") -> str:
    """One line an invalid option: its name, what was given, and what is allowed."""
    lines = []
    for item in error.errors(include_url=False):
        name = str(item["loc"][-1] if item["loc"] else "?").replace("_", "-")
        message = item["msg"].removeprefix("Input should be ").removeprefix("Value error, ")
        lines.append(f"{source}: --{name} is {item['input']!r}; it must be {message}.")
    return "\n".join(dict.fromkeys(lines))


def read_config_file(path: Path) -> dict[str, Any]:
    """Flat options from a YAML file such as a run's config.yaml.

    Raises:
        InputError: the file is missing, is not YAML, or is not a mapping.
    """
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Give an existing YAML file.") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: is not valid YAML: {error}") from None
    if content is None:
        return {}
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold options as 'name: value' lines.")
    return {str(key): value for key, value in content.items()}
