"""Background share: images without any object make up a given share of an epoch, however many the data set has.

They teach what not to detect. Too few may not be enough to learn it, and many take time from the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from lehr.errors import InputError
from lehr.sample import Sample
from lehr.technique import NoEffect, Run, Section, State, Switch, Technique, once_a_split, training_samples


def with_background_share(
    weights: NDArray[np.float64], background: NDArray[np.bool_], share: float
) -> NDArray[np.float64]:
    """Scale the weights of images without objects, and of those with, so that the former have a share of their sum.

    Args:
        weights: (images,), above 0; within each of the two kinds they keep their proportions.
        background: (images,), true for images without any object.
        share: of the images without objects, 0 up to 1.

    Returns:
        (images,), 1 together.

    Raises:
        InputError: one kind with a share has no images.
    """
    without, others = weights[background].sum(), weights[~background].sum()
    if share > 0 and without == 0:
        raise InputError(
            f"--background-share {share:g}: each of the {len(weights)} training images has an object. Add images "
            "without objects to the training split (with an empty label file), or omit the option."
        )
    if share < 1 and others == 0:
        raise InputError(f"--background-share {share:g}: none of the {len(weights)} training images has an object.")
    scaled = np.where(background, share * weights / (without or 1), (1 - share) * weights / (others or 1))
    return np.asarray(scaled / scaled.sum())


def _value(share: float | None) -> str:
    return "" if share is None else f"images without objects are {100 * share:.3g}% of an epoch"


def why_no_background(images: int, background: int) -> str | None:
    """Return why a background share changes nothing in a split; None if it does.

    Args:
        images: of the split.
        background: those without objects.
    """
    return None if background else f"each of the {images} training images has an object"


@once_a_split
def _count(samples: Sequence[Sample]) -> int:
    """Images without objects."""
    return sum(not len(sample.classes) for sample in samples)


def _without_effect(run: Run) -> dict[str, NoEffect]:
    samples = None if run.config.data.background_share is None else training_samples(run)
    if samples is None:
        return {}
    why = why_no_background(len(samples), _count(samples))
    return {} if why is None else {"background_share": NoEffect(why)}


TECHNIQUE = Technique(
    name="background share",
    page="background-share",
    section=Section.DATA,
    order=34,
    options=("background_share",),
    without_effect=_without_effect,
    why="shows images without objects as often as is useful, not as often as they occur",
    state=lambda run: State(run.config.data.background_share is not None, _value(run.config.data.background_share)),
    # Not in `all`: a data set whose images all have objects cannot turn it on.
    switches=(Switch("background_share", {"background_share": 0.1}, {"background_share": None}, in_all=False),),
    code=("techniques/sampling.py",),
)
