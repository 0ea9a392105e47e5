"""Nested tensors, numbers and text as a few blocks and a line of JSON, which is much faster than pickling each part.

Each tensor is described by its block, offset, shape and strides. Values without a JSON form are marked by a key that
begins with a dollar: tensors, tuples, and dictionaries whose keys are not text.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from lehr.runtime.reading import MIB

TENSOR, TUPLE, PAIRS = "$tensor", "$tuple", "$pairs"
DTYPES = {
    "Double": torch.float64,
    "Float": torch.float32,
    "Half": torch.float16,
    "BFloat16": torch.bfloat16,
    "Long": torch.int64,
    "Int": torch.int32,
    "Short": torch.int16,
    "Char": torch.int8,
    "Byte": torch.uint8,
    "Bool": torch.bool,
    "ComplexFloat": torch.complex64,
    "ComplexDouble": torch.complex128,
}
"""Types of numbers that a checkpoint can hold, by torch's name of their memory."""
MAX_TEXT, MAX_PARTS, MAX_DEPTH, MAX_DIMENSIONS = 64 * MIB, 2_000_000, 60, 16
"""Characters of the JSON; lists and tables in it; how deep they are nested; and sides of a tensor."""
MAX_KEY = 2**53
"""Bound of numbers as keys; larger ones could be chosen so that a dictionary of them takes hours."""
SHARED = MIB
"""Bytes by which tensors may be more than twice their blocks: small ones may share a block more often."""


def pack(content: Any) -> tuple[list[Tensor], str]:
    """Blocks (1-D tensors, one for each memory that tensors share) and the JSON that describes their layout.

    Args:
        content: tensors on the CPU, numbers, text, None, and lists, tuples and dictionaries of these.

    Raises:
        TypeError: something else is in it.
        ValueError: it is more than could be read again.
    """
    blocks: list[Tensor] = []
    numbers: dict[tuple[int, torch.dtype], int] = {}
    text = json.dumps(_packed(content, blocks, numbers))
    _check_size(text)
    return blocks, text


def _packed(part: Any, blocks: list[Tensor], numbers: dict[tuple[int, torch.dtype], int]) -> Any:
    """A part of what is packed, as JSON takes it; its memory is added to the blocks.

    Args:
        part: tensors on the CPU, numbers, text, None, and lists, tuples and dictionaries of these.
        blocks: the memory met so far.
        numbers: the block of each memory, by its address and type.
    """
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
            return {key: _packed(value, blocks, numbers) for key, value in part.items()}
        return {PAIRS: [[key, _packed(value, blocks, numbers)] for key, value in part.items()]}
    if isinstance(part, tuple):
        return {TUPLE: [_packed(value, blocks, numbers) for value in part]}
    if isinstance(part, list):
        return [_packed(value, blocks, numbers) for value in part]
    return part


def unpack(blocks: Sequence[Tensor], text: str) -> Any:
    """Restore packed content; each tensor has separate memory, in total at most about twice that of the blocks.

    Args:
        blocks: 1-D tensors.
        text: the JSON.

    Raises:
        ValueError, TypeError, RuntimeError, IndexError, RecursionError: it is not what `pack` gives, or beyond bounds.
    """
    _check_size(text)
    left = 2 * sum(block.nbytes for block in blocks) + SHARED

    def unpacked(part: dict[str, Any]) -> Any:
        nonlocal left
        if len(part) == 1:
            ((name, value),) = part.items()
            if name == TENSOR:
                tensor = _view(blocks, *value)
                left -= tensor.nbytes
                if left < 0:
                    raise ValueError("the tensors are larger than the blocks")
                return tensor.clone()
            if name == TUPLE:
                return tuple(_list(value))
            if name == PAIRS:
                return {_key(key): each for key, each in _list(value)}
        return part

    content = json.loads(text, object_hook=unpacked)
    _check_depth(content)
    return content


def _check_size(text: str) -> None:
    """Check that content is not larger than what is read.

    Raises:
        ValueError: it is.
    """
    if len(text) > MAX_TEXT or text.count("[") + text.count("{") > MAX_PARTS:
        raise ValueError(f"a training state of more than {MAX_TEXT // MIB} MB of text, or of {MAX_PARTS} parts")


def _view(blocks: Sequence[Tensor], index: Any, offset: Any, shape: Any, strides: Any) -> Tensor:
    """A tensor that is in a block, no number of it twice.

    Raises:
        ValueError: it does not.
    """
    counts = [index, offset, *_list(shape), *_list(strides)]
    if any(type(count) is not int or count < 0 for count in counts) or len(shape) != len(strides):
        raise ValueError("a tensor has no such shape")
    block, size = blocks[index], math.prod(shape)
    if len(shape) > MAX_DIMENSIONS or offset + size > len(block) or max(shape, default=0) >= MAX_KEY:
        raise ValueError("a tensor is larger than its block")
    reach = [(side - 1) * stride for side, stride in zip(shape, strides, strict=True)]
    repeats = any(side > 1 and stride == 0 for side, stride in zip(shape, strides, strict=True))
    if size and (repeats or offset + sum(reach) >= len(block)):
        raise ValueError("a tensor is larger than its block")
    return torch.as_strided(block, shape, strides, offset)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError("a list is invalid")
    return value


def _key(value: Any) -> Any:
    if value is None or isinstance(value, str) or (isinstance(value, int | float) and abs(value) < MAX_KEY):
        return value
    raise ValueError("a key is neither text nor a valid number")


def _check_depth(content: Any) -> None:
    """Check how deep content is nested.

    Raises:
        ValueError: deeper than any training state.
    """
    level: list[Any] = [content]
    for _ in range(MAX_DEPTH):
        level = [
            each
            for part in level
            if isinstance(part, dict | list | tuple)
            for each in (part.values() if isinstance(part, dict) else part)
        ]
        if not level:
            return
    raise ValueError("the content is nested deeper than any")
