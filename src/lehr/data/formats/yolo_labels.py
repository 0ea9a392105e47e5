"""Label files of YOLO layout: a line an object, its class and its box or polygon relative to the image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lehr.data.images import ImageFault, probe_image
from lehr.data.objects import checked_objects, no_objects
from lehr.sample import Fault, Sample, Severity

POLYGON_NUMBERS = 7
"""Fewest numbers of a polygon's line: the class and three corners."""


def read_samples(images: Sequence[Path], names: tuple[str, ...]) -> tuple[list[Sample], list[Fault]]:
    """Samples of image files with YOLO labels beside them, in order, and the faults found."""
    samples: list[Sample] = []
    faults: list[Fault] = []
    with ThreadPoolExecutor(8) as pool:
        for sample, found in pool.map(lambda image: read_sample(image, len(names)), images):
            faults += found
            if sample is not None:
                samples.append(sample)
    return samples, faults


def read_sample(image: Path, class_count: int) -> tuple[Sample | None, list[Fault]]:
    """One image and its label file; None when the image or the label file cannot be used."""
    try:
        width, height = probe_image(image)
    except ImageFault as error:
        return None, [Fault(error.kind, error.path, error.reason)]
    label = label_path(image)
    try:
        text = label.read_text(encoding="utf-8")
    except FileNotFoundError:
        message = f"no label file {label}: the image is taken as background. If it is, write an empty file"
        return Sample(image, width, height, *no_objects()), [Fault("missing-label", image, message)]
    except UnicodeDecodeError:
        return None, [Fault("unreadable-label", label, "is not text. Restore or remove it.")]
    except OSError as error:
        return None, [Fault("unreadable-label", label, f"cannot be read ({error.strerror}). Restore or remove it.")]
    if "\0" in text:
        return None, [Fault("unreadable-label", label, "is not text. Restore or remove it.")]
    boxes, classes, lines, faults = parse_labels(text, label, class_count)
    scaled = boxes * [width, height, width, height]
    good_boxes, good_classes, found = checked_objects(
        scaled, classes, width=width, height=height, path=label, lines=lines
    )
    return Sample(image, width, height, good_boxes, good_classes, label), faults + found


def label_path(image: Path) -> Path:
    """Label file of an image: the last folder `images` becomes `labels`, the suffix `.txt`."""
    parts = list(image.parts)
    for i in range(len(parts) - 2, -1, -1):
        if parts[i] == "images":
            parts[i] = "labels"
            break
    return Path(*parts).with_suffix(".txt")


def parse_labels(
    text: str, path: Path, class_count: int
) -> tuple[NDArray[np.float64], NDArray[np.int64], list[int], list[Fault]]:
    """The objects of a label file.

    Args:
        text: lines of `class centre-x centre-y width height`, or of a class and a polygon, which becomes its
            bounding box; all relative to the image, 0 to 1.
        path: the file, for messages.
        class_count: number of classes.

    Returns:
        Boxes (n, 4) xyxy relative to the image, classes (n,), the line of each from 1, and the faults.
    """
    boxes: list[list[float]] = []
    classes: list[int] = []
    lines: list[int] = []
    faults: list[Fault] = []
    polygon_line: int | None = None
    for line_number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        values = _numbers(line)
        if values is None or not (len(values) == 5 or (len(values) >= POLYGON_NUMBERS and len(values) % 2)):
            shown = line.strip()[:60]
            message = f"'{shown}' is not 'class centre-x centre-y width height'; the line is skipped"
            faults.append(Fault("malformed-line", path, message, line_number))
            continue
        if values[0] != int(values[0]) or not 0 <= values[0] < class_count:
            message = f"class {values[0]:g} is out of range: the data set names {class_count} (0 to {class_count - 1})"
            faults.append(Fault("class-out-of-range", path, message, line_number))
            continue
        if len(values) > 5:
            polygon_line = polygon_line or line_number
            xs, ys = values[1::2], values[2::2]
            box = [min(xs), min(ys), max(xs), max(ys)]
        else:
            _, x, y, w, h = values
            box = [x - w / 2, y - h / 2, x + w / 2, y + h / 2]
        boxes.append(box)
        classes.append(int(values[0]))
        lines.append(line_number)
    if polygon_line is not None:
        message = "holds polygons; their bounding boxes are used"
        faults.append(Fault("polygon", path, message, polygon_line, Severity.WARNING))
    return np.array(boxes, np.float64).reshape(-1, 4), np.array(classes, np.int64), lines, faults


def _numbers(line: str) -> list[float] | None:
    try:
        values = [float(text) for text in line.split()]
    except ValueError:
        return None
    return values if all(np.isfinite(values)) else None
