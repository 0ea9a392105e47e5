"""Models by name."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import torch
from torch.overrides import TorchFunctionMode

from lehr.errors import InputError
from lehr.models.anchor_head import AnchorHead
from lehr.models.batch_norm import take_single_values
from lehr.models.detection import DetectionModel
from lehr.models.family import find_family
from lehr.models.limits import MAX_CLASSES, MAX_NAME, MAX_NAMES
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
        depth: multiple of the blocks' repeats; None for the variant's.
        width: multiple of the channels; None for the variant's.
        anchors: anchors per level, for families that have anchors.

    Raises:
        InputError: there is no such model or no class, or there are too many classes, or their names are too long.
    """
    family = find_family(name)
    if not names:
        raise InputError("A detector needs at least one class, but the data set names none.")
    _check_names(names)
    scale = family.scale(name)
    scale = dataclasses.replace(
        scale, depth=scale.depth if depth is None else depth, width=scale.width if width is None else width
    )
    build = resolve(family.build)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed % 2**63)  # only that of the CPU
        model: DetectionModel = build(name, names, imgsz, scale, *((anchors,) if family.anchors else ()))
    take_single_values(model)
    return model


def tensor_shapes(
    name: str, names: tuple[str, ...], *, depth: float | None = None, width: float | None = None, anchors: int = 3
) -> dict[str, tuple[int, ...]] | None:
    """Return the shapes of a model's tensors by name, without allocating them.

    Args:
        name: a model of some family.
        names: the class names.
        depth: multiple of the blocks' repeats; None for the variant's.
        width: multiple of the channels; None for the variant's.
        anchors: anchors per level, for families that have anchors.

    Returns:
        None for a family of another package that cannot be built this way because it computes with its weights.

    Raises:
        InputError: as `build_model`.
    """
    model = build_without_memory(name, names, depth=depth, width=width, anchors=anchors)
    return None if model is None else {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}


def build_without_memory(
    name: str,
    names: tuple[str, ...],
    imgsz: int = 640,
    *,
    depth: float | None = None,
    width: float | None = None,
    anchors: int = 3,
) -> DetectionModel | None:
    """Build a model whose tensors have shapes but no values; arguments as of `build_model`.

    Returns:
        None for a family of another package that cannot be built this way because it computes with its weights.

    Raises:
        InputError: as `build_model`.
    """
    try:
        with _WithoutMemory():
            return build_model(name, names, imgsz, depth=depth, width=width, anchors=anchors)
    except (RuntimeError, NotImplementedError):
        return None


class _WithoutMemory(TorchFunctionMode):
    """Build layers without memory for their weights, which all come from `torch.empty`.

    Under `torch.device("meta")` the few numbers that a head computes have no memory either, for which torch loads its
    compiler: a second.
    """

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return func(*args, **((kwargs or {}) | ({"device": "meta"} if func is torch.empty else {})))


def _check_names(names: tuple[str, ...]) -> None:
    """Check that class names can be stored in a weights file and read back.

    Raises:
        InputError: they cannot.
    """
    if len(names) > MAX_CLASSES:
        raise InputError(f"A detector has at most {MAX_CLASSES} classes; these are {len(names)}.")
    longest = max(names, key=len)
    if len(longest) > MAX_NAME:
        raise InputError(f"A class name has at most {MAX_NAME} characters; '{longest[:40]}...' has {len(longest)}.")
    if len(json.dumps(names)) > MAX_NAMES:
        raise InputError(f"The class names are longer than {MAX_NAMES} characters together. Give shorter ones.")


def anchor_head(model: DetectionModel) -> AnchorHead | None:
    """Return the head of a model with anchors; None without."""
    head = model.head
    return head if isinstance(head, AnchorHead) else None
