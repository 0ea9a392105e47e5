"""Splitting a data set: reproducible, and stratified by class.

Every split gets its share of each class, including the rare ones. Images are dealt out by iterative stratification
(Sechidis et al., "On the Stratification of Multi-Label Data", 2011): the class with the fewest undealt objects goes
first, and each image with it goes to the split that still wants most of that class.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.errors import InputError
from lehr.rng import generator
from lehr.sample import SPLITS, Sample

DEFAULT_RATIOS = {"train": 0.7, "val": 0.3}
"""Default shares of splits."""


def parse_ratios(text: str) -> dict[str, float]:
    """Ratios by split from text such as `0.7,0.3` (train, val) or `0.7,0.2,0.1` (train, val, test).

    Raises:
        InputError: not two or three positive numbers with the sum 1.
    """
    try:
        ratios = [float(part) for part in text.replace("/", ",").split(",")]
    except ValueError:
        ratios = []
    if sum(ratios) > 1.5:
        ratios = [ratio / 100 for ratio in ratios]
    if len(ratios) not in (2, 3) or min(ratios) <= 0 or abs(sum(ratios) - 1) > 1e-6:
        raise InputError(f"--ratios {text}: must be two or three positive numbers with the sum 1, e.g. 0.7,0.3.")
    return dict(zip(SPLITS, ratios, strict=False))


def split_samples(
    samples: Sequence[Sample], ratios: Mapping[str, float], seed: int = 0, groups: Sequence[int] | None = None
) -> dict[str, list[Sample]]:
    """Deal samples out to splits.

    Args:
        samples: all of them.
        ratios: share of each split; they add up to 1.
        seed: the same seed deals the same samples the same way.
        groups: number of each sample's group, counted from 0 in the order of the samples; those of one stay together.
            None if each is its own.

    Returns:
        Samples by split, each in the order given.
    """
    of_sample = np.arange(len(samples)) if groups is None else np.asarray(groups, np.int64)
    sizes = np.bincount(of_sample)
    counts = np.zeros((len(sizes), (counted := _class_counts(samples)).shape[1]), np.int64)
    np.add.at(counts, of_sample, counted)
    shuffled = generator(seed, "split").permutation(len(sizes))
    share = np.array(list(ratios.values()))
    wanted_images = share * len(samples)
    wanted = share[:, None] * counts.sum(0)  # (splits, classes)
    target = np.full(len(sizes), -1)
    undealt = np.ones(len(sizes), bool)
    while undealt.any():
        left = (counts * undealt[:, None]).sum(0)
        if left.any():
            rarest = int(np.where(left > 0, left, np.iinfo(np.int64).max).argmin())
            chosen = [i for i in shuffled if undealt[i] and counts[i, rarest] > 0]
        else:
            rarest = -1
            chosen = [i for i in shuffled if undealt[i]]
        for i in chosen:
            need = wanted[:, rarest] if rarest >= 0 else wanted_images
            # Among splits that want the class equally, the one that wants most images; a full split takes none.
            to = int(np.lexsort((wanted_images, np.where(wanted_images > 0, need, -np.inf)))[-1])
            target[i] = to
            wanted[to] -= counts[i]
            wanted_images[to] -= sizes[i]
            undealt[i] = False
    return {
        split: [sample for sample, to in zip(samples, target[of_sample], strict=True) if to == index]
        for index, split in enumerate(ratios)
    }


def _class_counts(samples: Sequence[Sample]) -> NDArray[np.int64]:
    classes = max((int(sample.classes.max()) + 1 for sample in samples if len(sample.classes)), default=0)
    return (
        np.stack([np.bincount(sample.classes, minlength=classes) for sample in samples])
        if samples
        else np.zeros((0, classes), np.int64)
    )
