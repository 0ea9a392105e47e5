"""Class weights: rare classes count more in the loss, so that the common ones do not drown them.

`w_c = (1 / n_c)^power`, scaled so that the mean over all objects is 1. An anchor or point that answers for an object of
class c has its class loss, of all classes together, multiplied by `w_c`; background keeps 1. So the loss as a whole
keeps its size (Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", 2019, which weighs samples so).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from lehr.losses.without_effect import why_no_class_loss
from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, once_a_split, training_samples


def class_counts(samples: Sequence[Sample], classes: int) -> list[int]:
    """Objects of each class.

    Args:
        samples: a split.
        classes: number of classes.
    """
    every = np.concatenate([np.zeros(0, np.int64), *(sample.classes for sample in samples)])
    return [int(count) for count in np.bincount(every, minlength=classes)]


def shown_counts(samples: Sequence[Sample], own: int, replay: float, classes: int) -> list[float]:
    """Objects of each class that an epoch shows on average.

    Args:
        samples: the training split, and behind it the older images to replay.
        own: images of the training split.
        replay: share of the older images, 0 up to 1.
        classes: number of classes.
    """
    counts = np.array(class_counts(samples[:own], classes), np.float64)
    if replay > 0:
        times = own * replay / (1 - replay) / (len(samples) - own)
        counts += times * np.array(class_counts(samples[own:], classes))
    return [float(count) for count in counts]


def class_weights(counts: Sequence[float], power: float = 1.0) -> list[float]:
    """A factor for each class; 1 on average over all objects.

    Args:
        counts: objects of each class; a class without objects counts as one.
        power: 0 weighs all alike, 0.5 mildly, 1 by the full inverse of the frequency.
    """
    objects = np.maximum(np.array(counts, np.float64), 1)
    weights = objects**-power
    return [float(weight) for weight in weights * objects.sum() / (weights * objects).sum()]


@once_a_split
def equally_frequent(samples: Sequence[Sample], classes: int) -> bool:
    """Return whether all classes have equally many objects in a split; one without objects counts as one.

    Args:
        samples: the split.
        classes: number of classes.
    """
    return len({max(count, 1) for count in class_counts(samples, classes)}) == 1


def _without_effect(run: Run) -> dict[str, NoEffect]:
    power = run.config.loss.class_weights
    if (why := why_no_class_loss(run)) is not None:
        return {"class_weights": NoEffect(why)}
    samples = training_samples(run) if power > 0 else None
    replayed = run.config.data.replay > 0 and run.classes > 1  # then the older images count, too
    if samples is None or replayed or not equally_frequent(samples, run.classes):
        return {}
    why = "the data have one class" if run.classes == 1 else "all classes have equally many objects"
    return {"class_weights": NoEffect(why, acts_as=0.0)}


TECHNIQUE = Technique(
    name="class weights",
    page="class-weights",
    section=Section.LOSS,
    order=60,
    options=("class_weights",),
    without_effect=_without_effect,
    why="rare classes count more",
    state=lambda run: State(run.config.loss.class_weights > 0, f"power {run.config.loss.class_weights:g}"),
    switches=(Switch("class_weights", {"class_weights": 0.5}, {"class_weights": 0.0}),),
)
