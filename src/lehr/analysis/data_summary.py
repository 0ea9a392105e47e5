"""Numbers of the data that a run trains on, small enough to be kept in its folder: a page needs no data for them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Annotated, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from lehr.data.faults import group_faults
from lehr.errors import InputError
from lehr.models.limits import MAX_CLASSES, MAX_NAME
from lehr.runtime.atomic_write import atomic_file
from lehr.runtime.plain_text import as_json, one_line
from lehr.runtime.reading import MIB, read_file
from lehr.sample import Dataset, Fault, Sample
from lehr.techniques.autoanchor import Sizes, measure, object_sizes

DATA_SUMMARY = "data.json"
"""File of a run's folder."""
MAX_FILE = 32 * MIB
"""Bytes of that file at most."""
GRID = 20
"""Cells of a side of the heat map of positions."""
SIDE_STEPS = 27
"""Bins of sides: half octaves around 1, 1.4, 2, 2.8, ... 8192 pixels."""
RATIO_STEPS = 6
"""Bins of aspect ratios to either side of 1: half octaves around 1/8, ... 1, 1.4, ... 8."""
MAX_POINTS = 600
"""Objects whose width and height are kept one by one."""
MAX_FAULTS, MAX_TEXT = 3, 400
"""Faults of a kind that are kept one by one, and characters of their text."""
MAX_SOURCE = 4000

Count = Annotated[int, Field(ge=0, le=2**53)]
Pixels = Annotated[float, Field(ge=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Pair = tuple[Pixels, Pixels]


class _Content(BaseModel):
    """Content that is read strictly: no text for a number."""

    model_config = ConfigDict(strict=True, extra="ignore", frozen=True)


class SplitSummary(_Content):
    """Numbers of a split.

    Attributes:
        images: images.
        background: images without an object.
        difficult: objects that an evaluation ignores.
        ignored: regions that are not objects, and that an evaluation ignores.
        objects: objects of each class.
        images_with: images that have objects of each class.
        typical_sides: median square root of the area of each class's objects at the training size, pixels; 0 without.
        positions: centres of objects in each cell of a 20 x 20 grid over the image, rows from the top.
        sides: objects by the square root of their area at the training size, in half octaves around 1, 1.4, ... pixels.
        ratios: objects by width over height, in half octaves around 1/8, ... 1, ... 8; the ends take in what is beyond.
        points: width and height of some objects at the training size, pixels.
        below_stride: objects whose shorter side at the training size is below 8 pixels, the finest stride.
    """

    images: Count
    background: Count
    difficult: Count
    ignored: Count
    objects: Annotated[list[Count], Field(max_length=MAX_CLASSES)]
    images_with: Annotated[list[Count], Field(max_length=MAX_CLASSES)]
    typical_sides: Annotated[list[Pixels], Field(max_length=MAX_CLASSES)]
    positions: Annotated[
        list[Annotated[list[Count], Field(min_length=GRID, max_length=GRID)]], Field(min_length=GRID, max_length=GRID)
    ]
    sides: Annotated[list[Count], Field(min_length=SIDE_STEPS, max_length=SIDE_STEPS)]
    ratios: Annotated[list[Count], Field(min_length=2 * RATIO_STEPS + 1, max_length=2 * RATIO_STEPS + 1)]
    points: Annotated[list[Pair], Field(max_length=MAX_POINTS)]
    below_stride: Count

    @property
    def instances(self) -> int:
        """Objects of all classes."""
        return sum(self.objects)


class AnchorSummary(_Content):
    """Anchors of a model, and their fit to the training split.

    Attributes:
        levels: width and height of each anchor, pixels, level by level, the finest first.
        threshold: largest ratio of an object's and a matching anchor's sides.
        bpr: best possible recall, the share of the objects that any anchor answers for.
    """

    levels: Annotated[list[Annotated[list[Pair], Field(max_length=100)]], Field(max_length=10)]
    threshold: Annotated[float, Field(gt=1, le=1e6)]
    bpr: Share


class FaultSummary(_Content):
    """Faults of a kind.

    Attributes:
        kind: a key of `lehr.data.faults.KINDS`.
        severity: error, warning or note.
        count: how many.
        examples: the first of them, with file and line.
    """

    kind: Annotated[str, Field(max_length=MAX_TEXT)]
    severity: Annotated[str, Field(pattern="^(error|warning|note)$")]
    count: Count
    examples: Annotated[list[Annotated[str, Field(max_length=MAX_TEXT)]], Field(max_length=MAX_FAULTS)]


class DataSummary(_Content):
    """Numbers of the data of a run.

    Attributes:
        source: what `--data` named.
        names: the class names.
        imgsz: the training size, pixels.
        splits: numbers of each split that the run uses, by name.
        anchors: of the model; None if it has none.
        faults: what is wrong with the data, a kind each.
    """

    source: Annotated[str, Field(max_length=MAX_SOURCE)]
    names: Annotated[list[Annotated[str, Field(max_length=MAX_NAME)]], Field(max_length=MAX_CLASSES)]
    imgsz: Annotated[int, Field(ge=1, le=10**6)]
    splits: Annotated[dict[Annotated[str, Field(max_length=100)], SplitSummary], Field(max_length=10)]
    anchors: AnchorSummary | None = None
    faults: Annotated[list[FaultSummary], Field(max_length=200)] = []

    @model_validator(mode="after")
    def _count_of_each_class(self) -> Self:
        """Require a count for each class in every split."""
        for split in self.splits.values():
            of_classes = (split.objects, split.images_with, split.typical_sides)
            if any(len(numbers) != len(self.names) for numbers in of_classes):
                raise ValueError("has no number for some of the classes")
        return self


def summarize_data(dataset: Dataset, imgsz: int) -> DataSummary:
    """Summarize a data set.

    Args:
        dataset: what is trained on.
        imgsz: the training size, pixels.
    """
    classes = len(dataset.names)
    return DataSummary(
        source=one_line(dataset.source)[:MAX_SOURCE],
        names=[name.encode(errors="replace").decode() for name in dataset.names],  # JSON holds no halves of characters
        imgsz=imgsz,
        splits={name: summarize_split(samples, classes, imgsz) for name, samples in dataset.splits.items()},
        faults=_summarize_faults(dataset.faults),
    )


def summarize_split(samples: Sequence[Sample], classes: int, imgsz: int) -> SplitSummary:
    """Summarize a split.

    Args:
        samples: its images.
        classes: how many there are.
        imgsz: the training size, pixels.
    """
    counts = np.array([len(sample.classes) for sample in samples], np.int64)
    labels = np.concatenate([np.zeros(0, np.int64), *(sample.classes for sample in samples)])
    of_image = np.arange(len(samples)).repeat(counts)
    images_with = np.unique(of_image * classes + labels) % max(classes, 1)
    sizes = object_sizes(samples, imgsz)
    sides, ratios = np.sqrt(sizes.prod(1)), sizes[:, 0] / np.maximum(sizes[:, 1], 1e-9)
    return SplitSummary(
        images=len(samples),
        background=int((counts == 0).sum()),
        difficult=sum(0 if sample.difficult is None else int(sample.difficult.sum()) for sample in samples),
        ignored=sum(len(sample.ignored.classes) for sample in samples),
        objects=np.bincount(labels, minlength=classes).tolist(),
        images_with=np.bincount(images_with, minlength=classes).tolist(),
        typical_sides=_typical_sides(sides, labels, classes),
        positions=_positions(samples, counts),
        sides=_half_octaves(sides, 0, SIDE_STEPS - 1),
        ratios=_half_octaves(ratios, -RATIO_STEPS, RATIO_STEPS),
        points=[(round(w, 1), round(h, 1)) for w, h in sizes[_spread(len(sizes), MAX_POINTS)].tolist()],
        below_stride=int((sizes.min(1, initial=np.inf) < 8).sum()),
    )


def summarize_anchors(levels: NDArray[np.float64], sizes: Sizes, threshold: float) -> AnchorSummary:
    """Summarize anchors and their fit.

    Args:
        levels: (levels, anchors per level, 2), pixels.
        sizes: of the objects at the training size, (n, 2), pixels.
        threshold: largest ratio of an object's and a matching anchor's sides.
    """
    pairs = [[(float(w), float(h)) for w, h in level] for level in levels.tolist()]
    return AnchorSummary(levels=pairs, threshold=float(threshold), bpr=measure(levels, sizes, threshold).bpr)


def half_octaves(first: int, last: int) -> list[float]:
    """Return the middles of bins of half an octave each, 2 to the power of `first / 2`, ..., `last / 2`."""
    return [2.0 ** (step / 2) for step in range(first, last + 1)]


def save_data_summary(path: Path, summary: DataSummary) -> None:
    """Write a summary; the file appears whole or not at all.

    Raises:
        InputError: it cannot be written.
    """
    with atomic_file(path, "Make room, or choose another --project.") as temporary:
        temporary.write_text(as_json(summary.model_dump(mode="json")), encoding="utf-8")


def load_data_summary(path: Path) -> DataSummary | None:
    """Read a summary, which a stranger may have written; None if there is none.

    Raises:
        InputError: it is none that Lehr wrote.
    """
    try:
        text = read_file(path, MAX_FILE, links=False)
        return DataSummary.model_validate_json(text)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}). Remove it.") from None
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, RecursionError):
        raise InputError(f"{path}: is not a summary of data that Lehr wrote. Remove it.") from None


def _positions(samples: Sequence[Sample], counts: NDArray[np.int64]) -> list[list[int]]:
    """Count the centres of objects in each cell of a grid over the images."""
    boxes = np.concatenate([np.zeros((0, 4)), *(sample.boxes for sample in samples)])
    images = np.array([(sample.width, sample.height) for sample in samples], np.float64).reshape(-1, 2)
    centres = (boxes[:, :2] + boxes[:, 2:]) / 2 / images.repeat(counts, 0)
    columns, rows = np.clip((centres * GRID).astype(np.int64), 0, GRID - 1).T
    cells = np.bincount(rows * GRID + columns, minlength=GRID * GRID)
    grid: list[list[int]] = cells.reshape(GRID, GRID).tolist()
    return grid


def _half_octaves(values: NDArray[np.float64], first: int, last: int) -> list[int]:
    """Count values in bins around the powers of the square root of 2 from `first` to `last`."""
    steps = np.rint(2 * np.log2(np.maximum(values, 1e-9))).astype(np.int64)
    counted: list[int] = np.bincount(np.clip(steps, first, last) - first, minlength=last - first + 1).tolist()
    return counted


def _spread(count: int, most: int) -> NDArray[np.int64]:
    """Return indices of `most` of `count` items at most, spread evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, most)).astype(np.int64))


def _summarize_faults(faults: Iterable[Fault]) -> list[FaultSummary]:
    """Count faults by severity and kind, errors first, the most frequent first."""
    return [
        FaultSummary(
            kind=group.kind,
            severity=str(group.severity),
            count=len(group.faults),
            examples=[str(fault)[:MAX_TEXT] for fault in group.faults[:MAX_FAULTS]],
        )
        for group in group_faults(faults)
    ]


def _typical_sides(sides: NDArray[np.float64], labels: NDArray[np.int64], classes: int) -> list[float]:
    """Return the median side of the objects of each class, pixels; 0 for a class without objects."""
    order = np.argsort(labels, kind="stable")
    starts = np.searchsorted(labels[order], np.arange(1, classes))
    return [round(float(np.median(each)), 1) if len(each) else 0.0 for each in np.split(sides[order], starts)]
