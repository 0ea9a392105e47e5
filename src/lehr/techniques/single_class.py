"""Single class: all classes merged, if only the location of an object matters (Girshick et al., R-CNN, 2014)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lehr.sample import Dataset, Sample
from lehr.technique import Section, State, Technique


def as_one_class(dataset: Dataset) -> Dataset:
    """Merge all classes of a data set into one, named "object"; a data set with a single class is unchanged."""
    if len(dataset.names) == 1:
        return dataset
    zero = np.zeros(len(dataset.names), np.int64)
    splits: dict[str, Sequence[Sample]] = {
        split: [sample.renumbered(zero) for sample in samples] for split, samples in dataset.splits.items()
    }
    return dataclasses.replace(dataset, names=("object",), splits=splits)


TECHNIQUE = Technique(
    name="single class",
    page="single-class",
    section=Section.DATA,
    order=40,
    options=("single_cls",),
    why="if only the location matters",
    state=lambda run: State(run.config.data.single_cls, "all classes merged"),
    turn_on="--single-cls",
    turn_off="--no-single-cls",
)
