"""Model families: one value each, the only description of a family.

Nothing here loads torch, so that options can be checked, and help and plans shown, before a model is built. To add a
family, add its value to `FAMILIES`, or register it from another package: see `register_family`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lehr.errors import InputError, did_you_mean
from lehr.models.scale import Scale
from lehr.plugins import PluginTable

if TYPE_CHECKING:
    from lehr.models.detection import DetectionModel

FAMILY_OPTIONS = ("obj", "obj_pw", "anchor_t", "anchors", "dfl", "least_side", "tal_topk", "tal_alpha", "tal_beta")
"""Options that only some families use."""


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        name: prefix of its models' names, e.g. "yolov8".
        scales: scales by suffix of the models' names, e.g. "n".
        build: builds a model from its name, class names, image size in pixels and scale, and, where the family has
            anchors, their count per level: a function or class, or its location, e.g. "package.module:Model". Its head
            names the loss.
        gains: gains of the loss by option name, `box` and `cls`, unless given.
        anchors: whether its head is an `AnchorHead`.
        options: those of `FAMILY_OPTIONS` that its loss or head reads.
        on_shapes: defaults by option name for training on the data set `shapes`, if they are not the usual ones.
    """

    name: str
    scales: Mapping[str, Scale]
    build: str | Callable[..., DetectionModel]
    gains: Mapping[str, float]
    anchors: bool = False
    options: tuple[str, ...] = ()
    on_shapes: Mapping[str, Any] = field(default_factory=dict)

    @property
    def models(self) -> tuple[str, ...]:
        """The names of its models, e.g. "yolov8n"."""
        return tuple(self.name + suffix for suffix in self.scales)

    @property
    def without_effect(self) -> tuple[str, ...]:
        """Options that it does not use."""
        return tuple(name for name in FAMILY_OPTIONS if name not in self.options)

    def scale(self, model: str) -> Scale:
        """The scale of one of its models, by the model's name."""
        return self.scales[model.removeprefix(self.name)]


ANCHOR_OPTIONS = ("obj", "obj_pw", "anchor_t", "anchors")
"""Options that the loss and head of families with anchors read."""
ANCHORS_ON_SHAPES = {"epochs": 24, "close_mosaic": 18, "cls": 1.0}
"""Scaled to five classes, the usual class gain is too low for coarse levels to learn classes in time."""

YOLOV8 = Family(
    "yolov8",
    scales={
        "n": Scale(0.33, 0.25, 1024),
        "s": Scale(0.33, 0.50, 1024),
        "m": Scale(0.67, 0.75, 768),
        "l": Scale(1.00, 1.00, 512),
        "x": Scale(1.00, 1.25, 512),
    },
    build="lehr.models.yolov8:YOLOv8",
    gains={"box": 7.5, "cls": 0.5},
    options=("dfl", "least_side", "tal_topk", "tal_alpha", "tal_beta"),
)
YOLOV5 = Family(
    "yolov5",
    scales={
        "n": Scale(0.33, 0.25),
        "s": Scale(0.33, 0.50),
        "m": Scale(0.67, 0.75),
        "l": Scale(1.00, 1.00),
        "x": Scale(1.33, 1.25),
    },
    build="lehr.models.yolov5:YOLOv5",
    gains={"box": 0.05, "cls": 0.5},
    anchors=True,
    options=ANCHOR_OPTIONS,
    on_shapes=ANCHORS_ON_SHAPES,
)
YOLOV3 = Family(
    "yolov3",
    scales={"-spp": Scale(1.0, 1.0)},
    build="lehr.models.yolov3:YOLOv3",
    gains={"box": 0.05, "cls": 0.5},
    anchors=True,
    options=ANCHOR_OPTIONS,
    on_shapes=ANCHORS_ON_SHAPES,
)

FAMILIES = PluginTable("lehr.families", Family, (YOLOV8, YOLOV5, YOLOV3))


def register_family(family: Family) -> None:
    """Add a family for this process; a package names it as an entry point `lehr.families` instead.

    Raises:
        TypeError: it is not a Family.
        ValueError: the name is taken by another family.
    """
    FAMILIES.add(family)


FILES = (".pt", ".pth", ".onnx", ".safetensors")
"""Suffixes of weights files, which users may give as a model."""


def find_family(model: str) -> Family:
    """Return the family of a model by the model's name, e.g. "yolov8n".

    Raises:
        InputError: there is no such model; with the nearest names.
    """
    family = _found(model)
    if family is None:
        hint = did_you_mean(model, model_names())
        if model.lower().endswith(FILES):
            hint = f"A file of weights is given as --weights {model}."
        raise InputError(f"--model: there is no model '{model}'. {hint}")
    return family


def is_model(name: str) -> bool:
    """Check whether there is a model of a name."""
    return _found(name) is not None


def _found(model: str) -> Family | None:
    for families in (FAMILIES.known, FAMILIES.all):
        for family in families():
            if model in family.models:
                return family
    return None


def known_case(model: str) -> str:
    """Return the known model whose name differs only in case; the name itself if there is none."""
    if is_model(model):
        return model
    return next((name for name in model_names() if name.casefold() == model.casefold()), model)


def model_names() -> tuple[str, ...]:
    """The names of all models, including those of installed packages."""
    return tuple(name for family in FAMILIES.all() for name in family.models)
