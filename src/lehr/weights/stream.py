"""Weights out one tensor after the other, so that writing takes the memory of the largest tensor and not of all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import Tensor

from lehr.weights.safetensors_file import encode_header
from lehr.weights.source import as_stored


def stream_weights(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> Iterator[bytes]:
    """The bytes of a weights file in parts: those of `encode_weights`, with floating tensors as float32.

    Args:
        tensors: by name, on the CPU, floating or int64.
        metadata: text by name.
    """
    kinds = {name: ("F32" if tensor.is_floating_point() else "I64", tensor.shape) for name, tensor in tensors.items()}
    header, names = encode_header(kinds, metadata)
    yield header
    for name in names:
        yield as_stored(tensors[name]).numpy().tobytes()
