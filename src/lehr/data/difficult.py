"""Objects marked as difficult: training on them, or treating them as background."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Literal

from lehr.sample import Dataset, Sample


def with_difficult(dataset: Dataset, use: Literal["use", "ignore"]) -> Dataset:
    """The data set as a run sees it; an evaluation ignores its difficult objects either way.

    Args:
        dataset: as read.
        use: "use" trains on difficult objects; "ignore" treats them as background.
    """
    if use == "use" or not count_difficult(dataset):
        return dataset
    splits = {split: [sample.without_difficult() for sample in samples] for split, samples in dataset.splits.items()}
    return replace(dataset, splits=dict(splits))


def has_difficult(samples: Sequence[Sample]) -> bool:
    """Return whether a split has objects that are marked as difficult, or had them before `with_difficult`."""
    return any(
        (sample.difficult is not None and sample.difficult.any()) or not sample.ignored.crowd.all()
        for sample in samples
    )


def count_difficult(dataset: Dataset) -> int:
    """Objects of all splits that are marked as difficult."""
    samples = [sample for each in dataset.splits.values() for sample in each]
    return sum(int(sample.difficult.sum()) for sample in samples if sample.difficult is not None)
