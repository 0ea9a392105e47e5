"""Single class: all classes as one, where only the place of an object matters (Girshick et al., R-CNN, 2014)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from lehr.sample import Dataset, Sample


def as_one_class(dataset: Dataset) -> Dataset:
    """The same data set with all classes as one, named "object"; one that has a single class stays as it is."""
    if len(dataset.names) == 1:
        return dataset
    splits: dict[str, Sequence[Sample]] = {
        split: [dataclasses.replace(sample, classes=np.zeros_like(sample.classes)) for sample in samples]
        for split, samples in dataset.splits.items()
    }
    return dataclasses.replace(dataset, names=("object",), splits=splits)
