"""Writing a data set in another layout, or with other splits; the folder appears whole or not at all."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_dir
from lehr.runtime.counted import counted
from lehr.runtime.plain_text import as_json
from lehr.runtime.reading import MIB, open_file
from lehr.sample import Dataset, Sample

COPIED = MIB
"""Bytes of an image that are copied at once."""


def write_dataset(dataset: Dataset, to: str, folder: Path, beside: Mapping[str, bytes] | None = None) -> None:
    """Write a data set with copies of its images.

    Args:
        dataset: what was read; what was skipped in reading is not written.
        to: "yolo" or "coco".
        folder: where; must not exist or be empty.
        beside: further files of the folder, by name.

    Raises:
        InputError: the folder is taken or cannot be written.
    """
    writers: dict[str, Callable[[Dataset, Path], None]] = {"yolo": _write_yolo, "coco": _write_coco}

    def write(temporary: Path) -> None:
        writers[to](dataset, temporary)
        for name, content in (beside or {}).items():
            (temporary / name).write_bytes(content)

    _whole_or_not(folder, write)


def write_lists(dataset: Dataset, folder: Path) -> None:
    """Write the splits of a YOLO data set as lists of its images, which are not moved.

    Images are named as they were found, links not followed, and relative to the lists: a copy of both works elsewhere.

    Args:
        dataset: read from YOLO layout.
        folder: gets `data.yaml`, `train.txt` and the others; must not exist or be empty.

    Raises:
        InputError: the folder is taken or cannot be written, or an image's name is not possible in a list.
    """

    place = folder.parent.resolve() / folder.name  # since `..` leads out of where a link leads to

    def write(temporary: Path) -> None:
        for split, samples in dataset.splits.items():
            listing = temporary / f"{split}.txt"
            names = [_from_folder(sample.path, place) for sample in samples]
            listing.write_bytes("".join(f"{name}\n" for name in names).encode(errors="surrogateescape"))
            _check_list(listing, names)
        _write_yaml(temporary, {split: f"{split}.txt" for split in dataset.splits}, dataset.names)

    _whole_or_not(folder, write)


def _from_folder(path: Path, folder: Path) -> str:
    """An image's path as a list in a folder names it: relative, or absolute where no relative one leads there."""
    try:
        relative = Path(os.path.relpath(path.absolute(), folder)).as_posix()  # without following links
    except ValueError:  # another drive
        return str(path.absolute())
    return relative if relative.startswith("../") else f"./{relative}"


def _check_list(listing: Path, names: Sequence[str]) -> None:
    """Refuse names that would be read back as others: line breaks, blanks at the end, ..."""
    for name in names:
        if name != name.strip() or len(name.splitlines()) != 1:
            raise InputError(f"{name!r}: a name with line breaks or outer blanks is not possible in a list. Rename it.")
    if len(set(names)) < len(names):
        twice = next(name for i, name in enumerate(names) if name in names[:i])
        raise InputError(f"{twice}: is twice in {listing.name}. Remove one of the entries that lead to it.")


def _whole_or_not(folder: Path, write: Callable[[Path], None]) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already and is not empty. Choose another folder.")
    atomic_dir(folder, write, "Choose another folder.")


def _write_yolo(dataset: Dataset, folder: Path) -> None:
    for split, samples in dataset.splits.items():
        for name, sample in _copy_images(samples, folder / "images" / split):
            label = (folder / "labels" / split / name).with_suffix(".txt")
            label.parent.mkdir(parents=True, exist_ok=True)
            label.write_text("".join(_yolo_lines(sample)), encoding="utf-8")
    _write_yaml(folder, {split: f"images/{split}" for split in dataset.splits}, dataset.names)


def _write_yaml(folder: Path, splits: dict[str, str], names: tuple[str, ...]) -> None:
    content = {**splits, "names": dict(enumerate(names))}
    text = yaml.safe_dump(content, sort_keys=False, allow_unicode=True)
    (folder / "data.yaml").write_text(text, encoding="utf-8")


def _yolo_lines(sample: Sample) -> list[str]:
    lines = []
    for class_id, (x1, y1, x2, y2) in zip(sample.classes.tolist(), sample.boxes.astype(float).tolist(), strict=True):
        centre = ((x1 + x2) / 2 / sample.width, (y1 + y2) / 2 / sample.height)
        size = ((x2 - x1) / sample.width, (y2 - y1) / sample.height)
        lines.append(f"{class_id} " + " ".join(f"{value:.8f}" for value in (*centre, *size)) + "\n")
    return lines


def _write_coco(dataset: Dataset, folder: Path) -> None:
    (folder / "annotations").mkdir()
    categories = [{"id": category, "name": name} for category, name in enumerate(dataset.names, 1)]
    for split, samples in dataset.splits.items():
        images: list[dict[str, Any]] = []
        annotations: list[dict[str, Any]] = []
        for name, sample in _copy_images(samples, folder / "images" / split):
            images.append({"id": len(images) + 1, "file_name": name, "width": sample.width, "height": sample.height})
            for class_id, (x1, y1, x2, y2), flags in _coco_objects(sample):
                annotations.append(
                    {
                        "id": len(annotations) + 1,
                        "image_id": len(images),
                        "category_id": class_id + 1,
                        "bbox": [x1, y1, x2 - x1, y2 - y1],
                        "area": (x2 - x1) * (y2 - y1),
                        **flags,
                    }
                )
        content = {"images": images, "annotations": annotations, "categories": categories}
        path = folder / "annotations" / f"instances_{split}.json"
        path.write_text(as_json(content), encoding="utf-8")


def _coco_objects(sample: Sample) -> Iterator[tuple[int, list[float], dict[str, int]]]:
    """Class, box and flags of each object and each ignored region; `ignore` marks the difficult, as in MMDetection."""
    difficult = np.zeros(len(sample.classes), np.bool_) if sample.difficult is None else sample.difficult
    for class_id, box, hard in zip(sample.classes, sample.boxes.astype(float), difficult, strict=True):
        yield int(class_id), box.tolist(), {"iscrowd": 0, **({"ignore": 1} if hard else {})}
    ignored = sample.ignored
    for class_id, box, crowd in zip(ignored.classes, ignored.boxes.astype(float), ignored.crowd, strict=True):
        yield int(class_id), box.tolist(), {"iscrowd": 1} if crowd else {"iscrowd": 0, "ignore": 1}


def linked_from_outside(dataset: Dataset) -> list[str]:
    """Report how many images are links that lead out of their data set, which are copied.

    Args:
        dataset: what was read.
    """
    source = Path(dataset.source).expanduser()
    root = str((source if source.is_dir() else source.parent).absolute())
    own, real = f"{root}{os.sep}", f"{os.path.realpath(root)}{os.sep}"
    paths = sorted({sample.path for samples in dataset.splits.values() for sample in samples})
    outside = [
        path
        for path in paths
        if str(path.absolute()).startswith((own, real)) and not os.path.realpath(path).startswith(real)
    ]
    if not outside:
        return []
    first = f"{outside[0]} leads to {os.path.realpath(outside[0])}"
    return [
        f"{counted(len(outside), 'image is', 'images are')} reached by links that lead out of {root}, and "
        f"{'is' if len(outside) == 1 else 'are'} copied; {first}."
    ]


def lost_in_writing(dataset: Dataset, to: str) -> list[str]:
    """Report what a layout cannot hold.

    Args:
        dataset: the data to write.
        to: "yolo", "coco" or "datasets".
    """
    samples = [sample for each in dataset.splits.values() for sample in each]
    ignored = sum(len(sample.ignored.classes) for sample in samples)
    difficult = sum(int(sample.difficult.sum()) for sample in samples if sample.difficult is not None)
    lines = []
    if to == "coco":
        if difficult:
            lines.append(
                f'{difficult} difficult objects are written with "ignore": 1. Lehr evaluates this JSON as it did the '
                "data, but does not train on them."
            )
        return lines
    layout = "YOLO layout" if to == "yolo" else "the form of datasets"
    if ignored:
        lines.append(f"{ignored} crowd or ignored regions are not written: {layout} has no mark for them.")
    if difficult:
        lines.append(f"{difficult} difficult objects are written as ordinary ones: {layout} has no mark for them.")
    return lines


def _copy_images(samples: Sequence[Sample], folder: Path) -> list[tuple[str, Sample]]:
    """Copy images into a folder under their names; where two have one stem, in the folders that they were in."""
    folder.mkdir(parents=True)
    above = _common_folder(samples) if len({sample.path.stem for sample in samples}) < len(samples) else None
    taken: set[str] = set()
    named = []
    for sample in samples:
        inner = Path() if above is None else Path(os.path.relpath(sample.path.parent, above))
        stem, number = (inner / sample.path.stem).as_posix(), 2
        first = stem
        while stem in taken:
            stem, number = f"{first}-{number}", number + 1
        taken.add(stem)
        name = f"{stem}{sample.path.suffix}"
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with open_file(sample.path) as image, (folder / name).open("xb") as copy:
            shutil.copyfileobj(image, copy, COPIED)
        named.append((name, sample))
    return named


def _common_folder(samples: Sequence[Sample]) -> Path | None:
    """The innermost folder that holds all images; None if there is none, as on two drives."""
    try:
        return Path(os.path.commonpath([sample.path.parent.absolute() for sample in samples]))
    except ValueError:
        return None
