"""The file of a `DetectionRecord`, `detections.safetensors` in a run's folder: numbers and text, nothing that runs.

Images and their objects are in it too, so a page can be made where the data are gone. All numbers are kept bit for bit,
in the narrowest type that holds them. A file may come from anybody: it is bounded, and checked before it is used.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from lehr.analysis.record import DetectionRecord
from lehr.checkpoint.run_folder import DETECTIONS
from lehr.errors import InputError
from lehr.models.limits import MAX_CLASSES, MAX_NAME
from lehr.runtime.reading import GIB
from lehr.sample import NOTHING_IGNORED, Ignored, Sample
from lehr.weights.safetensors_file import (
    DamagedTensors,
    Header,
    read_data,
    read_header,
    sort_metadata,
    write_weights,
)

FORMAT = "lehr-detections-1"
MAX_BYTES = 2 * GIB
MAX_IMAGES = 1_000_000
MAX_SIDE = 2**31
"""Pixels of an image's side."""
COLUMNS = ("image", "x1", "y1", "x2", "y2", "score", "class")
"""Columns of the detections, a tensor each."""
TYPES: dict[str, type[np.generic]] = {
    "F64": np.float64,
    "F32": np.float32,
    "I32": np.int32,
    "I16": np.int16,
    "U8": np.uint8,
    "BOOL": np.bool_,
}
"""Types of the arrays, by the format's names of them."""
TEXT = ("U8", 1, None)
COUNTS = ("I32", 1, None)
BOXES = ("F32", 2, 4)
CLASSES = ("I32", 1, None)
FLAGS = ("BOOL", 1, None)
PARTS: dict[str, tuple[str, int, int | None]] = {
    "paths": TEXT,
    "labels": TEXT,
    "sizes": ("I32", 2, 2),
    "objects": COUNTS,
    "object_boxes": BOXES,
    "object_classes": CLASSES,
    "difficult": FLAGS,
    "ignored": COUNTS,
    "ignored_boxes": BOXES,
    "ignored_classes": CLASSES,
    "crowd": FLAGS,
}
"""Type, dimensions and columns of the arrays that describe the images."""


def save_record(record: DetectionRecord, path: Path) -> None:
    """Write a record; the file appears whole or not at all, and the same record gives the same bytes.

    Raises:
        InputError: the file cannot be written.
    """
    metadata = {
        "format": FORMAT,
        "names": json.dumps(record.names),
        "max_det": str(record.max_det),
        **({} if record.epoch is None else {"epoch": str(record.epoch)}),
    }
    columns = {name: _narrow(column) for name, column in zip(COLUMNS, record.detections.T, strict=True)}
    write_weights(sort_metadata(save({**columns, **_of_samples(record.samples)}, metadata)), path)


def load_record(path: Path) -> DetectionRecord:
    """Read a record.

    Raises:
        InputError: the file is missing, a link, too large, damaged, or no record.
    """
    try:
        header = read_header(path, MAX_BYTES, links=False)
        if header.metadata.get("format") != FORMAT:
            raise InputError(f"{path}: holds no detections. Name the {DETECTIONS} in the folder of a run.")
        names, max_det, epoch = _metadata(header.metadata)
        for name, (kind, dimensions, columns) in PARTS.items():
            stored = header.tensors.get(name)
            shape = () if stored is None else stored.shape
            if stored is None or stored.kind != kind or len(shape) != dimensions or columns not in (None, shape[-1]):
                raise DamagedTensors(f"'{name}' is missing, or of another type")
        arrays = _arrays(path, header)
        samples = _samples(arrays, len(names))
        return DetectionRecord(names, samples, _detections(arrays, len(samples), len(names)), max_det, epoch)
    except DamagedTensors as error:
        raise InputError(
            f"{path}: is damaged ({error}). Remove it: `lehr val --analyze` makes the page again."
        ) from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}).") from None


def _arrays(path: Path, header: Header) -> dict[str, NDArray[Any]]:
    """The arrays of a record's file by name."""
    wanted = [name for name in (*PARTS, *COLUMNS) if name in header.tensors]
    unknown = next((name for name in wanted if header.tensors[name].kind not in TYPES), None)
    if unknown is not None:
        raise DamagedTensors(f"'{unknown}' is of another type")
    arrays: dict[str, NDArray[Any]] = {}
    for name, data in read_data(path, header, wanted, links=False):
        stored = header.tensors[name]
        bits = np.frombuffer(data, np.uint8 if stored.kind == "BOOL" else TYPES[stored.kind]).reshape(stored.shape)
        arrays[name] = bits != 0 if stored.kind == "BOOL" else bits  # any other byte than 0 and 1 is no bool
    return arrays


def _narrow(column: NDArray[np.float64]) -> NDArray[Any]:
    """Numbers in the narrowest type that holds them bit for bit, -0 as 0."""
    for dtype in (np.int16, np.int32, np.float32):
        with np.errstate(invalid="ignore", over="ignore"):
            narrow = column.astype(dtype)
        if np.array_equal(narrow, column):
            return narrow
    return np.ascontiguousarray(column)


def _of_samples(samples: Sequence[Sample]) -> dict[str, NDArray[Any]]:
    """Images and their objects as arrays, one behind the other."""
    ignored = [sample.ignored for sample in samples]
    difficult = [
        np.zeros(len(sample.classes), np.bool_) if sample.difficult is None else sample.difficult for sample in samples
    ]
    arrays: dict[str, NDArray[Any]] = {
        "paths": _packed([os.fsencode(sample.path) for sample in samples]),
        "labels": _packed([b"" if each.label_path is None else os.fsencode(each.label_path) for each in samples]),
        "sizes": np.array([(sample.width, sample.height) for sample in samples], np.int32).reshape(-1, 2),
        "objects": np.array([len(sample.classes) for sample in samples], np.int32),
        "object_boxes": np.concatenate([np.zeros((0, 4), np.float32), *(sample.boxes for sample in samples)]),
        "object_classes": np.concatenate([np.zeros(0, np.int32), *(sample.classes for sample in samples)]),
        "difficult": np.concatenate([np.zeros(0, np.bool_), *difficult]),
        "ignored": np.array([len(each.classes) for each in ignored], np.int32),
        "ignored_boxes": np.concatenate([np.zeros((0, 4), np.float32), *(each.boxes for each in ignored)]),
        "ignored_classes": np.concatenate([np.zeros(0, np.int32), *(each.classes for each in ignored)]),
        "crowd": np.concatenate([np.zeros(0, np.bool_), *(each.crowd for each in ignored)]),
    }
    return {name: array.astype(TYPES[PARTS[name][0]], copy=False) for name, array in arrays.items()}


def _packed(texts: Sequence[bytes]) -> NDArray[np.uint8]:
    """Texts one behind the other, each with a null byte behind it."""
    return np.frombuffer(b"".join(text + b"\0" for text in texts), np.uint8).copy()


def _unpacked(data: NDArray[np.uint8], count: int, what: str) -> list[bytes]:
    texts = data.tobytes().split(b"\0")
    if texts.pop() or len(texts) != count:
        raise DamagedTensors(f"it has {what} of other images than it says")
    return texts


def _metadata(metadata: Mapping[str, str]) -> tuple[tuple[str, ...], int, int | None]:
    """Class names, most detections per image, epoch."""
    try:
        names = json.loads(metadata.get("names", ""))
        max_det = int(metadata.get("max_det", "")[:20])
        epoch = int(metadata["epoch"][:20]) if "epoch" in metadata else None
    except (ValueError, RecursionError):
        raise DamagedTensors("its metadata are incomplete") from None
    if not isinstance(names, list) or not 0 < len(names) <= MAX_CLASSES:
        raise DamagedTensors("it has no class names")
    if not all(isinstance(name, str) and len(name) <= MAX_NAME for name in names):
        raise DamagedTensors("a class name is not text, or is too long")
    if max_det < 1 or (epoch is not None and epoch < 0):
        raise DamagedTensors("its metadata are out of range")
    return tuple(names), max_det, epoch


def _samples(arrays: Mapping[str, NDArray[Any]], classes: int) -> tuple[Sample, ...]:
    """The images and their objects, checked.

    Args:
        arrays: by name, each of the type and the columns in `PARTS`.
        classes: how many there are.
    """
    sizes, count = arrays["sizes"], len(arrays["sizes"])
    if count > MAX_IMAGES or (count and not 0 < sizes.min() <= sizes.max() < MAX_SIDE):
        raise DamagedTensors("its images are too many, or have no size")
    for counts, columns in (
        ("objects", ("object_boxes", "object_classes", "difficult")),
        ("ignored", ("ignored_boxes", "ignored_classes", "crowd")),
    ):
        total = arrays[counts].sum(dtype=np.int64)
        if len(arrays[counts]) != count or (arrays[counts] < 0).any() or any(len(arrays[c]) != total for c in columns):
            raise DamagedTensors("it has other objects than it says")
        _check_boxes(arrays[columns[0]])
        _check_range(arrays[columns[1]], classes, "a class")
    paths, labels = (_unpacked(arrays[name], count, name) for name in ("paths", "labels"))
    ends, ignored_ends = (np.cumsum(arrays[name], dtype=np.int64).tolist() for name in ("objects", "ignored"))
    numbers = arrays["object_classes"].astype(np.int64), arrays["ignored_classes"].astype(np.int64)
    samples, start, first = [], 0, 0
    for index, (end, last) in enumerate(zip(ends, ignored_ends, strict=True)):
        difficult = arrays["difficult"][start:end]
        ignored = Ignored(arrays["ignored_boxes"][first:last], numbers[1][first:last], arrays["crowd"][first:last])
        samples.append(
            Sample(
                Path(os.fsdecode(paths[index])),
                int(sizes[index, 0]),
                int(sizes[index, 1]),
                arrays["object_boxes"][start:end],
                numbers[0][start:end],
                Path(os.fsdecode(labels[index])) if labels[index] else None,
                difficult if difficult.any() else None,
                ignored if last > first else NOTHING_IGNORED,
            )
        )
        start, first = end, last
    return tuple(samples)


def _detections(arrays: Mapping[str, NDArray[Any]], images: int, classes: int) -> NDArray[np.float64]:
    """The detections (n, 7), checked.

    Args:
        arrays: by name.
        images: how many there are.
        classes: how many there are.
    """
    given = [arrays[name] for name in COLUMNS if name in arrays and arrays[name].ndim == 1]
    if len(given) != len(COLUMNS) or len({len(column) for column in given}) != 1:
        raise DamagedTensors("its detections are incomplete")
    detections = np.stack([column.astype(np.float64) for column in given], 1)
    _check_boxes(detections[:, 1:5])
    _check_range(detections[:, 0], images, "an image")
    _check_range(detections[:, 6], classes, "a class")
    if not ((detections[:, 5] >= 0) & (detections[:, 5] <= 1)).all():
        raise DamagedTensors("a score is no number from 0 to 1")
    return detections


def _check_boxes(boxes: NDArray[Any]) -> None:
    if not np.isfinite(boxes).all() or (np.abs(boxes) > MAX_SIDE).any():
        raise DamagedTensors("a box is out of range")


def _check_range(values: NDArray[Any], end: int, what: str) -> None:
    if not ((values >= 0) & (values < end) & (values == np.floor(values))).all():
        raise DamagedTensors(f"it names {what} that it does not have")
