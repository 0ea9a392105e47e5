"""YOLO layout: a data YAML, image folders or lists, and a text file of normalized boxes an image."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lehr.data.images import ImageFault, is_image, probe_image
from lehr.data.objects import checked_objects, no_objects
from lehr.errors import InputError, did_you_mean
from lehr.sample import SPLITS, Dataset, Fault, Sample, Severity
from lehr.yaml_files import line_of_key, read_mapping

KEYS = ("path", *SPLITS, "names", "nc")
IGNORED_KEYS = ("download", "roboflow", "author", "date", "description", "license", "url", "version")
POLYGON_NUMBERS = 7
"""Fewest numbers of a polygon's line: the class and three corners."""


def load_yolo(path: Path) -> Dataset:
    """Read a data set by its data YAML.

    Args:
        path: the YAML, with `train` and `val` (`test`), each a folder, a `.txt` of images or a list of these, relative
            to `path` (itself relative to the YAML), and `names` as a list or a map from number to name.

    Raises:
        InputError: the YAML is missing or malformed, has an unknown key, disagrees with itself, or names a folder or
            list that is not there.
    """
    content = _read_yaml(path)
    names = _class_names(path, content)
    root = _root(path, content.get("path"))
    faults: list[Fault] = []
    splits: dict[str, Sequence[Sample]] = {}
    for split in SPLITS:
        if content.get(split) is None:
            continue
        images = [image for entry in _entries(path, split, content[split]) for image in _images_of(path, root, entry)]
        splits[split], found = read_samples(list(dict.fromkeys(images)), names)
        faults += found
    if "train" not in splits and "val" not in splits:
        raise InputError(f"{path}: names neither 'train' nor 'val'. Add the folders or lists of images.")
    return Dataset(str(path), names, splits, tuple(faults))


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


def _read_yaml(path: Path) -> dict[str, Any]:
    content = read_mapping(path, "Check --data.")
    if not content:
        raise InputError(f"{path}: must hold 'train', 'val' and 'names'.")
    for key in content:
        if key not in KEYS and key not in IGNORED_KEYS:
            line = line_of_key(path, str(key))
            raise InputError(f"{path}:{line}: unknown key '{key}'. {did_you_mean(str(key), KEYS)}")
    return content


def _class_names(path: Path, content: dict[str, Any]) -> tuple[str, ...]:
    given = content.get("names")
    if isinstance(given, dict):
        if sorted(given, key=str) != sorted(range(len(given)), key=str):
            raise InputError(
                f"{path}:{line_of_key(path, 'names')}: 'names' must count its classes from 0 without gaps."
            )
        names = tuple(str(given[i]) for i in range(len(given)))
    elif isinstance(given, list):
        names = tuple(str(name) for name in given)
    else:
        raise InputError(f"{path}: 'names' is missing. Add the class names as a list or a map from number to name.")
    if not names:
        raise InputError(f"{path}:{line_of_key(path, 'names')}: 'names' is empty. Name at least one class.")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{path}:{line_of_key(path, 'names')}: the class '{twice}' is named twice.")
    if "nc" in content and content["nc"] != len(names):
        line = line_of_key(path, "nc")
        raise InputError(f"{path}:{line}: 'nc' is {content['nc']} but 'names' has {len(names)}. Make them agree.")
    return names


def _root(path: Path, given: object) -> Path:
    if given is None:
        return path.parent
    wanted = Path(str(given)).expanduser()
    beside = path.parent / wanted
    if beside.is_dir() or not wanted.is_dir():
        return beside
    return wanted


def _entries(path: Path, split: str, given: object) -> list[str]:
    entries = given if isinstance(given, list) else [given]
    if not all(isinstance(entry, str) and entry for entry in entries):
        raise InputError(
            f"{path}:{line_of_key(path, split)}: '{split}' must be a folder, a .txt of images, or a list of them."
        )
    return [str(entry) for entry in entries]


def _images_of(yaml_path: Path, root: Path, entry: str) -> list[Path]:
    # Exports of a common labelling service write `../train/images` for a folder beside the YAML.
    candidates = [root / entry, *([yaml_path.parent / entry[3:]] if entry.startswith("../") else [])]
    found = next((candidate for candidate in candidates if candidate.exists()), None)
    if found is None:
        line = next((i for i, text in enumerate(yaml_path.read_text("utf-8").splitlines(), 1) if entry in text), 1)
        raise InputError(f"{yaml_path}:{line}: '{candidates[0]}' does not exist. Correct the entry, or 'path'.")
    return images_in(found) if found.is_dir() else images_listed(found, root)


def images_in(folder: Path) -> list[Path]:
    """All image files in a folder and the folders in it, sorted."""
    return sorted(path for path in folder.rglob("*") if is_image(path) and path.is_file())


def images_listed(listing: Path, root: Path) -> list[Path]:
    """The image files that a text file names, one a line, relative to `root` or to the text file.

    Raises:
        InputError: the file is not text.
    """
    if listing.suffix.lower() != ".txt":
        raise InputError(f"{listing}: is neither a folder nor a .txt of images.")
    try:
        names = [line.strip() for line in listing.read_text(encoding="utf-8").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{listing}: cannot be read as text ({error}).") from None
    paths = []
    for name in filter(None, names):
        beside = listing.parent / name
        paths.append(beside if name.startswith("./") or not (root / name).exists() else root / name)
    return paths
