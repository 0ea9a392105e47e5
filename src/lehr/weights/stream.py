"""Weights out one tensor after the other, so that writing takes the memory of the largest tensor and not of all."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from lehr.weights.source import as_stored

KINDS = {torch.float32: "F32", torch.int64: "I64"}
"""Types of the tensors of a model, as a safetensors file names them."""


def stream_weights(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes]:
    """The bytes of a weights file in parts: those of `encode_weights`, with floating tensors as float32.

    Args:
        tensors: by name, on the CPU, floating or int64.
        metadata: text by name.
    """
    kinds = {name: torch.float32 if tensor.is_floating_point() else torch.int64 for name, tensor in tensors.items()}
    names = sorted(tensors, key=lambda name: (-kinds[name].itemsize, name))  # so that each begins at a multiple
    header: dict[str, object] = {"__metadata__": dict(sorted(metadata.items()))}
    end = 0
    for name in names:
        start, end = end, end + tensors[name].numel() * kinds[name].itemsize
        header[name] = {
            "dtype": KINDS[kinds[name]],
            "shape": list(tensors[name].shape),
            "data_offsets": [start, end],
        }
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    yield len(text).to_bytes(8, "little") + text
    for name in names:
        yield as_stored(tensors[name]).numpy().tobytes()
