"""Repaired copies of data sets: certain faults are repaired, doubtful data are excluded, and all changes are listed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from lehr.data.groups import content_digest
from lehr.data.write import write_dataset
from lehr.runtime.plain_text import one_line
from lehr.sample import Dataset, Fault, Sample, Severity

CHANGES = "changes.txt"
"""File of a repaired copy that lists the changes."""
CERTAIN = frozenset(
    {"box-outside-image", "box-without-area", "duplicate-box", "duplicate-image", "polygon", "size-disagrees"}
)
"""Errors and warnings that can be repaired automatically; other kinds need someone who knows the data."""


@dataclass(frozen=True, slots=True)
class Mended:
    """Outcome of repairing a data set.

    Attributes:
        dataset: what the copy holds.
        changed: faults repaired in the copy.
        left: faults that remain; images whose own files have one are not in the copy.
        missing: images that are not in the copy.
    """

    dataset: Dataset
    changed: tuple[Fault, ...]
    left: tuple[Fault, ...]
    missing: tuple[Path, ...]


def mend(dataset: Dataset, faults: Sequence[Fault]) -> Mended:
    """Exclude data that cannot be repaired without knowing it.

    Args:
        dataset: as read, with certain faults repaired while reading.
        faults: all known faults, by `check_dataset`.
    """
    changed = [fault for fault in faults if fault.kind in CERTAIN or fault.severity is Severity.NOTE]
    left = [fault for fault in faults if not (fault.kind in CERTAIN or fault.severity is Severity.NOTE)]
    doubtful = {fault.path for fault in left if fault.severity is Severity.ERROR}
    # A label file of many images says nothing about a single one.
    holders: dict[Path | None, int] = defaultdict(int)
    samples = [sample for each in dataset.splits.values() for sample in each]
    for sample in samples:
        holders[sample.label_path] += 1
    duplicates = {fault.path for fault in faults if fault.kind == "duplicate-image"}
    splits: dict[str, Sequence[Sample]] = {}
    missing: list[Path] = []
    for split, own in dataset.splits.items():
        kept: list[Sample] = []
        seen: dict[bytes, Sample] = {}
        for sample in own:
            of_label = holders[sample.label_path] == 1 and sample.label_path in doubtful
            first = seen.setdefault(content_digest(sample.path), sample) if duplicates else sample
            again = first is not sample and sample.path in duplicates
            if again and not _same_objects(first, sample):
                left.append(Fault("duplicate-image", sample.path, f"has other objects than {first.path}"))
            elif not again and not of_label and sample.path not in doubtful:
                kept.append(sample)
                continue
            missing.append(sample.path)
        splits[split] = kept
    return Mended(replace(dataset, splits=splits), tuple(changed), tuple(left), tuple(missing))


def write_mended(mended: Mended, folder: Path) -> None:
    """Write a repaired copy in YOLO layout, with a list of the changes.

    Args:
        mended: the data to write.
        folder: must not exist or be empty.

    Raises:
        InputError: the folder is taken or cannot be written.
    """
    lines = [f"mended: {fault}" for fault in mended.changed]
    lines += [f"not mended: {fault}" for fault in mended.left]
    lines += [f"not in the copy: {one_line(str(path))}" for path in mended.missing]
    text = "\n".join(lines) + "\n"
    write_dataset(mended.dataset, "yolo", folder, {CHANGES: text.encode(errors="surrogateescape")})


def _same_objects(first: Sample, second: Sample) -> bool:
    """Return whether two samples have the same objects in the same order."""
    return np.array_equal(first.boxes, second.boxes) and np.array_equal(first.classes, second.classes)
