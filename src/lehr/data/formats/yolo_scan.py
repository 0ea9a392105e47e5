"""Reading images and their label files: unchanged ones from the index, the rest from the files."""

from __future__ import annotations

import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import chain
from pathlib import Path

import numpy as np

from lehr.data.labels.rows import read_rows
from lehr.data.labels.scans import ImageScan, Scans, from_columns, join_scans, to_columns
from lehr.data.labels.text import LabelFault
from lehr.data.probing import probe
from lehr.data.scan_index import MIN_IMAGES, ScanIndex, changed_rows, load_index, reliable, save_index, stamp_files
from lehr.sample import Fault

CHUNK = 64
"""Images that a thread reads at a time."""

READERS = 8
"""Threads that read images and labels; most of their time is spent waiting for the disk."""


def scan_indexed(images: Sequence[Path], labels: Sequence[Path], key: str) -> Scans:
    """Read sizes of images and rows of their label files, as far as they have changed since the last time.

    Args:
        images: the images.
        labels: the label file of each.
        key: names the data set.
    """
    if len(images) < MIN_IMAGES:
        return join_scans(scan_images(images, labels))
    started = time.time()
    names = [str(image) for image in images]
    stamps = np.concatenate((stamp_files(names), stamp_files([str(label) for label in labels])), 1)
    index = load_index(key)
    known = None if index is None else from_columns(index.arrays, index.rest, index.names)
    if index is None or known is None:
        scans = join_scans(scan_images(images, labels))
    else:
        rows, changed = changed_rows(index, names, stamps)
        if not len(changed) and len(known) == len(images) and (rows == np.arange(len(rows))).all():
            return known
        fresh = iter(scan_images([images[i] for i in changed], [labels[i] for i in changed]))
        kept = known.scans(rows[rows >= 0])
        scans = join_scans([next(fresh if row < 0 else kept) for row in rows.tolist()])
    stamps = reliable(stamps, started)
    stamps[list(scans.faults)] = -2
    save_index(key, ScanIndex(tuple(names), stamps, *to_columns(scans)))
    return scans


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
