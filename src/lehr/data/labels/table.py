"""The rows of all label files of a data set, as one table of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.labels.scans import Scans
from lehr.runtime.counted import counted
from lehr.sample import Fault, Severity

Rows = NDArray[np.intp]
"""Indices of rows of a table, ascending."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """All rows of a data set, in the order of files and lines.

    Attributes:
        values: float64, all numbers, one row after the other.
        starts: (rows,), index of each row's first number.
        lengths: (rows,), how many numbers each row has.
        files: (rows,), index of the file of each row.
        lines: (rows,), its line there, from 1.
        sizes: float64 (files, 2), width and height of each file's image, pixels.
        paths: the label files.
    """

    values: NDArray[np.float64]
    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    files: NDArray[np.int64]
    lines: NDArray[np.int64]
    sizes: NDArray[np.float64]
    paths: Sequence[Path]

    def __len__(self) -> int:
        return len(self.starts)

    def columns(self, rows: Rows, first: int, end: int) -> NDArray[np.float64]:
        """The numbers from `first` up to `end` of rows that have as many, (n, end - first)."""
        return np.asarray(self.values[self.starts[rows][:, None] + np.arange(first, end)])

    def image_sizes(self, rows: Rows) -> NDArray[np.float64]:
        """Width and height of each row's image, (n, 2), pixels."""
        return self.sizes[self.files[rows]]

    def count(self, rows: Rows) -> str:
        """Say how many lines in how many files some rows are."""
        return amount(len(rows), len(np.unique(self.files[rows])))

    def fault(self, row: int, kind: str, message: str, severity: Severity = Severity.ERROR) -> Fault:
        """A fault at the place of a row."""
        return Fault(kind, self.paths[int(self.files[row])], message, int(self.lines[row]), severity)


def join_rows(scans: Scans, paths: Sequence[Path], more: Sequence[tuple[int, int, Sequence[float]]] = ()) -> LabelTable:
    """Make a table of the rows of label files.

    Args:
        scans: what was read of each image and its label file.
        paths: the label files.
        more: further rows: the file's index, the line, the numbers.
    """
    lengths, lines = scans.lengths.astype(np.int64), scans.lines.astype(np.int64)
    owners, values = np.repeat(np.arange(len(scans)), scans.counts), scans.values
    if more:
        extra = sorted(more, key=lambda row: row[:2])
        lengths = np.concatenate((lengths, np.array([len(row) for *_, row in extra], np.int64)))
        lines = np.concatenate((lines, np.array([line for _, line, _ in extra], np.int64)))
        owners = np.concatenate((owners, np.array([file for file, *_ in extra], np.int64)))
        values = np.concatenate([values, *(np.asarray(row, float) for *_, row in extra)])
    starts = np.cumsum(lengths) - lengths
    if more:
        order = np.lexsort((lines, owners))
        starts, lengths, owners, lines = starts[order], lengths[order], owners[order], lines[order]
    return LabelTable(values, starts, lengths, owners, lines, scans.sizes.astype(np.float64), paths)


def amount(lines: int, files: int) -> str:
    """Say a number of lines and files, e.g. "3 lines in 2 files"."""
    return f"{counted(lines, 'line')} in {counted(files, 'file')}"
