"""Messages between processes, as JSON and the bytes of tensors: receiving one executes nothing.

torch's own exchange of objects pickles them, and unpickling does whatever the sender wants. Here a value of plain parts
is JSON, in which each tensor and array is given by its position in the block of bytes that follows. Values without a
JSON form are marked by a key that begins with a dollar. Only classes named by the receiver are accepted.
"""

from __future__ import annotations

import dataclasses
import json
import math
import struct
from collections.abc import Callable, Iterable
from enum import Enum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pydantic import BaseModel
from torch import Tensor

from lehr.errors import LehrError

TENSOR, ARRAY, OBJECT = "$tensor", "$array", "$object"
TUPLE, FROZENSET, PAIRS, PATH = "$tuple", "$frozenset", "$pairs", "$path"
PLAIN: dict[str, Callable[[Any], Any]] = {TUPLE: tuple, FROZENSET: frozenset, PAIRS: dict, PATH: Path}
LENGTH = struct.Struct("<Q")
"""Length of the JSON, at the beginning."""
ALIGNMENT = 16
"""Each tensor's bytes begin at a multiple of it."""


def encode(value: Any, kinds: Iterable[type] = ()) -> Tensor:
    """Return a value as bytes, (length,) uint8.

    Args:
        value: None, numbers, text, paths, tensors on the CPU, arrays, and lists, tuples, frozen sets and dictionaries
            of these; and objects of the classes named.
        kinds: dataclasses, models of pydantic and enumerations that may be in it.

    Raises:
        TypeError: something else is in it.
    """
    known, blocks, end = frozenset(kinds), list[tuple[int, Tensor]](), 0

    def told(part: Tensor) -> list[Any]:
        nonlocal end
        flat, strides = _flattened(part)
        blocks.append((end, flat))
        start, end = end, _aligned(end + len(flat))
        return [str(part.dtype).removeprefix("torch."), start, list(part.shape), strides]

    def plain(part: Any) -> Any:
        kind = type(part)
        if part is None or kind in (bool, int, float, str):
            return part
        if kind in (list, tuple, frozenset):
            parts = [plain(each) for each in (sorted(part) if kind is frozenset else part)]
            return parts if kind is list else {TUPLE if kind is tuple else FROZENSET: parts}
        if kind is dict:
            if all(type(key) is str and not key.startswith("$") for key in part):
                return {key: plain(each) for key, each in part.items()}
            return {PAIRS: [[plain(key), plain(each)] for key, each in part.items()]}
        if isinstance(part, Tensor):
            return {TENSOR: told(part.detach())}
        if isinstance(part, np.ndarray):
            usable = part.flags.writeable and all(stride >= 0 for stride in part.strides)
            return {ARRAY: told(torch.from_numpy(part if usable else part.copy()))}
        if kind in known:
            return {OBJECT: [kind.__name__, {name: plain(each) for name, each in _fields(part).items()}]}
        if isinstance(part, Path):
            return {PATH: str(part)}
        if isinstance(part, np.generic):
            return part.item()
        raise TypeError(f"{kind.__module__}.{kind.__qualname__} is not carried between processes here")

    text = json.dumps(plain(value)).encode()
    begin = _aligned(LENGTH.size + len(text))
    message = torch.zeros(begin + end, dtype=torch.uint8)
    message[: LENGTH.size + len(text)] = torch.frombuffer(bytearray(LENGTH.pack(len(text)) + text), dtype=torch.uint8)
    for start, flat in blocks:
        message[begin + start : begin + start + len(flat)] = flat
    return message


def decode(message: Tensor, kinds: Iterable[type] = ()) -> Any:
    """Return the value that was encoded; each tensor has separate memory.

    Args:
        message: (length,) uint8.
        kinds: classes allowed in it.

    Raises:
        LehrError: it is not such a value, or holds another class.
    """
    known = {kind.__name__: kind for kind in kinds}

    def tensor(told: Any) -> Tensor:
        name, start, shape, strides = told
        dtype = getattr(torch, name)
        if not isinstance(dtype, torch.dtype) or start < 0:
            raise ValueError(f"{name} at {start}")
        length = math.prod(shape) * dtype.itemsize
        flat = block[start : start + length].clone().view(dtype)
        if flat.nbytes != length:
            raise ValueError(f"{length} bytes at {start}")
        return torch.as_strided(flat, shape, strides)

    def restored(part: dict[str, Any]) -> Any:
        name, told = next(iter(part.items()), ("", []))
        if len(part) != 1 or not name.startswith("$"):
            return part
        if name == TENSOR:
            return tensor(told)
        if name == ARRAY:
            return tensor(told).numpy()
        if name == OBJECT:
            return _made(known[told[0]], told[1])
        return PLAIN[name](told)

    try:
        (length,) = LENGTH.unpack(message[: LENGTH.size].numpy().tobytes())
        text = message[LENGTH.size : LENGTH.size + length].numpy().tobytes()
        block = message[_aligned(LENGTH.size + length) :]
        return json.loads(text, object_hook=restored)
    except (struct.error, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RuntimeError) as error:
        why = f"{type(error).__name__}: {error}"
        raise LehrError(f"Another process sent a message that this one does not understand ({why}).") from None


def _flattened(part: Tensor) -> tuple[Tensor, list[int]]:
    """Return the bytes of a tensor in the order in which they are in memory, and its strides in them.

    One that has gaps, or shows a value twice, is copied.
    """
    if not part.numel():  # whose strides may be anything
        part = torch.empty(part.shape, dtype=part.dtype)
    order = sorted(range(part.ndim), key=lambda axis: (part.stride(axis), part.shape[axis]), reverse=True)
    if not part.permute(order).is_contiguous():
        part, order = part.contiguous(), list(range(part.ndim))
    return part.permute(order).reshape(-1).view(torch.uint8), list(part.stride())


def _fields(part: Any) -> dict[str, Any]:
    """Return the parts of an object."""
    if isinstance(part, Enum):
        return {"value": part.value}
    if isinstance(part, BaseModel):
        return part.model_dump()
    return {field.name: getattr(part, field.name) for field in dataclasses.fields(part)}


def _made(kind: type, fields: dict[str, Any]) -> Any:
    """Rebuild an object from its parts."""
    if issubclass(kind, Enum):
        return kind(fields["value"])
    return kind.model_validate(fields) if issubclass(kind, BaseModel) else kind(**fields)


def _aligned(length: int) -> int:
    """Return the next multiple of the alignment."""
    return -(-length // ALIGNMENT) * ALIGNMENT
