"""Models by name."""

from __future__ import annotations

import dataclasses

import torch

from lehr.errors import InputError
from lehr.models.anchor_head import AnchorHead
from lehr.models.batch_norm import take_single_values
from lehr.models.detection import DetectionModel
from lehr.models.family import find_family
from lehr.plugins import resolve


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
        name: a model of some family, e.g. "yolov8n".
        names: the class names.
        imgsz: side of the square it will be trained for, pixels.
        seed: seed of the initial weights.
        depth: multiple of the blocks' repeats; None for that of the name.
        width: multiple of the channels; None for that of the name.
        anchors: anchors a level, for families that have anchors.

    Raises:
        InputError: there is no such model, or no class.
    """
    family = find_family(name)
    if not names:
        raise InputError("A detector needs at least one class; the data set names none.")
    scale = family.scale(name)
    scale = dataclasses.replace(
        scale, depth=scale.depth if depth is None else depth, width=scale.width if width is None else width
    )
    build = resolve(family.build)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed % 2**63)  # that of the CPU, and no other
        model: DetectionModel = build(name, names, imgsz, scale, *((anchors,) if family.anchors else ()))
    take_single_values(model)
    return model


def anchor_head(model: DetectionModel) -> AnchorHead | None:
    """The head of a model that has anchors; None for one that has not."""
    head = model.head
    return head if isinstance(head, AnchorHead) else None
