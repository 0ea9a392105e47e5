"""Nested tensors, numbers and text as a few blocks and a line of JSON, which is much faster than pickling each part.

Each tensor is told by its block, offset, shape and strides. What JSON has no form for is told by a name that begins
with a dollar: tensors, tuples, and dictionaries whose keys are not text.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

TENSOR, TUPLE, PAIRS = "$tensor", "$tuple", "$pairs"


def pack(content: Any) -> tuple[list[Tensor], str]:
    """Blocks (1-D tensors, one for each memory that tensors share) and the JSON that tells what lies where.

    Args:
        content: tensors on the CPU, numbers, text, None, and lists, tuples and dictionaries of these.

    Raises:
        TypeError: something else is in it.
    """
    blocks: list[Tensor] = []
    numbers: dict[tuple[int, torch.dtype], int] = {}

    def packed(part: Any) -> Any:
        if isinstance(part, Tensor):
            storage = part.untyped_storage()
            storage_key = storage.data_ptr(), part.dtype
            if storage_key not in numbers:
                numbers[storage_key] = len(blocks)
                whole = torch.empty(0, dtype=part.dtype)
                blocks.append(whole.set_(storage, 0, (storage.nbytes() // part.element_size(),)))  # type: ignore[call-overload]
            return {TENSOR: [numbers[storage_key], part.storage_offset(), list(part.shape), list(part.stride())]}
        if isinstance(part, dict):
            if all(type(key) is str for key in part):
                return {key: packed(value) for key, value in part.items()}
            return {PAIRS: [[key, packed(value)] for key, value in part.items()]}
        if isinstance(part, tuple):
            return {TUPLE: [packed(value) for value in part]}
        if isinstance(part, list):
            return [packed(value) for value in part]
        return part

    return blocks, json.dumps(packed(content))


def unpack(blocks: Sequence[Tensor], text: str) -> Any:
    """Restore packed content; each tensor has memory of its own.

    Raises:
        ValueError, TypeError, RuntimeError, IndexError: it is not what `pack` gives.
    """

    def unpacked(part: dict[str, Any]) -> Any:
        if len(part) == 1:
            ((name, value),) = part.items()
            if name == TENSOR:
                index, offset, shape, strides = value
                return torch.as_strided(blocks[index], shape, strides, offset).clone()
            if name == TUPLE:
                return tuple(value)
            if name == PAIRS:
                return dict(value)
        return part

    return json.loads(text, object_hook=unpacked)
