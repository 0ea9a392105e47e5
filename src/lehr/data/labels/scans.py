"""Scan of a data set's images and label files, in columns, before its classes are known."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.data.labels.rows import LabelRows
from lehr.sample import Fault, Severity


@dataclass(frozen=True, slots=True, eq=False)
class ImageScan:
    """The content of an image's two files.

    Attributes:
        width: of the image, pixels; 0 if it cannot be used.
        height: of the image, pixels; 0 if it cannot be used.
        rows: of the label file; None if there is none, or if it cannot be used.
        fault: why the image cannot be used; None if it can.
        note: what its header says that somebody should know; None if that is nothing.
    """

    width: int
    height: int
    rows: LabelRows | None
    fault: Fault | None = None
    note: Fault | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Scans:
    """The content of many images' files, in columns.

    Attributes:
        sizes: int32 (images, 2), width and height, pixels; 0 if an image cannot be used.
        labelled: bool (images,), whether there is a label file that can be used.
        counts: int32 (images,), rows of each label file.
        lengths: int32 (rows,), numbers of each row.
        lines: int32 (rows,), its line in the file.
        values: float64, all numbers of all rows.
        words: lines that are not numbers alone, with their text, by image.
        encodings: encodings that are not UTF-8, by image.
        habits: other ways of writing, by image, as `LabelRows` has them.
        faults: why images cannot be used, by image.
        notes: what headers say, by image.
    """

    sizes: NDArray[np.int32]
    labelled: NDArray[np.bool_]
    counts: NDArray[np.int32]
    lengths: NDArray[np.int32]
    lines: NDArray[np.int32]
    values: NDArray[np.float64]
    words: Mapping[int, tuple[tuple[int, str], ...]] = field(default_factory=dict)
    encodings: Mapping[int, str] = field(default_factory=dict)
    habits: Mapping[int, tuple[tuple[str, int, int], ...]] = field(default_factory=dict)
    faults: Mapping[int, Fault] = field(default_factory=dict)
    notes: Mapping[int, Fault] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.sizes)

    def scans(self, images: NDArray[np.int64]) -> Iterator[ImageScan]:
        """The scan of each of some images; arrays are views."""
        row_ends = np.cumsum(self.counts)
        value_ends = np.concatenate(([0], np.cumsum(self.lengths, dtype=np.int64)))
        for image in images.tolist():
            (width, height), end = self.sizes[image].tolist(), int(row_ends[image])
            start = end - int(self.counts[image])
            rows = None
            if self.labelled[image]:
                rows = LabelRows(
                    self.values[value_ends[start] : value_ends[end]],
                    self.lengths[start:end],
                    self.lines[start:end],
                    self.words.get(image, ()),
                    self.encodings.get(image, ""),
                    self.habits.get(image, ()),
                )
            yield ImageScan(width, height, rows, self.faults.get(image), self.notes.get(image))


def join_scans(scans: Sequence[ImageScan]) -> Scans:
    """Join the scans of single images, in their order."""
    files = [scan.rows for scan in scans]
    found = [rows for rows in files if rows is not None]
    return Scans(
        np.array([(scan.width, scan.height) for scan in scans], np.int32).reshape(-1, 2),
        np.array([rows is not None for rows in files], np.bool_),
        np.array([0 if rows is None else len(rows.lengths) for rows in files], np.int32),
        np.concatenate([np.zeros(0, np.int32), *(rows.lengths for rows in found)]),
        np.concatenate([np.zeros(0, np.int32), *(rows.lines for rows in found)]),
        np.concatenate([np.zeros(0), *(rows.values for rows in found)]),
        {index: rows.words for index, rows in enumerate(files) if rows is not None and rows.words},
        {index: rows.encoding for index, rows in enumerate(files) if rows is not None and rows.encoding},
        {index: rows.habits for index, rows in enumerate(files) if rows is not None and rows.habits},
        {index: scan.fault for index, scan in enumerate(scans) if scan.fault is not None},
        {index: scan.note for index, scan in enumerate(scans) if scan.note is not None},
    )


def to_columns(scans: Scans) -> tuple[dict[str, NDArray[Any]], dict[str, Any]]:
    """Take scans apart into arrays and JSON; faults are not stored, as their causes may be fixed from outside."""
    arrays: dict[str, NDArray[Any]] = {name: getattr(scans, name) for name in ARRAYS}
    notes = {image: [note.kind, note.message, str(note.severity)] for image, note in scans.notes.items()}
    rest = {"words": scans.words, "encodings": scans.encodings, "habits": scans.habits, "notes": notes}
    return arrays, rest


def from_columns(arrays: Mapping[str, NDArray[Any]], rest: Mapping[str, Any], images: Sequence[str]) -> Scans | None:
    """Reassemble what `to_columns` took apart; None if it does not fit together.

    Args:
        arrays: the arrays by name.
        rest: what is JSON.
        images: the image files, which notes are about.
    """
    try:
        columns = {name: arrays[name] for name in ARRAYS}
        if any(
            columns[name].dtype != kind or columns[name].ndim != 1 + (name == "sizes") for name, kind in ARRAYS.items()
        ):
            return None
        count, rows = len(images), int(columns["counts"].sum())
        fits = columns["sizes"].shape == (count, 2) and len(columns["counts"]) == len(columns["labelled"]) == count
        fits &= len(columns["lengths"]) == len(columns["lines"]) == rows
        fits &= len(columns["values"]) == columns["lengths"].sum(dtype=np.int64)
        if not fits or min(columns["counts"].min(initial=0), columns["lengths"].min(initial=0)) < 0:
            return None
        words = {int(i): tuple((int(line), str(text)) for line, text in each) for i, each in rest["words"].items()}
        encodings = {int(i): str(each) for i, each in rest["encodings"].items()}
        habits = {
            int(i): tuple((str(habit), int(line), int(lines)) for habit, line, lines in each)
            for i, each in rest["habits"].items()
        }
        notes = {
            int(i): Fault(str(kind), Path(images[int(i)]), str(message), severity=Severity(severity))
            for i, (kind, message, severity) in rest["notes"].items()
        }
    except (KeyError, IndexError, TypeError, ValueError, AttributeError):
        return None
    return Scans(
        columns["sizes"],
        columns["labelled"],
        columns["counts"],
        columns["lengths"],
        columns["lines"],
        columns["values"],
        words,
        encodings,
        habits,
        notes=notes,
    )


ARRAYS: dict[str, type[np.generic]] = {
    "sizes": np.int32,
    "labelled": np.bool_,
    "counts": np.int32,
    "lengths": np.int32,
    "lines": np.int32,
    "values": np.float64,
}
"""Type of each array of `Scans`, by name."""
