"""The one in-memory form behind every data layout."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.runtime.plain_text import one_line

SPLITS = ("train", "val", "test")
BROKEN = frozenset(
    {
        "ambiguous-image",
        "dangling-link",
        "other-size",
        "too-large-image",
        "too-many-objects",
        "truncated-image",
        "unread-image",
        "unreadable-folder",
        "unreadable-image",
        "unreadable-label",
    }
)
"""Errors of whole files: training skips such images only on request."""

REFUSED = frozenset({"class-out-of-range", "doubtful-labels", "unknown-class-name"})
"""Faults of labels that would teach something else than was labelled: training refuses them."""


class Severity(StrEnum):
    """Severity of a fault.

    An error fails `lehr data check`, and what cannot be used is skipped; a warning only looks wrong; a note says how
    something was read that could have been meant otherwise.
    """

    ERROR = "error"
    WARNING = "warning"
    NOTE = "note"


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault of a data set.

    Attributes:
        kind: a stable short name, e.g. "class-out-of-range"; `lehr.data.faults` has all of them.
        path: the file it is in.
        message: what is wrong and what to do, without the file and line.
        line: the line in that file, from 1; None if lines have no meaning.
        severity: whether it is an error or a warning.
    """

    kind: str
    path: Path
    message: str
    line: int | None = None
    severity: Severity = Severity.ERROR

    @property
    def place(self) -> str:
        """The file, with the line if there is one; on one line, whatever the file is called."""
        path = one_line(str(self.path))
        return path if self.line is None else f"{path}:{self.line}"

    def __str__(self) -> str:
        return f"{self.place}: {self.severity}: {one_line(self.message)} [{self.kind}]"


@dataclass(frozen=True, slots=True)
class Ignored:
    """Regions of an image in which an evaluation counts a detection neither as right nor as wrong.

    They are not objects: training treats them as background.

    Attributes:
        boxes: float32 (m, 4), xyxy in pixels of the image, inside it and with area.
        classes: int64 (m,), index into the data set's names; only detections of that class are ignored.
        crowd: bool (m,), True for a crowd region (compared by the share of the detection inside it, as COCO does),
            False for an object (compared by IoU, as VOC does with difficult ones).
    """

    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    crowd: NDArray[np.bool_]


NOTHING_IGNORED = Ignored(np.zeros((0, 4), np.float32), np.zeros(0, np.int64), np.zeros(0, np.bool_))
"""Shared by all samples that have no ignored region."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One image and the objects in it.

    Attributes:
        path: the image file.
        width: the image's width, pixels.
        height: the image's height, pixels.
        boxes: float32 (n, 4), xyxy in pixels of the image, inside it and with area.
        classes: int64 (n,), index into the data set's names.
        label_path: the file the objects came from; None when the image has no label file.
        difficult: bool (n,), objects that are trained on, but that an evaluation ignores; None if none is.
        ignored: regions that are not objects, and that an evaluation ignores.
    """

    path: Path
    width: int
    height: int
    boxes: NDArray[np.float32]
    classes: NDArray[np.int64]
    label_path: Path | None = None
    difficult: NDArray[np.bool_] | None = None
    ignored: Ignored = NOTHING_IGNORED

    @property
    def instance_classes(self) -> NDArray[np.int64]:
        """Classes of the objects that an evaluation counts, int64 (k,)."""
        return self.classes if self.difficult is None else self.classes[~self.difficult]

    def renumbered(self, order: NDArray[np.int64]) -> Sample:
        """Return the sample with its classes numbered otherwise, ignored regions too.

        Args:
            order: int64 (classes,), the new number of each class; -1 drops objects of that class.
        """
        classes, ignored = order[self.classes], self.ignored
        kept = classes >= 0
        if len(ignored.classes):
            numbers = order[ignored.classes]
            known = numbers >= 0
            ignored = Ignored(ignored.boxes[known], numbers[known], ignored.crowd[known])
        if kept.all():
            return replace(self, classes=classes, ignored=ignored)
        difficult = None if self.difficult is None else self.difficult[kept]
        return replace(self, boxes=self.boxes[kept], classes=classes[kept], difficult=difficult, ignored=ignored)

    def counted(self) -> Sample:
        """Return the sample with the objects that an evaluation counts alone: no difficult ones, nothing ignored."""
        if self.difficult is None:
            return self if not len(self.ignored.classes) else replace(self, ignored=NOTHING_IGNORED)
        kept = ~self.difficult
        boxes, classes = self.boxes[kept], self.classes[kept]
        return replace(self, boxes=boxes, classes=classes, difficult=None, ignored=NOTHING_IGNORED)

    def without_difficult(self) -> Sample:
        """Return the sample with its difficult objects as ignored regions, which are not trained on."""
        if self.difficult is None:
            return self
        kept, own = ~self.difficult, self.ignored
        ignored = Ignored(
            np.concatenate((own.boxes, self.boxes[self.difficult])),
            np.concatenate((own.classes, self.classes[self.difficult])),
            np.concatenate((own.crowd, np.zeros(int(self.difficult.sum()), np.bool_))),
        )
        return replace(self, boxes=self.boxes[kept], classes=self.classes[kept], difficult=None, ignored=ignored)


@dataclass(frozen=True, slots=True)
class Dataset:
    """A data set as read: its class names, its splits and everything found wrong on the way.

    Attributes:
        source: what `--data` named.
        names: the class names; a class is an index into them.
        splits: samples by split name ("train", "val", "test"); a split that the source lacks is absent.
        faults: what was skipped or looks wrong, in the order found.
        absent: why a split that the source names has no image, as a message with file and line, by split name.
    """

    source: str
    names: tuple[str, ...]
    splits: dict[str, Sequence[Sample]]
    faults: tuple[Fault, ...] = field(default=())
    absent: Mapping[str, str] = field(default_factory=dict)

    @property
    def broken(self) -> tuple[Fault, ...]:
        """The faults that make a whole image unusable."""
        return tuple(fault for fault in self.errors if fault.kind in BROKEN)

    @property
    def errors(self) -> tuple[Fault, ...]:
        """The faults that made something be skipped."""
        return tuple(fault for fault in self.faults if fault.severity is Severity.ERROR)
