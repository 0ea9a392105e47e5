"""Sampling: which images each epoch shows and how often, if not each once.

Each technique that chooses images gives every image a weight, combined here into one draw: image weights and repeat
factors are multiplied, and the background share then fixes the total share of images without objects. An epoch always
has as many images as the split, so the steps of the run and their rates are known at the start.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.options import DataOptions
from lehr.rng import generator
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import one_line
from lehr.sample import Sample
from lehr.techniques.background_share import why_no_background, with_background_share
from lehr.techniques.image_weights import image_weights
from lehr.techniques.repeat_factors import class_factors, image_frequencies, repeat_factors, why_no_repeats

NAMED = 5
"""Maximum number of rare classes named when a run starts."""


def epoch_shares(
    samples: Sequence[Sample], options: DataOptions, class_maps: Sequence[float]
) -> NDArray[np.float64] | None:
    """Compute each image's share of an epoch, (images,), 1 together; None if each is shown once.

    Args:
        samples: the training split.
        options: the options that choose images.
        class_maps: each class's mAP50-95 in the last validation; zeros before the first.

    Raises:
        InputError: images without objects have a share, but there are none.
    """
    weights = np.ones(len(samples))
    if options.image_weights:
        weights *= image_weights(samples, class_maps)
    if options.repeat_threshold > 0:
        weights *= repeat_factors(samples, len(class_maps), options.repeat_threshold)
    if options.background_share is not None:
        weights = with_background_share(weights, _background(samples), options.background_share)
    if (weights == weights[0]).all():
        return None
    return np.asarray(weights / weights.sum())


def draw_images(shares: NDArray[np.float64], seed: int, epoch: int) -> list[int]:
    """Draw the images of an epoch, in their order: as many as there are, image i `n * shares[i]` times on average.

    In each epoch it is either the integer below that or the one above, drawn again (systematic sampling with unequal
    shares, in random order; Madow, "On the Theory of Systematic Sampling, II", 1949).

    Args:
        shares: (n,), each image's share of the epoch, 0 or more; 1 together.
        seed: the run's seed.
        epoch: the epoch, from 0.
    """
    rng, count = generator(seed, "sampling", epoch), len(shares)
    order = rng.permutation(count)
    ends = np.cumsum(shares[order])
    points = (rng.random() + np.arange(count)) * (ends[-1] / count)
    # Rounding may move the last point to the end, after all images that have a share.
    points = np.minimum(points, np.nextafter(ends[-1], 0))
    drawn = order[np.searchsorted(ends, points, side="right")]
    return [int(index) for index in rng.permutation(drawn)]


def describe_sampling(
    samples: Sequence[Sample], options: DataOptions, names: Sequence[str], say: Callable[[str], None]
) -> None:
    """Report the effect of repeat factors and the background share on a data set, before training.

    Args:
        samples: the training split.
        options: the options that choose images.
        names: of the classes.
        say: reports what the user should know.

    Raises:
        InputError: images without objects have a share, but there are none.
    """
    if options.repeat_threshold > 0:
        say(_describe_repeats(samples, options.repeat_threshold, names))
    if options.repeat_threshold > 0 and options.image_weights:
        say("--image-weights and --repeat-threshold both favour rare classes: their weights are multiplied.")
    if options.background_share is not None:
        say(_describe_background(samples, options.background_share))


def _background(samples: Sequence[Sample]) -> NDArray[np.bool_]:
    """Images without any object."""
    return np.array([len(sample.classes) == 0 for sample in samples])


def _describe_repeats(samples: Sequence[Sample], threshold: float, names: Sequence[str]) -> str:
    if (why := why_no_repeats(samples, names, threshold)) is not None:
        return f"--repeat-threshold {threshold:g} has no effect: {why}."
    frequencies = image_frequencies(samples, len(names))
    present = np.flatnonzero(frequencies)
    rarest = sorted(present.tolist(), key=lambda index: frequencies[index])
    rare = [index for index in rarest if frequencies[index] < threshold]
    factors = class_factors(frequencies, threshold)
    named = ", ".join(f"{one_line(names[index])} {factors[index]:.3g}" for index in rare[:NAMED])
    more = f" and {len(rare) - NAMED} more" if len(rare) > NAMED else ""
    mean = repeat_factors(samples, len(names), threshold).mean()
    return (
        f"Repeat factors of rare classes: {named}{more}. Their mean over the images is {mean:.3g}; an epoch keeps its "
        f"{counted(len(samples), 'image')}."
    )


def _describe_background(samples: Sequence[Sample], share: float) -> str:
    background = _background(samples)
    with_background_share(np.ones(len(samples)), background, share)
    found, count = int(background.sum()), len(samples)
    if (why := why_no_background(count, found)) is not None:
        return f"--background-share {share:g} has no effect: {why}."
    return (
        f"Images without objects: {found} of {count}, shown as {100 * share:.3g}% of an epoch, each "
        f"{share * count / found:.3g} times on average."
    )
