"""Weights out: safetensors, which can hold numbers and text and nothing that runs.

The metadata holds what is needed to use the weights: the model's name and scale, class names, image size, anchors and
metrics.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lehr.models.build import anchor_head
from lehr.models.detection import DetectionModel
from lehr.weights.metadata import FORMAT
from lehr.weights.safetensors_file import encode_header, write_weights
from lehr.weights.tensor_file import DTYPES

KINDS = {dtype: kind for kind, dtype in DTYPES.items()}
"""Types of tensors, as a safetensors file names them."""


def save_weights(model: DetectionModel, path: Path, details: Mapping[str, Any] | None = None) -> None:
    """Write a model's weights; the file appears whole or not at all.

    Args:
        model: the model; its weights are written as float32.
        path: the file, a `.safetensors` name.
        details: more metadata that JSON can hold, e.g. metrics.

    Raises:
        InputError: the file cannot be written.
    """
    write_weights(encode_weights(model.state_dict(), describe_model(model, details)), path)


def describe_model(model: DetectionModel, details: Mapping[str, Any] | None = None) -> dict[str, str]:
    """The metadata of a model's weights file.

    Args:
        model: the model.
        details: more that JSON can hold, e.g. metrics.
    """
    head = anchor_head(model)
    return {
        "format": FORMAT,
        "model": model.variant,
        "names": json.dumps(model.names),
        "imgsz": str(model.imgsz),
        "depth": str(model.scale.depth),
        "width": str(model.scale.width),
        **({} if head is None else {"anchors": json.dumps(_rounded(head.pixel_anchors))}),
        **{name: json.dumps(value) for name, value in (details or {}).items()},
    }


def encode_weights(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> tuple[bytes | memoryview, ...]:
    """The bytes of a weights file, in parts; the same content gives the same bytes.

    Args:
        tensors: by name, on any device.
        metadata: text by name.
    """
    stored = {name: value.detach().cpu().contiguous() for name, value in tensors.items()}
    kinds = {name: (KINDS[value.dtype], value.shape) for name, value in stored.items()}
    header, order = encode_header(kinds, metadata)
    return header, *(stored[name].reshape(-1).view(torch.uint8).numpy().data for name in order)


def _rounded(anchors: Tensor) -> list[list[list[float]]]:
    """Anchors as people read them; the exact ones are among the tensors."""
    return [[[round(side, 2) for side in anchor] for anchor in level] for level in anchors.tolist()]
