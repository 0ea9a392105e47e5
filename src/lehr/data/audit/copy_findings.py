"""Findings of near copies: which images of a group of copies are too many, and of what they are copies."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path

from lehr.data.audit.findings import Finding, FindingKind
from lehr.data.audit.near_copies import find_near_copies
from lehr.sample import Dataset

KEPT = ("test", "val", "train")
"""Splits in the order in which they keep an image that two of them have."""
IDENTICAL = 1.0


def near_copy_findings(
    dataset: Dataset, say: Callable[[str], None] = lambda line: None
) -> tuple[list[Finding], list[Path]]:
    """Find images that are near copies of others.

    Of a group, the test split keeps its images, else the validation split; in the other splits each is a leak. Within a
    split, the first keeps its place.

    Args:
        dataset: the data set.
        say: called with progress messages.

    Returns:
        The findings, and the images that cannot be read.
    """
    order = [split for split in KEPT if split in dataset.splits]
    order += [split for split in dataset.splits if split not in order]
    placed = [(sample, number) for number, split in enumerate(order) for sample in dataset.splits[split]]
    samples, splits = [sample for sample, _ in placed], [number for _, number in placed]
    copies = find_near_copies(samples, splits, say)
    links: dict[int, dict[int, float]] = defaultdict(dict)
    for low, high, score in copies.links:
        links[low][high] = links[high][low] = score
    findings = []
    for group in copies.groups:
        for index in sorted(group):
            across = [each for each in group if splits[each] < splits[index]]
            within = [each for each in group if splits[each] == splits[index] and each < index]
            others = across or within
            if not others:
                continue
            others.sort(key=lambda each: (-links[index].get(each, 0.0), each))
            score = links[index].get(others[0]) or max(links[index].values())
            kind = FindingKind.LEAK if across else FindingKind.COPY
            skip = bool(across) or score == IDENTICAL
            paths = tuple(samples[each].path for each in others)
            reason = _copy_reason(paths, order[splits[others[0]]], links[index].get(others[0]))
            findings.append(Finding(kind, samples[index].path, order[splits[index]], reason, score, paths, None, skip))
    findings.sort(key=lambda each: (each.kind is not FindingKind.LEAK, -each.score, each.image))
    return findings, [samples[index].path for index in copies.unread]


def _copy_reason(others: Sequence[Path], split: str, score: float | None) -> str:
    """Describe which image another is a near copy of.

    Args:
        others: the images that it is near to, the nearest first.
        split: theirs.
        score: how alike it and the nearest are; None if they are linked through others alone.
    """
    more = f", and {len(others) - 1} more" if len(others) > 1 else ""
    if score is None:
        return f"of one series of near copies with {split} image {others[0].name}{more}"
    if score == IDENTICAL:
        return f"the same file as {split} image {others[0].name}{more}"
    return f"a near copy of {split} image {others[0].name}{more} (correlation {score:.2f} once aligned)"
