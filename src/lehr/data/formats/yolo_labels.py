"""Images with label files of YOLO layout next to them."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from itertools import chain
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.find_images import MANY, paths_in
from lehr.data.formats.yolo_scan import scan_indexed
from lehr.data.labels.boxes import FoundObjects, find_objects
from lehr.data.labels.columns import Declared
from lehr.data.labels.scans import Scans
from lehr.data.labels.table import LabelTable, join_rows
from lehr.data.labels.text import UNKNOWN
from lehr.data.labels.words import Tally, read_words
from lehr.data.missing_files import labels_without_image
from lehr.data.objects import CheckedObjects, check_objects, no_objects
from lehr.data.shared_labels import ambiguous_owners
from lehr.data.text_files import LEGACY
from lehr.sample import Fault, Sample


def read_splits(
    splits: Mapping[str, Sequence[Path]], declared: Declared, key: str
) -> tuple[dict[str, Sequence[Sample]], list[Fault]]:
    """Samples of the splits of a data set, in order, and the faults found.

    What the label files hold is recognised by the shape of all of them together.

    Args:
        splits: the image files of each split.
        declared: what the data YAML says of the labels.
        key: names the data set in the index of what was read before.
    """
    images = list(chain.from_iterable(splits.values()))
    labels = label_paths(images)
    scans = scan_indexed(images, labels, key)
    samples, faults = _to_samples(images, labels, scans, declared)
    for index, fault in ambiguous_owners(images, labels, scans.labelled, scans.sizes):
        faults.append(fault)
        if fault.kind == "ambiguous-image":
            samples[index] = None
    read: dict[str, Sequence[Sample]] = {}
    end = 0
    for split, listed in splits.items():
        end += len(listed)
        read[split] = [sample for sample in samples[end - len(listed) : end] if sample is not None]
    return read, [*faults, *labels_without_image(images, labels)]


def label_path(image: Path) -> Path:
    """Label file of an image: the last folder `images` becomes `labels`, the suffix `.txt`."""
    return _label_folder(str(image.parent)) / f"{image.stem}.txt"


def label_paths(images: Sequence[Path]) -> list[Path]:
    """Label files of many images."""
    if len(images) <= MANY:
        return [label_path(image) for image in images]
    known: dict[str, dict[str, Path]] = {}
    paths = []
    for image in images:
        folder, _, name = str(image).rpartition(os.sep)
        if folder not in known:
            known[folder] = paths_in(_label_folder(str(image.parent)))
        paths.append(known[folder].get(f"{name.rpartition('.')[0]}.txt") or label_path(image))
    return paths


@lru_cache(4096)
def _label_folder(folder: str) -> Path:
    parts = list(Path(folder).parts)
    for i in range(len(parts) - 1, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts)


def _to_samples(
    images: Sequence[Path], labels: Sequence[Path], scans: Scans, declared: Declared
) -> tuple[list[Sample | None], list[Fault]]:
    """Samples of all images, None if one cannot be used, and the faults in the order of images and lines."""
    sizes = scans.sizes.astype(np.float64)
    words = read_words(
        ((file, line, text) for file, each in scans.words.items() for line, text in each),
        declared.names,
        labels,
        sizes,
    )
    table = join_rows(scans, labels, words.rows)
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
    whole_set = [*_habit_notes(scans, labels), *words.notes, *found.faults]
    whole_set += _mostly_malformed(faults, len(table) + len(words.faults))
    return list(_make_samples(images, labels, scans, table.files[found.rows[checked.kept]], checked)), [
        *whole_set,
        *faults,
    ]


def _make_samples(
    images: Sequence[Path],
    labels: Sequence[Path],
    scans: Scans,
    owners: NDArray[np.int64],
    objects: CheckedObjects,
) -> Iterator[Sample | None]:
    ends = np.cumsum(np.bincount(owners, minlength=len(images))).tolist()
    boxes, classes, start = objects.boxes, objects.classes, 0
    rows = zip(images, labels, scans.sizes.tolist(), scans.labelled.tolist(), ends, strict=True)
    for image, label, (width, height), labelled, end in rows:
        if not width:
            yield None
        elif labelled:
            yield Sample(image, width, height, boxes[start:end], classes[start:end], label)
        else:
            yield Sample(image, width, height, *no_objects())
        start = end


def _file_faults(images: Sequence[Path], labels: Sequence[Path], scans: Scans) -> Iterator[tuple[int, Fault]]:
    for index in np.flatnonzero(~scans.labelled).tolist():
        fault = scans.faults.get(index)
        if fault is None:
            message = f"no label file {labels[index]}: the image is taken as background. If it is, write an empty file"
            fault = Fault("missing-label", images[index], message)
        yield index, fault
    yield from scans.notes.items()


def _row_faults(table: LabelTable, found: FoundObjects, checked: CheckedObjects) -> Iterator[tuple[int, Fault]]:
    for row, fault in found.row_faults:
        yield int(table.files[row]), fault
    for index, fault in checked.faults:
        yield int(table.files[found.rows[index]]), fault


def _habit_notes(scans: Scans, labels: Sequence[Path]) -> list[Fault]:
    """Notes on encodings and ways of writing, one each for the whole data set."""
    encodings: dict[str, Tally] = {}
    habits: dict[str, Tally] = {}
    for index, encoding in scans.encodings.items():
        encodings.setdefault(encoding, Tally()).add(index, 0)
    for index, met in scans.habits.items():
        for habit, line, count in met:
            habits.setdefault(habit, Tally()).add(index, line, count)
    notes = []
    for encoding, tally in sorted(encodings.items()):
        count = len(tally.files)
        which = f"{count:,} label file{'s are' if count > 1 else ' is'}"
        message = f"{which} written in {encoding}, and read accordingly"
        if encoding in (*LEGACY, UNKNOWN):
            message = f"{which} not UTF-8, but in {encoding}, it seems; numbers are read, and names that are known"
        notes += tally.note("label-encoding", labels, message)
    for habit, tally in sorted(habits.items()):
        notes += tally.note("label-writing", labels, f"{{}} have {habit}; they are read accordingly")
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
