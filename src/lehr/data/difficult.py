"""Objects marked as difficult: training on them, or taking them for background."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from lehr.sample import Dataset


def with_difficult(dataset: Dataset, use: Literal["use", "ignore"]) -> Dataset:
    """The data set as a run sees it; an evaluation ignores its difficult objects either way.

    Args:
        dataset: as read.
        use: "use" trains on difficult objects; "ignore" takes what they show for background.
    """
    if use == "use" or not count_difficult(dataset):
        return dataset
    splits = {split: [sample.without_difficult() for sample in samples] for split, samples in dataset.splits.items()}
    return replace(dataset, splits=dict(splits))


def count_difficult(dataset: Dataset) -> int:
    """Objects of all splits that are marked as difficult."""
    samples = [sample for each in dataset.splits.values() for sample in each]
    return sum(int(sample.difficult.sum()) for sample in samples if sample.difficult is not None)
