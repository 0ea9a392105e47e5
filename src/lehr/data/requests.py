"""Requests for batches: which images per epoch or an evaluation asks for, and each process's share of them.

Requests depend on the seed and the epoch alone, so that a run continues with the remaining batches.
"""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from lehr.data.rectangles import alike_together
from lehr.data.tiled_store import Store
from lehr.distributed.collectives import Ranks
from lehr.rng import generator
from lehr.sample import Sample


@dataclass(frozen=True, slots=True)
class BatchRequest:
    """Request for a batch, or for one process's share of it.

    Attributes:
        epoch: the epoch, from 0.
        images: the images to load, by their indices in the split.
        whole: the images of the whole batch, where this is a share; None if it is the whole.
        idle: whether there are fewer images than processes and none is left for this one; the one it loads is a
            placeholder, and counts nothing.
        repeats: for each of `images`, how often the epoch has shown it before; empty if each is shown once.
        shown: int32, indices of all images that the epoch shows, each as often as it does; None if each is shown once.
    """

    epoch: int
    images: list[int]
    whole: list[int] | None = None
    idle: bool = False
    repeats: list[int] = field(default_factory=list)
    shown: NDArray[np.int32] | None = field(default=None, compare=False, repr=False)


def train_requests(
    samples: Sequence[Sample],
    batch: int,
    seed: int,
    epoch: int,
    *,
    drawn: Sequence[int] | None = None,
    rect: bool = False,
    arrange: Callable[[list[int]], list[int]] | None = None,
) -> list[BatchRequest]:
    """Requests of an epoch: all images once, in a new order; the last batch may be smaller.

    Args:
        samples: the training split.
        batch: images per batch.
        seed: the run's seed.
        epoch: the epoch, from 0.
        drawn: the images to take instead, in their order.
        rect: images of similar shape together, the batches in a separate order.
        arrange: from that order to the one in which they are shown; None for that order itself.
    """
    rng = generator(seed, "order", epoch)
    order = rng.permutation(len(samples)).tolist() if drawn is None else list(drawn)
    order = order if arrange is None else arrange(order)
    order = alike_together(order, samples) if rect else order
    starts = range(0, len(order), batch)
    if drawn is None:
        requests = [BatchRequest(epoch, order[start : start + batch]) for start in starts]
    else:
        repeats, shown = _earlier(order), np.array(drawn, np.int32)
        requests = [
            BatchRequest(epoch, order[i : i + batch], repeats=repeats[i : i + batch], shown=shown) for i in starts
        ]
    return [requests[i] for i in rng.permutation(len(requests))] if rect else requests


def _earlier(order: Sequence[int]) -> list[int]:
    """Count for each image of an order how often it came before."""
    counts: Counter[int] = Counter()
    earlier = []
    for index in order:
        earlier.append(counts[index])
        counts[index] += 1
    return earlier


def mix_in(
    requests: Sequence[BatchRequest],
    samples: Sequence[Sample],
    more: Sequence[int],
    counts: Sequence[int],
    *,
    seed: int,
    epoch: int,
    rect: bool = False,
) -> list[BatchRequest]:
    """Add further images to the batches of an epoch, each placed at random among the others.

    Partners of mosaic, mixup, CutMix and copy-paste are drawn from all images of the epoch.

    Args:
        requests: the epoch's batches.
        samples: holds all images.
        more: the further images, by their indices in `samples`, in the order in which they are shown.
        counts: how many of them each batch gets.
        seed: the run's seed.
        epoch: the epoch, from 0.
        rect: give each batch images of similar shape, the flattest to the flattest.
    """
    parts = _cut(more, counts)
    if rect:
        firsts = [samples[request.images[0]] for request in requests]
        ranks = sorted(range(len(requests)), key=lambda i: firsts[i].height / firsts[i].width)
        alike = zip(ranks, _cut(alike_together(more, samples), [counts[i] for i in ranks]), strict=True)
        parts = [part for _, part in sorted(alike)]
    shown = np.array([*itertools.chain(*(request.images for request in requests)), *itertools.chain(*parts)], np.int32)
    earlier = iter(_earlier(list(itertools.chain(*parts))))
    rng, mixed = generator(seed, "mixed-order", epoch), []
    for request, part in zip(requests, parts, strict=True):
        images = [*request.images, *part]
        repeats = [*(request.repeats or [0] * len(request.images)), *itertools.islice(earlier, len(part))]
        order = rng.permutation(len(images)).tolist()
        mixed.append(
            replace(request, images=[images[i] for i in order], repeats=[repeats[i] for i in order], shown=shown)
        )
    return mixed


def _cut(items: Sequence[int], counts: Sequence[int]) -> list[list[int]]:
    """Parts of a list, one after another."""
    ends = list(itertools.accumulate(counts))
    return [list(items[end - count : end]) for end, count in zip(ends, counts, strict=True)]


def eval_requests(store: Store, batch: int, images: range | None = None) -> list[BatchRequest]:
    """Requests of an evaluation: images of similar shape together, so that rectangles are small.

    Args:
        store: holds the images.
        batch: images per batch.
        images: their numbers in the store; None for all.
    """
    order = alike_together(range(len(store.samples)) if images is None else images, store.samples)
    return [BatchRequest(0, order[start : start + batch]) for start in range(0, len(order), batch)]


def shard_requests(requests: Sequence[BatchRequest], ranks: Ranks) -> list[BatchRequest]:
    """One process's share of each batch; all shares together equal the batches of a single process.

    Args:
        requests: whole batches.
        ranks: the processes.
    """
    if not ranks.is_distributed:
        return list(requests)
    shards = [list(ranks.shard(request.images)) for request in requests]
    return [
        replace(
            request,
            images=share or request.images[:1],
            whole=request.images,
            idle=not share,
            repeats=list(ranks.shard(request.repeats)) or request.repeats[:1],
        )
        for request, share in zip(requests, shards, strict=True)
    ]
