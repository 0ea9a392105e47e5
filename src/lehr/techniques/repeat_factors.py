"""Repeat-factor sampling: images of rare classes are shown more often, mildly, by the square root of the rarity.

A class in a share f of the images has the factor `max(1, sqrt(threshold / f))`, and an image the largest factor of its
classes (Gupta, Dollar & Girshick, "LVIS: A Dataset for Large Vocabulary Instance Segmentation", CVPR 2019). There an
epoch grows by the mean factor; here it keeps its length, and `sampling` draws in proportion to the factors.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.runtime.plain_text import one_line
from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, once_a_split, training_samples


def image_frequencies(samples: Sequence[Sample], classes: int) -> NDArray[np.float64]:
    """Compute the share of images that contain each class, (classes,), 0 to 1.

    Args:
        samples: the training split.
        classes: number of classes.
    """
    images, kinds = _objects(samples)
    pairs = np.unique(images * classes + kinds)
    return np.asarray(np.bincount(pairs % classes, minlength=classes) / len(samples))


def class_factors(frequencies: NDArray[np.float64], threshold: float | NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the repeat factor of each class: `max(1, sqrt(threshold / f))`; 1 if it is in no image.

    Args:
        frequencies: f, the share of the images that each class is in, of any shape.
        threshold: share of the images below which a class counts as rare; a number, or of the same shape.
    """
    present = np.where(frequencies > 0, frequencies, 1)
    return np.asarray(np.maximum(1, np.sqrt(threshold / present)))


def repeat_factors(samples: Sequence[Sample], classes: int, threshold: float) -> NDArray[np.float64]:
    """Compute the repeat factor of each image: the largest of its classes'; 1 without objects.

    Args:
        samples: the training split.
        classes: number of classes.
        threshold: share of the images below which a class counts as rare.
    """
    images, kinds = _objects(samples)
    factors = np.ones(len(samples))
    np.maximum.at(factors, images, class_factors(image_frequencies(samples, classes), threshold)[kinds])
    return factors


def _objects(samples: Sequence[Sample]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the image and class of every object."""
    images = np.repeat(np.arange(len(samples)), [len(sample.classes) for sample in samples])
    return images, np.concatenate([np.zeros(0, np.int64), *(sample.classes for sample in samples)])


@once_a_split
def why_no_repeats(samples: Sequence[Sample], names: Sequence[str], threshold: float) -> str | None:
    """Return why the repeat factors of a split are all 1; None if they are not.

    Args:
        samples: the training split.
        names: of the classes.
        threshold: share of the images below which a class counts as rare.
    """
    frequencies = image_frequencies(samples, len(names))
    present = np.flatnonzero(frequencies)
    if not len(present):
        return "no image has an object"
    rarest = min(present.tolist(), key=lambda index: frequencies[index])
    if frequencies[rarest] < threshold:
        return None
    return f"the rarest class, {one_line(names[rarest])}, in {frequencies[rarest]:.3g} of the images, is not below it"


def _without_effect(run: Run) -> dict[str, NoEffect]:
    threshold = run.config.data.repeat_threshold
    if threshold == 0 or run.dataset is None or (samples := training_samples(run)) is None:
        return {}
    why = why_no_repeats(samples, run.dataset.names, threshold)
    return {} if why is None else {"repeat_threshold": NoEffect(why, acts_as=0.0)}


TECHNIQUE = Technique(
    name="repeat factors",
    page="repeat-factors",
    section=Section.DATA,
    order=32,
    options=("repeat_threshold",),
    without_effect=_without_effect,
    why="images of rare classes are shown more often, within bounds",
    state=lambda run: State(
        run.config.data.repeat_threshold > 0,
        f"classes in fewer than {run.config.data.repeat_threshold:.3g} of the images",
    ),
    switches=(Switch("repeat_factors", {"repeat_threshold": 0.1}, {"repeat_threshold": 0.0}),),
    code=("techniques/sampling.py",),
)
