"""Comparison of two evaluations of the same images: a paired bootstrap over the images (Efron and Tibshirani, 1993).

Each draw takes as many images as there are, with replacement, and measures both evaluations on the same ones: an image
that is drawn twice counts twice, with its objects and its detections. The interval is the percentile interval of the
differences, widened for few images as Student's interval is (Hesterberg, "What Teachers Should Know About the
Bootstrap", 2015): alone it is too narrow by sqrt((n - 1) / n) and by the tails of the t distribution.

A draw is a weight for each image. Recall and precision change only where a detection matches, so that average precision
under weights needs at each match the weights of all matches and of all detections so far, and nothing in between.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lehr.errors import InputError
from lehr.evaluation.matching import IOUS, MatchRecord
from lehr.rng import generator

DRAWS = 2000
LEVEL = 0.95
"""Share of intervals that are to contain the true difference."""
MIN_IMAGES = 10
"""Images from which on an interval says something."""
BLOCK, BLOCK_NUMBERS = 500, 16 * 1024 * 1024
"""Most draws at once, and most numbers (64 MB) of an array of theirs."""

RECALLS = np.linspace(0, 1, 101)
"""Recalls at which COCO takes the precision."""

Verdict = Literal["better", "worse", "no difference"]
Values = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """A difference of two metrics and the interval of it, each -1 to 1.

    Attributes:
        difference: on the images that there are.
        low: lower bound.
        high: upper bound.
    """

    difference: float
    low: float
    high: float

    @property
    def verdict(self) -> Verdict:
        """Better or worse where the interval has 0 outside of it."""
        if self.low > 0:
            return "better"
        return "worse" if self.high < 0 else "no difference"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Comparison of an evaluation with an earlier one of the same images.

    Attributes:
        difference: of mAP50-95, of all detections kept.
        low: lower bound of its interval.
        high: upper bound.
        map50: the same of mAP50.
        images: how many there are.
    """

    difference: float
    low: float
    high: float
    map50: Interval
    images: int

    @property
    def map(self) -> Interval:
        """The difference of mAP50-95 with its interval."""
        return Interval(self.difference, self.low, self.high)

    @property
    def verdict(self) -> Verdict:
        """Better, worse or no difference, by the interval of mAP50-95."""
        return self.map.verdict

    def describe(self, reference: str = "the start") -> str:
        """Return the comparison as the end of a sentence: "better than the start by 0.031 mAP50-95 (0.012 to 0.049)".

        Args:
            reference: names what it is compared with.
        """
        digits = 4 if any(0 < abs(bound) < 0.0005 for bound in (self.low, self.high)) else 3
        low, high = (f"{round(bound, digits) + 0.0:.{digits}f}" for bound in (self.low, self.high))
        if self.verdict == "no difference":
            return f"no difference from {reference} at this sample size ({low} to {high})"
        if self.verdict == "worse":
            low, high = high.lstrip("-"), low.lstrip("-")
        by = f"{abs(self.difference):.{digits}f}"
        return f"{self.verdict} than {reference} by {by} mAP50-95 ({low} to {high})"


def compare(
    before: MatchRecord, after: MatchRecord, *, draws: int = DRAWS, level: float = LEVEL, seed: int = 0
) -> Comparison:
    """Compare two evaluations of the same images.

    With fewer than `MIN_IMAGES` images nothing can be said, and the interval is all that is possible.

    Args:
        before: the earlier evaluation.
        after: the later one.
        draws: of the bootstrap.
        level: share of intervals that are to contain the true difference.
        seed: of the draws.

    Raises:
        InputError: they are evaluations of other images or objects.
    """
    same = before.images == after.images and np.array_equal(before.object_ends, after.object_ends)
    if not same or not np.array_equal(before.objects, after.objects):
        raise InputError("The two evaluations cannot be compared: they are of other images or other objects.")
    images = before.images
    ones = np.ones((images, 1))
    point = (average_precision(after, ones) - average_precision(before, ones))[:, 0]
    if np.isnan(point).any():
        raise InputError("The two evaluations cannot be compared: the images have no object.")
    if images < MIN_IMAGES:
        whole = [Interval(float(value), -1.0, 1.0) for value in point]
    else:
        widest = max(images, *(np.diff(each.ends, prepend=0).max() for each in (before, after)))
        size = max(1, min(BLOCK, BLOCK_NUMBERS // int(widest)))
        blocks = _weights(images, draws, size, seed)
        found = [average_precision(after, each) - average_precision(before, each) for each in blocks]
        bounds = np.nanquantile(np.concatenate(found, 1).astype(np.float64), tails(images, level), axis=1)
        whole = [Interval(*values) for values in np.stack((point, *bounds), 1).tolist()]
    return Comparison(whole[0].difference, whole[0].low, whole[0].high, whole[1], images)


def tails(count: int, level: float) -> tuple[float, float]:
    """Return the quantiles of the draws between which the interval lies.

    Args:
        count: of images, `MIN_IMAGES` or more.
        level: share of intervals that are to contain the true difference.
    """
    normal, freedom = NormalDist(), count - 1
    z = normal.inv_cdf((1 + level) / 2)
    # Student's quantile from the normal one (Abramowitz and Stegun, 1964, 26.7.5).
    student = (
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )
    tail = normal.cdf(-((count / freedom) ** 0.5) * student)
    return tail, 1 - tail


def _weights(images: int, draws: int, size: int, seed: int) -> Iterator[NDArray[np.float32]]:
    """Yield the draws in blocks (images, draws): how often each image was drawn; a draw depends on its number alone."""
    for begin in range(0, draws, size):
        drawn = [
            np.bincount(generator(seed, "bootstrap", index=draw).integers(images, size=images), minlength=images)
            for draw in range(begin, min(begin + size, draws))
        ]
        yield np.ascontiguousarray(np.stack(drawn, 1), dtype=np.float32)


def average_precision(record: MatchRecord, weights: Values) -> NDArray[np.float64]:
    """Compute mAP50-95 and mAP50 (2, draws) under weights of the images; NaN in draws that have no object.

    Args:
        record: of an evaluation.
        weights: (images, draws), whole numbers.
    """
    known = torch.from_numpy(weights)
    total, counts = np.zeros((2, weights.shape[1])), np.zeros(weights.shape[1])
    begin = object_begin = 0
    for end, object_end in zip(record.ends.tolist(), record.object_ends.tolist(), strict=True):
        if object_end > object_begin:
            objects = _sums(known, record.objects[object_begin:object_end], np.zeros(1, np.int64))[0]
            part = slice(begin, end)
            found = _of_class(known, record.detections[part], record.hits[part], record.ignored[part], objects)
            present = objects > 0
            total += np.where(present, np.stack((found.mean(0), found[0])), 0)
            counts += present
        begin, object_begin = end, object_end
    with np.errstate(invalid="ignore"):
        return total / counts


def _of_class(
    weights: Tensor,
    detections: NDArray[np.int32],
    hits: NDArray[np.int16],
    ignored: NDArray[np.int16],
    objects: Values,
) -> Values:
    """Compute the average precision of a class at each IoU, (IoUs, draws).

    It is the mean of the interpolated precision at the recalls 0, 0.01, ... 1: from the last match to the first, the
    highest precision so far counts for the recalls that the match reaches.

    Args:
        weights: (images, draws).
        detections: (n,), the image of each detection; the last one matches.
        hits: (n,), at which IoUs each matches.
        ignored: (n,), at which IoUs each does not count.
        objects: (draws,), the weight of all objects.
    """
    matched = np.flatnonzero(hits)
    shape = IOUS, weights.shape[1]
    kind = objects.dtype
    if not len(matched):
        return np.zeros(shape, kind)
    of_match = weights[torch.from_numpy(detections[matched]).long()].numpy()  # (matches, draws)
    since = _sums(weights, detections, np.concatenate(([0], matched[:-1] + 1)))  # (matches, draws), of each stretch
    bits = _bits(hits[matched]).astype(kind)  # (matches, IoUs)
    apart = _ignored_at(weights, detections, ignored, matched)
    right = bits.T @ of_match
    counted = np.repeat(since.sum(0, dtype=kind)[None], IOUS, 0)
    for each in apart.values():
        counted -= each
    every = np.maximum(objects, 1)
    best, area = np.zeros(shape, kind), np.zeros(shape, kind)
    reached, precision = _reached(right, every), np.empty(shape, kind)
    for index in range(len(matched) - 1, -1, -1):
        np.maximum(counted, 1, out=precision)
        np.divide(right, precision, out=precision)
        np.maximum(best, precision, out=best)
        right -= bits[index][:, None] * of_match[index]
        before = _reached(right, every)
        area += best * (reached - before)
        reached = before
        counted -= since[index]
        if index in apart:
            counted += apart[index]
    return (area + best) / 101


def _reached(right: Values, objects: Values) -> Values:
    """Count the recalls above 0 that matches reach, of 0, 0.01, ... 1.

    Args:
        right: (IoUs, draws), the weight of the matches.
        objects: (draws,), the weight of all objects, 1 or more.
    """
    reached: Values = np.floor(100 * right / objects)
    if right.dtype == np.float64:  # bit for bit as the evaluator, in whose list 35 * 0.01 is above 0.35
        reached -= right / objects < RECALLS[reached.astype(np.int64)]
    return reached


def _sums(weights: Tensor, images: NDArray[np.int32], begins: NDArray[np.int64]) -> Values:
    """Sum the weights of images by stretches, (stretches, draws).

    Args:
        weights: (images, draws).
        images: (n,), indices.
        begins: of each stretch; the last one ends with the indices.
    """
    sums = torch.nn.functional.embedding_bag(
        torch.from_numpy(images).long(), weights, torch.from_numpy(begins), mode="sum"
    )
    values: Values = sums.numpy()
    return values


def _bits(values: NDArray[np.int16]) -> NDArray[np.bool_]:
    """Bits of numbers as columns, (n, IoUs)."""
    return (values[:, None] >> np.arange(IOUS)) & 1 > 0


def _ignored_at(
    weights: Tensor, detections: NDArray[np.int32], ignored: NDArray[np.int16], matched: NDArray[np.int64]
) -> dict[int, Values]:
    """Sum the weights (IoUs, draws) that do not count in the stretch up to each match, if there are any."""
    apart: dict[int, Values] = {}
    some = np.flatnonzero(ignored)
    stretches = np.searchsorted(matched, some)
    for stretch, index, bits in zip(stretches.tolist(), some.tolist(), _bits(ignored[some]), strict=True):
        own = weights[int(detections[index])].numpy()
        apart[stretch] = apart.get(stretch, 0) + bits[:, None] * own
    return apart
