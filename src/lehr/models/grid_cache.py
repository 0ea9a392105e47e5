"""Cache of a head's grid tensors on CUDA, which saves some forty launches per forward pass."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass

import torch
from torch import Tensor

MAX_KEPT = 512
"""Maximum number of cached grids; none is ever dropped, since a captured step may read it."""


@dataclass(frozen=True, slots=True)
class _Kept:
    """Tensors, the stream that made them, and the event of their completion."""

    tensors: tuple[Tensor, ...]
    stream: torch.cuda.Stream
    ready: torch.cuda.Event


_kept: dict[Hashable, _Kept] = {}


def kept_on_cuda(key: Hashable, make: Callable[[], tuple[Tensor, ...]], device: torch.device) -> tuple[Tensor, ...]:
    """Return tensors that depend only on a key, cached per CUDA device; computed each time elsewhere.

    It does not wait for the device. During capture of a CUDA graph nothing is cached: its memory is filled on launch.

    Args:
        key: everything that they depend on.
        make: computes them.
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
    if stream != found.stream and not capturing:  # a capture starts when the device has finished all other work
        stream.wait_event(found.ready)
    return found.tensors
