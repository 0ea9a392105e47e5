"""Models by name."""

from __future__ import annotations

import dataclasses

import torch

from lehr.errors import InputError, did_you_mean
from lehr.models import yolov3, yolov5, yolov8
from lehr.models.anchor_head import AnchorHead
from lehr.models.detection import DetectionModel, Scale
from lehr.models.yolov3 import YOLOv3
from lehr.models.yolov5 import YOLOv5
from lehr.models.yolov8 import YOLOv8

SCALES: dict[str, Scale] = {
    **{f"yolov8{name}": scale for name, scale in yolov8.SCALES.items()},
    **{f"yolov5{name}": scale for name, scale in yolov5.SCALES.items()},
    **{f"yolov3{name}": scale for name, scale in yolov3.SCALES.items()},
}
MODEL_NAMES = tuple(SCALES)


def check_model_name(name: str) -> None:
    """Raises InputError, with the nearest names, when there is no such model."""
    if name not in SCALES:
        raise InputError(f"--model: there is no model '{name}'. {did_you_mean(name, MODEL_NAMES)}")


def build_model(
    name: str,
    names: tuple[str, ...],
    imgsz: int = 640,
    seed: int = 0,
    *,
    depth: float | None = None,
    width: float | None = None,
    anchors: int = 3,
) -> DetectionModel:
    """A freshly initialized model; the same seed gives the same weights.

    Args:
        name: a name of `MODEL_NAMES`, e.g. "yolov8n".
        names: the class names.
        imgsz: side of the square it will be trained for, pixels.
        seed: seed of the initial weights.
        depth: multiple of the blocks' repeats; None for that of the name.
        width: multiple of the channels; None for that of the name.
        anchors: anchors a level, for families that have anchors.

    Raises:
        InputError: there is no such model, or no class.
    """
    check_model_name(name)
    if not names:
        raise InputError("A detector needs at least one class; the data set names none.")
    scale = SCALES[name]
    scale = dataclasses.replace(
        scale, depth=scale.depth if depth is None else depth, width=scale.width if width is None else width
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed % 2**63)
        if name.startswith("yolov8"):
            return YOLOv8(name, names, imgsz, scale)
        family = YOLOv5 if name.startswith("yolov5") else YOLOv3
        return family(name, names, imgsz, scale, anchors)


def anchor_head(model: DetectionModel) -> AnchorHead | None:
    """The head of a model that has anchors; None for one that has not."""
    head = model.head
    return head if isinstance(head, AnchorHead) else None
