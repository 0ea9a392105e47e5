"""Images with label files of YOLO layout beside them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.labels.boxes import FoundObjects, find_objects
from lehr.data.labels.columns import Declared
from lehr.data.labels.rows import NO_ROWS, LabelRows, read_rows
from lehr.data.labels.table import LabelTable, join_rows
from lehr.data.labels.text import UNKNOWN, LabelFault
from lehr.data.labels.words import Tally, read_words
from lehr.data.missing_files import labels_without_image
from lehr.data.objects import CheckedObjects, check_objects, no_objects
from lehr.data.probing import probe
from lehr.data.text_files import LEGACY
from lehr.sample import Fault, Sample

CHUNK = 64
"""Images that a thread reads at a time."""

READERS = 8
"""Threads that read images and labels; most of their time is spent waiting for the disk."""


@dataclass(frozen=True, slots=True, eq=False)
class ImageScan:
    """The content of an image's two files, before the data set's classes are known.

    Attributes:
        width: of the image, pixels; 0 where it cannot be used.
        height: of the image, pixels; 0 where it cannot be used.
        rows: of the label file; None where there is none, or where it cannot be used.
        fault: why the image cannot be used; None where it can.
        note: what its header says that somebody should know; None where that is nothing.
    """

    width: int
    height: int
    rows: LabelRows | None
    fault: Fault | None = None
    note: Fault | None = None


def read_splits(
    splits: Mapping[str, Sequence[Path]], declared: Declared
) -> tuple[dict[str, Sequence[Sample]], list[Fault]]:
    """Samples of the splits of a data set, in order, and the faults found.

    What the label files hold is recognised by the shape of all of them together.

    Args:
        splits: the image files of each split.
        declared: what the data YAML says of the labels.
    """
    images = list(chain.from_iterable(splits.values()))
    labels = [label_path(image) for image in images]
    samples, faults = _to_samples(images, labels, scan_images(images, labels), declared)
    read: dict[str, Sequence[Sample]] = {}
    end = 0
    for split, listed in splits.items():
        end += len(listed)
        read[split] = [sample for sample in samples[end - len(listed) : end] if sample is not None]
    return read, [*faults, *labels_without_image(images, labels)]


def scan_images(images: Sequence[Path], labels: Sequence[Path]) -> list[ImageScan]:
    """Read sizes of images and rows of their label files, several at a time."""

    def scan_chunk(start: int) -> list[ImageScan]:
        pairs = zip(images[start : start + CHUNK], labels[start : start + CHUNK], strict=True)
        return [scan_image(image, label) for image, label in pairs]

    with ThreadPoolExecutor(READERS) as pool:
        return list(chain.from_iterable(pool.map(scan_chunk, range(0, len(images), CHUNK))))


def scan_image(image: Path, label: Path) -> ImageScan:
    """Read the size of an image and the rows of its label file."""
    size, faults = probe(image)
    if size is None:
        return ImageScan(0, 0, None, *faults)
    try:
        return ImageScan(*size, read_rows(label), note=next(iter(faults), None))
    except LabelFault as error:
        return ImageScan(0, 0, None, Fault("unreadable-label", label, str(error)))


def label_path(image: Path) -> Path:
    """Label file of an image: the last folder `images` becomes `labels`, the suffix `.txt`."""
    return _label_folder(image.parent) / f"{image.stem}.txt"


@lru_cache(4096)
def _label_folder(folder: Path) -> Path:
    parts = list(folder.parts)
    for i in range(len(parts) - 1, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts)


def _to_samples(
    images: Sequence[Path], labels: Sequence[Path], scans: Sequence[ImageScan], declared: Declared
) -> tuple[list[Sample | None], list[Fault]]:
    """Samples of all images, None where one cannot be used, and the faults in the order of images and lines."""
    sizes = np.array([(scan.width, scan.height) for scan in scans], np.float64).reshape(-1, 2)
    files = [scan.rows or NO_ROWS for scan in scans]
    words = read_words(
        ((file, line, text) for file, rows in enumerate(files) for line, text in rows.words),
        declared.names,
        labels,
        sizes,
    )
    table = join_rows(files, sizes, labels, words.rows)
    found = find_objects(table, declared)
    checked = check_objects(
        found.boxes,
        found.classes,
        images=table.files[found.rows],
        sizes=sizes,
        paths=labels,
        lines=table.lines[found.rows],
    )
    placed = [*_file_faults(images, labels, scans), *words.faults, *_row_faults(table, found, checked)]
    faults = [fault for _, fault in sorted(placed, key=lambda each: (each[0], each[1].line or 0))]
    whole_set = [*_habit_notes(files, labels), *words.notes, *found.faults]
    whole_set += _mostly_malformed(faults, len(table) + len(words.faults))
    return list(_make_samples(images, labels, scans, table.files[found.rows[checked.kept]], checked)), [
        *whole_set,
        *faults,
    ]


def _make_samples(
    images: Sequence[Path],
    labels: Sequence[Path],
    scans: Sequence[ImageScan],
    owners: NDArray[np.int64],
    objects: CheckedObjects,
) -> Iterator[Sample | None]:
    ends = np.cumsum(np.bincount(owners, minlength=len(images))).tolist()
    start = 0
    for image, label, scan, end in zip(images, labels, scans, ends, strict=True):
        if scan.fault is not None:
            yield None
        elif scan.rows is None:
            yield Sample(image, scan.width, scan.height, *no_objects())
        else:
            yield Sample(image, scan.width, scan.height, objects.boxes[start:end], objects.classes[start:end], label)
        start = end


def _file_faults(
    images: Sequence[Path], labels: Sequence[Path], scans: Sequence[ImageScan]
) -> Iterator[tuple[int, Fault]]:
    for index, scan in enumerate(scans):
        if scan.fault is not None:
            yield index, scan.fault
        elif scan.rows is None:
            message = f"no label file {labels[index]}: the image is taken as background. If it is, write an empty file"
            yield index, Fault("missing-label", images[index], message)
        if scan.note is not None:
            yield index, scan.note


def _row_faults(table: LabelTable, found: FoundObjects, checked: CheckedObjects) -> Iterator[tuple[int, Fault]]:
    for row, fault in found.row_faults:
        yield int(table.files[row]), fault
    for index, fault in checked.faults:
        yield int(table.files[found.rows[index]]), fault


def _habit_notes(files: Sequence[LabelRows], labels: Sequence[Path]) -> list[Fault]:
    """Notes on encodings and ways of writing, one each for the whole data set."""
    encodings: dict[str, Tally] = {}
    habits: dict[str, Tally] = {}
    for index, rows in enumerate(files):
        if rows.encoding:
            encodings.setdefault(rows.encoding, Tally()).add(index, 0)
        for habit, line, count in rows.habits:
            habits.setdefault(habit, Tally()).add(index, line, count)
    notes = []
    for encoding, tally in sorted(encodings.items()):
        count = len(tally.files)
        which = f"{count:,} label file{'s are' if count > 1 else ' is'}"
        message = f"{which} written in {encoding}, and read so"
        if encoding in (*LEGACY, UNKNOWN):
            message = f"{which} not UTF-8, but in {encoding}, it seems; numbers are read, and names that are known"
        notes += tally.note("label-encoding", labels, message)
    for habit, tally in sorted(habits.items()):
        notes += tally.note("label-writing", labels, f"{{}} have {habit}; they are read so")
    return notes


def _mostly_malformed(faults: Sequence[Fault], rows: int) -> list[Fault]:
    """Refuse a data set many of whose lines cannot be understood: it is in a form that nobody here knows."""
    malformed = [fault for fault in faults if fault.kind == "malformed-line"]
    share = len(malformed) / max(rows, 1)
    if (len(malformed) >= 10 and share > 0.1) or (len(malformed) >= 3 and share >= 0.5):
        first = malformed[0]
        count = f"{len(malformed):,} of {rows:,} lines"
        message = f"{count} cannot be understood, too many to train on the others: {first.message}"
        return [Fault("doubtful-labels", first.path, message, first.line)]
    return []
