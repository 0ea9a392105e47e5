"""Weights in: the model of a weights file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from lehr.errors import InputError
from lehr.models.build import build_model, tensor_shapes
from lehr.models.detection import DetectionModel
from lehr.models.family import is_model
from lehr.weights.foreign import ENDING, EXPORT, PICKLED, STATE
from lehr.weights.source import damaged_metadata, open_weights, release_weights


def read_metadata(path: Path) -> dict[str, str]:
    """Metadata of a weights file, as text; those that a model is built of are checked.

    Raises:
        InputError: the file is missing, is not a safetensors file, is cut off, was not written by Lehr, or its metadata
            are damaged.
    """
    return dict(open_weights(path).metadata)


def names_weights(text: str | Path) -> bool:
    """Return whether a text names a file of weights rather than a model: by its ending, or by a folder in it."""
    path = Path(text)
    return isinstance(text, Path) or path.suffix.lower() in (ENDING, STATE, EXPORT, *PICKLED) or path.name != text


def load_model(path: Path, device: torch.device | None = None) -> DetectionModel:
    """The model of a weights file, in eval mode.

    Args:
        path: a file written by `save_weights`, or a checkpoint of YOLOv5, YOLOv8 or YOLOv3-SPP, or its ONNX export.
        device: where to put it; None for the CPU.

    Raises:
        InputError: the file is missing, damaged, or does not fit the model it names.
    """
    source = open_weights(path)
    details = source.details
    if not is_model(details.model):
        raise InputError(
            f"{path}: is of the model '{details.model}', which is not here. Install the package that adds it."
        )
    names, imgsz = details.names, details.imgsz
    if names is None or imgsz is None:
        raise damaged_metadata(path, "'names' is not a list of class names" if names is None else "'imgsz' is missing")
    depth, width, anchors = details.depth, details.width, details.anchors_a_level
    shapes = tensor_shapes(details.model, names, depth=depth, width=width, anchors=anchors)
    given = source.shapes
    if shapes is not None and shapes != given:  # before memory is taken for a model that the file does not hold
        raise InputError(f"{path}: does not fit {details.model}: {_difference(shapes, given)}.")
    model = build_model(details.model, names, imgsz, depth=depth, width=width, anchors=anchors)
    tensors = source.read(given)
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise InputError(
                f"{path}: {name} holds numbers that are not finite, as of a training that diverged. Give other weights."
            )
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise InputError(f"{path}: does not fit {details.model}: {error}") from None
    release_weights()
    return model.to(device or torch.device("cpu")).eval()


def _difference(own: Mapping[str, tuple[int, ...]], given: Mapping[str, tuple[int, ...]]) -> str:
    """Say in what the tensors of a file are not those of a model."""
    missing = [name for name in own if name not in given]
    if missing:
        return f"it lacks {len(missing)} of its {len(own)} tensors, such as {missing[0]}"
    other = next((name for name in own if own[name] != given[name]), None)
    if other is not None:
        return f"{other} is {list(given[other])} and must be {list(own[other])}"
    more = next(name for name in given if name not in own)
    return f"it has more tensors than the model, such as {more[:100]}"
