"""Tensors of a checkpoint as a model of Lehr's has them: unmerged, complete, of the types that a weights file holds."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from lehr.models.dfl_head import BINS
from lehr.weights.published.identify import COUNTED
from lehr.weights.published.stand_in import Refused

EPS = 1e-3
"""BatchNorm's epsilon in every family."""


def unmerge_batch_norm(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], int]:
    """Give convolutions that BatchNorm was merged into a BatchNorm that changes nothing but adds their bias.

    Its variance is 1 - eps and its weight 1, so that it divides by 1.

    Args:
        tensors: by published name.

    Returns:
        The tensors, and how many convolutions that were.
    """
    result: dict[str, Tensor] = {}
    merged = 0
    for name, tensor in tensors.items():
        block = name.removesuffix("conv.bias")
        if block == name or f"{block}conv.weight" not in tensors or f"{block}bn.weight" in tensors or tensor.ndim != 1:
            result[name] = tensor
            continue
        merged += 1
        result |= {
            f"{block}bn.weight": torch.ones_like(tensor),
            f"{block}bn.bias": tensor,
            f"{block}bn.running_mean": torch.zeros_like(tensor),
            f"{block}bn.running_var": torch.full(tensor.shape, 1 - EPS, dtype=torch.float32),
        }
    return result, merged


def complete(tensors: Mapping[str, Tensor], shapes: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The tensors of a model in its order, with counts of batches where a file has none; constants are checked.

    Args:
        tensors: of all the model's shapes, but perhaps for these counts.
        shapes: those of the model.

    Raises:
        Refused: a constant has another value.
    """
    result = {}
    for name, shape in shapes.items():
        tensor = tensors.get(name)
        if name.endswith(COUNTED):
            tensor = torch.zeros((), dtype=torch.int64) if tensor is None else tensor.reshape(()).to(torch.int64)
        assert tensor is not None and tensor.shape == shape  # the difference was looked for before
        if name.endswith(".dfl.conv.weight") and not torch.equal(tensor.flatten().float(), torch.arange(float(BINS))):
            raise Refused(
                f"has other bins of distances than 0 to {BINS - 1} ({name}), which Lehr's YOLOv8 does not have."
            )
        if not (tensor.is_floating_point() or name.endswith(COUNTED)):
            raise Refused(f"holds {name} as {str(tensor.dtype).removeprefix('torch.')}, where weights are floating.")
        result[name] = tensor
    return result
