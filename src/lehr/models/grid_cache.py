"""What a head knows of a grid, kept on CUDA: some forty launches a forward pass, for numbers that never change."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_KEPT = 512
"""Grids that are kept; none is ever dropped, since a captured step may read it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Tensors, the stream that made them, and when they were ready."""

    tensors: tuple[Tensor, ...]
    stream: torch.cuda.Stream
    ready: torch.cuda.Event


_kept: dict[Hashable, _Kept] = {}


def kept_on_cuda(key: Hashable, make: Callable[[], tuple[Tensor, ...]], device: torch.device) -> tuple[Tensor, ...]:
    """Return tensors that depend on a key alone, made once a device; made each time elsewhere and in compiled code.

    Nothing waits for the device. While a CUDA graph is captured nothing is kept: its memory is filled when it is
    launched.

    Args:
        key: all that they depend on.
        make: makes them.
        device: where they are.
    """
    if device.type != "cuda" or torch.compiler.is_compiling():
        return make()
    stream = torch.cuda.current_stream(device)
    capturing = torch.cuda.is_current_stream_capturing()
    found = _kept.get((key, device))
    if found is None:
        with torch.inference_mode(False), torch.no_grad():
            tensors = make()
        real = all(type(tensor) is Tensor for tensor in tensors)
        if not capturing and real and len(_kept) < MAX_KEPT:
            _kept[key, device] = _Kept(tensors, stream, stream.record_event())
        return tensors
    if stream != found.stream and not capturing:  # a capture begins when the device is done with all else
        stream.wait_event(found.ready)
    return found.tensors
