"""A copy of the training state in the host's memory, made between two steps without waiting for the device."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from lehr.checkpoint.packing import DTYPES, MAX_DEPTH

PLAIN = (int, float, bool, str, type(None))
Blocks = dict[torch.dtype, Tensor]
"""The memory of a copy: a 1-D tensor for each type of number."""


def snapshot(content: Any, spare: Blocks | None = None) -> tuple[Any, Blocks]:
    """A copy of nested tensors, numbers and text as they are now, and the memory of its tensors.

    All tensors of a type are in one block, since one block is written much faster than a thousand. From CUDA they are
    copied to page-locked memory in the order of the stream, so that later steps may change them immediately; what
    `wait_for_snapshot` returns waits until the copies are complete.

    Args:
        content: what to copy.
        spare: the memory of an earlier copy that is no longer needed; reused if it fits, since allocating takes longer
            than copying.

    Raises:
        TypeError: it holds something else, which could be written but not read back.
    """
    tensors = list(_tensors(content))
    blocks = _blocks(tensors, spare or {})
    return _copied(content, iter(_copies(tensors, blocks))), blocks


def wait_for_snapshot(device: torch.device) -> Callable[[], None]:
    """Wait, when called, until all copies begun so far by `snapshot` are complete."""
    if device.type != "cuda":
        return lambda: None
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record(torch.cuda.current_stream(device))
    wait: Callable[[], None] = event.synchronize
    return wait


def check_plain(content: Any, depth: int = MAX_DEPTH // 2) -> None:
    """Check that content is of tensors, numbers and text, and lists, tuples and dictionaries of these.

    Args:
        content: of a callback, say.
        depth: how deep it may be nested.

    Raises:
        TypeError: something else is in it, or it is nested too deeply, which could be written but not be read again.
    """
    if depth < 0:
        raise TypeError("a training state is not nested this deeply")
    if isinstance(content, dict):
        for key, value in content.items():
            check_plain(key, depth - 1)
            check_plain(value, depth - 1)
    elif isinstance(content, list | tuple):
        for value in content:
            check_plain(value, depth - 1)
    elif isinstance(content, Tensor):
        if content.dtype not in DTYPES.values():
            raise TypeError(f"a training state holds no tensors of {content.dtype}")
    elif type(content) not in PLAIN:
        raise TypeError(f"a training state holds tensors, numbers and text, not {type(content).__name__}")


def _copied(part: Any, copies: Iterator[Tensor]) -> Any:
    """Return nested content with copies in place of its tensors.

    Raises:
        TypeError: it holds something else, which could be written but not read back.
    """
    if isinstance(part, Tensor):
        return next(copies)
    if isinstance(part, dict):
        return {key: _copied(value, copies) for key, value in part.items()}
    if isinstance(part, list | tuple):
        return type(part)(_copied(value, copies) for value in part)
    if type(part) not in PLAIN:
        raise TypeError(f"a training state holds tensors, numbers and text, not {type(part)}")
    return part


def _tensors(content: Any) -> Iterator[Tensor]:
    """The tensors in nested content, in the order in which they are met."""
    if isinstance(content, Tensor):
        yield content.detach()
    elif isinstance(content, dict):
        for value in content.values():
            yield from _tensors(value)
    elif isinstance(content, list | tuple):
        for value in content:
            yield from _tensors(value)


def _blocks(tensors: Sequence[Tensor], spare: Blocks) -> Blocks:
    """Memory for copies of some tensors."""
    sizes: dict[torch.dtype, int] = {}
    for tensor in tensors:
        sizes[tensor.dtype] = sizes.get(tensor.dtype, 0) + tensor.numel()
    pinned = any(tensor.device.type == "cuda" for tensor in tensors)
    return {
        dtype: spare[dtype]
        if dtype in spare and len(spare[dtype]) == size
        else torch.empty(size, dtype=dtype, pin_memory=pinned)
        for dtype, size in sizes.items()
    }


def _copies(tensors: Sequence[Tensor], blocks: Blocks) -> list[Tensor]:
    """Copies with the same shapes and strides, one after another in blocks that they fill."""
    used = dict.fromkeys(blocks, 0)
    copies = []
    for tensor in tensors:
        dense = tensor.is_contiguous() or tensor.is_contiguous(memory_format=torch.channels_last)
        strides = tensor.stride() if dense else torch.empty_like(tensor, device="meta").stride()
        copy = torch.as_strided(blocks[tensor.dtype], tensor.shape, strides, used[tensor.dtype])
        used[tensor.dtype] += tensor.numel()
        copies.append(copy)
    if copies:
        torch._foreach_copy_(copies, list(tensors), non_blocking=copies[0].is_pinned())
    return copies
