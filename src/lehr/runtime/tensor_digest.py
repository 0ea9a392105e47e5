"""Digests of tensors, computed where they are: a few operations for all of them, and nothing waits for the device.

Each word of 64 bits is mixed with its position and the mixed words are added up modulo 2**64. Integers add up to the
same in any order, so the digest is that of the bytes alone, on any device. A change is missed with a probability of
about 2**-32, the size to which `folded` cuts a digest. No protection against forgery.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from functools import lru_cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

GOLDEN, FIRST, SECOND = -0x61C8864680B583EB, -0x40A7B892E31B1A47, -0x6B2FB644ECCEEE15
"""Odd multipliers of SplitMix64 (Steele et al., 2014), as signed numbers."""
LOW = 0xFFFFFFFF
WORDS, CACHED = 2**22, 2**17
"""Words that are mixed at a time on a GPU, and on a CPU."""


def image_digests(images: Tensor) -> Tensor:
    """Return a digest of each image, int64 (batch,), on their device.

    Args:
        images: uint8 (batch, channels, height, width), in whatever memory format.
    """
    rows = images.permute(0, 2, 3, 1).reshape(len(images), -1)
    if missing := -rows.shape[1] % 8:
        rows = torch.nn.functional.pad(rows, (0, missing))
    if rows.storage_offset() % 8 or rows.stride(0) % 8:
        rows = rows.clone()
    words = rows.view(torch.int64)
    keys = _keys(words.shape[1], words.device)
    step = max(1, _words(words.device) // max(1, words.shape[1]))
    parts = [_mixed(part ^ keys).sum(1) for part in torch.split(words, step)]
    return torch.cat(parts) if parts else words.new_zeros(0)


def object_digests(boxes: Tensor, classes: Tensor) -> Tensor:
    """Return a digest of each image's objects, int64 (batch,), whatever they are padded to.

    Args:
        boxes: float32 (batch, objects, 4).
        classes: int64 (batch, objects); -1 if padded.
    """
    words = torch.cat((boxes.contiguous().view(torch.int32).long(), classes.unsqueeze(-1)), -1)
    keys = _keys(max(1, words.shape[1] * 5), words.device)[: words.shape[1] * 5].view(-1, 5)
    return (_mixed(words ^ keys) * (classes >= 0).unsqueeze(-1)).sum((1, 2))


class WeightDigests:
    """Digests of a model's tensors, one each; made once for tensors that change in place.

    Args:
        tensors: by name, all on one device; those that hold no floating-point numbers are skipped.
    """

    def __init__(self, tensors: Mapping[str, Tensor]) -> None:
        own = {name: tensor.detach() for name, tensor in tensors.items() if tensor.is_floating_point()}
        self.names = tuple(own)
        self._groups: list[list[Tensor]] = []
        room = 0
        for tensor in own.values():
            if not self._groups or tensor.device.type == "cpu" or tensor.numel() > room:
                self._groups.append([])
                room = _words(tensor.device)
            self._groups[-1].append(tensor)
            room -= tensor.numel()
        self._ends = [_ends(each) for each in self._groups]

    def __call__(self) -> Tensor:
        """Return the digest of each tensor, int64 (tensors,), on their device."""
        groups = zip(self._groups, self._ends, strict=True)
        return torch.cat([_of_several(each, ends) if len(each) > 1 else _of_one(each[0]) for each, ends in groups])


def folded(digests: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Return digests of 64 bits as ones of 32."""
    whole = digests.view(np.uint64)
    return ((whole ^ (whole >> np.uint64(32))) & np.uint64(LOW)).astype(np.uint32)


def _words(device: torch.device) -> int:
    """Words that are mixed at a time: what a core's cache holds; on a GPU, where each operation has a price, 32 MB."""
    return CACHED if device.type == "cpu" else WORDS


def _of_one(tensor: Tensor) -> Tensor:
    """The digest of a tensor, int64 (1,)."""
    flat = _flat(tensor)
    step = _words(flat.device)
    if len(flat) <= step:
        return _mixed(flat ^ _keys(step, flat.device)[: len(flat)]).sum(0, keepdim=True)
    parts = zip(torch.split(flat, step), torch.split(_keys(len(flat), flat.device), step), strict=True)
    sums = [_mixed(part ^ keys).sum() for part, keys in parts]
    return torch.stack(sums).sum(0, keepdim=True)


def _ends(tensors: Sequence[Tensor]) -> Tensor:
    """The ends of tensors in a row, int64 (tensors + 1,), on their device; the first is 0."""
    return torch.tensor([0, *itertools.accumulate(-(-each.numel() // 2) for each in tensors)], device=tensors[0].device)


def _of_several(tensors: Sequence[Tensor], ends: Tensor) -> Tensor:
    """The digests of some tensors, int64 (tensors,), by a few operations for all of them."""
    flat = torch.cat([_flat(each) for each in tensors])
    starts, ends = ends[:-1], ends[1:]
    before = torch.repeat_interleave(starts, ends - starts, output_size=len(flat))
    keys = torch.arange(1, len(flat) + 1, device=flat.device).sub_(before).mul_(GOLDEN)
    sums = torch.nn.functional.pad(_mixed(flat.bitwise_xor_(keys)).cumsum(0), (1, 0))
    return sums[ends] - sums[starts]


def _flat(tensor: Tensor) -> Tensor:
    """The numbers of a tensor in one order, whatever its memory format, two to a word, int64; 0 behind an odd count.

    There is no copy of what is float32, channels-last, and of an even count.
    """
    flat = (tensor.permute(0, 2, 3, 1) if tensor.ndim == 4 else tensor).reshape(-1).float()
    if len(flat) % 2:
        flat = torch.nn.functional.pad(flat, (0, 1))
    return (flat.clone() if flat.storage_offset() % 2 else flat).view(torch.int64)


@lru_cache(maxsize=8)
def _keys(count: int, device: torch.device) -> Tensor:
    """A number for each position."""
    return torch.arange(1, count + 1, device=device).mul_(GOLDEN)


def _mixed(words: Tensor) -> Tensor:
    """Words whose every bit depends on many; changed in place."""
    words.mul_(FIRST)
    words.bitwise_xor_((words >> 32).bitwise_and_(LOW))
    return words.mul_(SECOND)
