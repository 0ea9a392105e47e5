"""Hyperparameter files as YOLOv5 writes them (`hyp.*.yaml`), and presets of the same kind.

A file is read unchanged: its names are Lehr's own, but for `iou_t`, which has no effect, and `anchors: 0`, which means
the default. The gains of a file or preset belong to the loss with anchors; YOLOv8 keeps its own. They were tuned for
SGD, so that is the optimizer unless another is named; `fine-tuning` leaves the choice to the length of the run. A file
that `lehr evolve` wrote names the family that its gains belong to, where that is another.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lehr.errors import InputError, did_you_mean, shown
from lehr.models.family import find_family
from lehr.options import AugmentOptions, LossOptions, ScheduleOptions
from lehr.yaml_files import line_of_key, read_mapping

_LOW: dict[str, float | str] = {
    "lr0": 0.01,
    "lrf": 0.01,
    "momentum": 0.937,
    "weight_decay": 5e-4,
    "warmup_momentum": 0.8,
    "warmup_bias_lr": 0.1,
    "box": 0.05,
    "cls": 0.5,
    "cls_pw": 1.0,
    "obj": 1.0,
    "obj_pw": 1.0,
    "anchor_t": 4.0,
    "fl_gamma": 0.0,
    "hsv_h": 0.015,
    "hsv_s": 0.7,
    "hsv_v": 0.4,
    "degrees": 0.0,
    "translate": 0.1,
    "scale": 0.5,
    "shear": 0.0,
    "perspective": 0.0,
    "flipud": 0.0,
    "fliplr": 0.5,
    "mosaic": 1.0,
    "mixup": 0.0,
    "copy_paste": 0.0,
}
_HIGH = {**_LOW, "lrf": 0.1, "cls": 0.3, "obj": 0.7, "scale": 0.9, "mixup": 0.1, "copy_paste": 0.1}
_RATES = ("lr0", "momentum", "warmup_bias_lr")
PRESETS: dict[str, dict[str, float | str]] = {
    "low": _LOW,
    "medium": {**_HIGH, "copy_paste": 0.0},
    "high": _HIGH,
    "fine-tuning": {
        **{name: value for name, value in _LOW.items() if name not in _RATES},
        "optimizer": "auto",
        "lr0_mult": 0.3,
        "lrf": 0.1,
        "warmup_bias_lr": 0.0,
        "hsv_s": 0.5,
        "hsv_v": 0.3,
    },
}
"""Augmentation from little to much, for training from random weights, as YOLOv5 publishes them; and for fine-tuning
from weights Lehr's own: lower rates than the run would have, biases that rise with the others, gentle colours."""

GAINS = ("box", "cls", "obj", "cls_pw", "obj_pw")
"""Gains of the loss with anchors, unless a file names another family."""
FAMILY = "family"
"""Name under which a file says to which family its gains belong, e.g. yolov8."""
WITHOUT_EFFECT = ("iou_t",)
MOST_ANCHORS = 1_000
"""Bound of what may be rounded; the option has a lower one."""


@dataclass(frozen=True, slots=True)
class Hyperparameters:
    """Options from a file or preset.

    Attributes:
        values: by option name.
        notes: what was read and is not used, one line each.
    """

    values: dict[str, Any]
    notes: tuple[str, ...] = ()


def read_hyperparameters(source: str | Path, model: str) -> Hyperparameters:
    """Options from a YOLOv5 hyperparameter file, or of a preset.

    Args:
        source: low, medium, high, fine-tuning, or a YAML file.
        model: the model's name; one without anchors keeps its own gains.

    Raises:
        InputError: there is no such file, preset or model, or it holds an unknown name.
    """
    if str(source) in PRESETS:
        given: dict[str, Any] = dict(PRESETS[str(source)])
    else:
        path = Path(source)
        if not path.suffix and not path.exists():
            raise InputError(f"--hyp {source}: neither a file nor a preset. {did_you_mean(str(source), PRESETS)}")
        given = _checked(read_mapping(path), path)
    notes = [
        f"--hyp {source}: {name} has no effect here." for name in WITHOUT_EFFECT if given.pop(name, None) is not None
    ]
    if isinstance(given.get("anchors"), int | float):  # a search may have left a fraction; 0 means the default
        if not abs(given["anchors"]) < MOST_ANCHORS:
            raise InputError(
                f"--hyp {source}: 'anchors' is {given['anchors']}; it must be a count of anchors per level."
            )
        given["anchors"] = round(given["anchors"])
        if given["anchors"] == 0:
            del given["anchors"]
    family, own_family = given.pop(FAMILY, None), find_family(model)
    own = [name for name in (*GAINS, *(("dfl",) if family else ())) if name in given]
    if own and (not own_family.anchors if family is None else own_family.name != str(family)):
        given = {name: value for name, value in given.items() if name not in own}
        whose = "the loss with anchors" if family is None else f"the loss of {family}"
        notes.append(f"--hyp {source}: {', '.join(own)} belong to {whose}; {model} keeps its own gains.")
    return Hyperparameters({"optimizer": "SGD", **given}, tuple(notes))


def _checked(given: dict[str, Any], path: Path) -> dict[str, Any]:
    """The file's content, every name known and every value a number."""
    groups = (ScheduleOptions, LossOptions, AugmentOptions)
    known = {
        *(name for group in groups for name in group.model_fields),
        "anchors",
        "autoanchor",
        FAMILY,
        *WITHOUT_EFFECT,
    }
    for name, value in given.items():
        if name not in known:
            line = line_of_key(path, name) if isinstance(name, str) else 1
            raise InputError(f"{path}:{line}: unknown hyperparameter {shown(name)}. {did_you_mean(str(name), known)}")
        if not isinstance(value, int | float | str):  # looked up only now: the file is parsed for it once more
            raise InputError(f"{path}:{line_of_key(path, name)}: '{name}' must be a number; it is {shown(value)}.")
    return given
