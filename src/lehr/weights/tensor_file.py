"""Tensors of a safetensors file."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from lehr.weights.safetensors_file import Header, StoredTensor, read_data

DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_tensors(path: Path, header: Header, names: Iterable[str]) -> dict[str, Tensor]:
    """Read tensors of a safetensors file, each into memory of its own.

    Args:
        path: the file.
        header: of the file.
        names: those of the tensors to read.

    Raises:
        DamagedTensors: the file is not the one that the header is of, or has been cut off since.
        OSError: it cannot be read.
    """
    return {name: _tensor(data, header.tensors[name]) for name, data in read_data(path, header, names)}


def _tensor(data: bytearray, stored: StoredTensor) -> Tensor:
    dtype = DTYPES[stored.kind]
    if not data:
        return torch.empty(stored.shape, dtype=dtype)
    if dtype is torch.bool:  # any other byte than 0 and 1 is none
        return (torch.frombuffer(data, dtype=torch.uint8) != 0).view(stored.shape)
    return torch.frombuffer(data, dtype=dtype).view(stored.shape)
