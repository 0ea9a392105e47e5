"""Image weights: images are drawn the more often the rarer, and the worse detected so far, their classes are.

An image's weight is the sum over its objects of `w_c (1 - AP_c)^2`, with w_c the inverse class frequency and AP_c the
class's mAP50-95 in the last validation; `sampling` draws an epoch's images in proportion.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, once_a_split, training_samples
from lehr.techniques.class_weights import class_counts, class_weights


def class_importance(weights: NDArray[np.float64], precision: NDArray[np.float64]) -> NDArray[np.float64]:
    """Compute the weight that an object of each class adds to its image, `w_c (1 - AP_c)^2`.

    Args:
        weights: w_c, the inverse frequency of each class, of any shape.
        precision: AP_c, each class's average precision, 0 to 1, of the same shape.
    """
    return np.asarray(weights * (1 - precision) ** 2)


def image_weights(samples: Sequence[Sample], precision: Sequence[float]) -> NDArray[np.float64]:
    """Share of each image in an epoch; images without objects get the smallest of the others.

    Args:
        samples: the training split.
        precision: each class's average precision in the last validation, 0 to 1; zeros before the first.
    """
    counts = class_counts(samples, len(precision))
    of_class = class_importance(np.array(class_weights(counts)), np.array(precision))
    weights = np.array([of_class[sample.classes].sum() for sample in samples])
    positive = weights[weights > 0]
    weights = np.maximum(weights, positive.min() if len(positive) else 1.0)
    return np.asarray(weights / weights.sum())


@once_a_split
def _alike(samples: Sequence[Sample]) -> bool:
    """Return whether all images with objects have equally many of each class."""
    return len({tuple(sorted(sample.classes.tolist())) for sample in samples} - {()}) <= 1


def _without_effect(run: Run) -> dict[str, NoEffect]:
    samples = training_samples(run) if run.config.data.image_weights else None
    if samples is None or not _alike(samples):
        return {}
    return {"image_weights": NoEffect("all images have equally many objects of each class", acts_as=False)}


TECHNIQUE = Technique(
    name="image weights",
    page="image-weights",
    section=Section.DATA,
    order=30,
    options=("image_weights",),
    without_effect=_without_effect,
    why="images with rare, badly found classes are seen more often",
    state=lambda run: State(run.config.data.image_weights, "by class frequency and precision"),
    switches=(Switch("image_weights", {"image_weights": True}, {"image_weights": False}),),
)
