"""Findings of an audit: what each names, why, and how sure it is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from lehr.runtime.counted import counted
from lehr.sample import Dataset, Sample

SMALLEST = 8
"""Side of a square, pixels, below whose area an object is too small: a cell of the finest feature map."""


class FindingKind(StrEnum):
    """Kind of a finding, in the order of review."""

    LEAK = "leak"
    COPY = "near copy"
    CLASS = "class of one split"
    SMALL = "too small"
    LABEL = "label"


MEANINGS = {
    FindingKind.LEAK: "near copies in different splits, which make a validation look better than it is",
    FindingKind.COPY: "near copies within a split, which count for more than other images",
    FindingKind.CLASS: "classes that training or validation lacks",
    FindingKind.SMALL: f"objects smaller than {SMALLEST}x{SMALLEST} pixels at the training size",
    FindingKind.LABEL: "labels that are likely wrong",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """Finding about an image that needs attention.

    Attributes:
        kind: its kind.
        image: the image.
        split: its split.
        reason: why, a sentence without a full stop.
        score: certainty or severity, 0 to 1, to rank those of one kind.
        others: other images that it is about, the nearest first.
        box: xyxy, pixels of the image; None if it is about all of it.
        skip: whether the image should be skipped in training.
    """

    kind: FindingKind
    image: Path
    split: str
    reason: str
    score: float
    others: tuple[Path, ...] = ()
    box: tuple[float, float, float, float] | None = None
    skip: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The finding as JSON values."""
        return {
            "kind": str(self.kind),
            "image": str(self.image),
            "split": self.split,
            "reason": self.reason,
            "score": round(self.score, 4),
            "others": [str(path) for path in self.others],
            "box": None if self.box is None else [round(value, 2) for value in self.box],
            "skip": self.skip,
        }


def class_findings(dataset: Dataset) -> list[Finding]:
    """Find classes that training or validation lacks; an image with the class represents it.

    Args:
        dataset: the data set.
    """
    counts = {
        split: np.bincount(
            np.concatenate([np.zeros(0, np.int64), *(sample.classes for sample in samples)]),
            minlength=len(dataset.names),
        )
        for split, samples in dataset.splits.items()
        if len(samples)
    }
    findings = []
    for class_id, name in enumerate(dataset.names):
        has = [split for split in counts if counts[split][class_id]]
        lacks = [split for split in ("train", "val") if split in counts and split not in has]
        if not has or not lacks:
            continue
        sample = next(each for each in dataset.splits[has[0]] if class_id in each.classes)
        objects = ", ".join(f"{counts[split][class_id]} in {split}" for split in has)
        consequence = "cannot be learned" if "train" in lacks else "is never evaluated"
        reason = f"class {name} has no object in {' and '.join(lacks)} ({objects}): it {consequence}"
        findings.append(Finding(FindingKind.CLASS, sample.path, has[0], reason, 1.0 if "train" in lacks else 0.5))
    return sorted(findings, key=lambda each: -each.score)


def small_findings(dataset: Dataset, imgsz: int) -> list[Finding]:
    """Find images with objects that are too small at the training size.

    Args:
        dataset: the data set.
        imgsz: longest side of images in training, pixels.
    """
    findings = [
        finding
        for split, samples in dataset.splits.items()
        for sample in samples
        if (finding := _smallest(sample, split, imgsz)) is not None
    ]
    return sorted(findings, key=lambda each: (-each.score, each.image))


def _smallest(sample: Sample, split: str, imgsz: int) -> Finding | None:
    """The finding of an image's smallest object; None if none is too small."""
    if not len(sample.boxes):
        return None
    longest = max(sample.width, sample.height)
    sides = np.sqrt(np.prod(sample.boxes[:, 2:].astype(np.float64) - sample.boxes[:, :2], axis=1)) * imgsz / longest
    small = int((sides < SMALLEST).sum())
    if not small:
        return None
    at = int(sides.argmin())
    needed = -(-SMALLEST * imgsz / max(float(sides[at]), 1e-6) // 32) * 32
    x1, y1, x2, y2 = sample.boxes[at].tolist()
    remedy = f"; from --imgsz {needed:.0f} on it is larger" if needed <= longest else ""
    reason = (
        f"{small} of {counted(len(sides), 'object')} {'is' if small == 1 else 'are'} below "
        f"{SMALLEST}x{SMALLEST} pixels at "
        f"--imgsz {imgsz}, the smallest {x2 - x1:.0f}x{y2 - y1:.0f} in the image{remedy}"
    )
    score = 1 - float(sides[at]) / SMALLEST
    return Finding(FindingKind.SMALL, sample.path, split, reason, score, (), (x1, y1, x2, y2))
