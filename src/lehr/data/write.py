"""Writing a data set in another layout, or with other splits; the folder appears whole or not at all."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from lehr.errors import InputError
from lehr.runtime.atomic_write import atomic_dir
from lehr.sample import Dataset, Sample


def write_dataset(dataset: Dataset, to: str, folder: Path) -> None:
    """Write a data set with copies of its images.

    Args:
        dataset: what was read; what was skipped in reading is not written.
        to: "yolo" or "coco".
        folder: where; must not exist or be empty.

    Raises:
        InputError: the folder is taken or cannot be written.
    """
    writers: dict[str, Callable[[Dataset, Path], None]] = {"yolo": _write_yolo, "coco": _write_coco}
    _whole_or_not(folder, lambda temporary: writers[to](dataset, temporary))


def write_lists(dataset: Dataset, folder: Path) -> None:
    """Write the splits of a YOLO data set as lists of its images, which stay where they are.

    Args:
        dataset: read from YOLO layout.
        folder: gets `data.yaml`, `train.txt` and the others; must not exist or be empty.

    Raises:
        InputError: the folder is taken or cannot be written.
    """

    def write(temporary: Path) -> None:
        for split, samples in dataset.splits.items():
            lines = "".join(f"{sample.path.resolve()}\n" for sample in samples)
            (temporary / f"{split}.txt").write_text(lines, encoding="utf-8")
        _write_yaml(temporary, {split: f"{split}.txt" for split in dataset.splits}, dataset.names)

    _whole_or_not(folder, write)


def _whole_or_not(folder: Path, write: Callable[[Path], None]) -> None:
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise InputError(f"{folder}: exists already and is not empty. Choose another --out.")
    atomic_dir(folder, write, "Choose another --out.")


def _write_yolo(dataset: Dataset, folder: Path) -> None:
    for split, samples in dataset.splits.items():
        labels = folder / "labels" / split
        labels.mkdir(parents=True)
        for name, sample in _copy_images(samples, folder / "images" / split):
            (labels / name).with_suffix(".txt").write_text("".join(_yolo_lines(sample)), encoding="utf-8")
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
        path.write_text(json.dumps(content, ensure_ascii=False), encoding="utf-8")


def _coco_objects(sample: Sample) -> Iterator[tuple[int, list[float], dict[str, int]]]:
    """Class, box and flags of each object and each ignored region; `ignore` marks the difficult, as in MMDetection."""
    difficult = np.zeros(len(sample.classes), np.bool_) if sample.difficult is None else sample.difficult
    for class_id, box, hard in zip(sample.classes, sample.boxes.astype(float), difficult, strict=True):
        yield int(class_id), box.tolist(), {"iscrowd": 0, **({"ignore": 1} if hard else {})}
    ignored = sample.ignored
    for class_id, box, crowd in zip(ignored.classes, ignored.boxes.astype(float), ignored.crowd, strict=True):
        yield int(class_id), box.tolist(), {"iscrowd": 1} if crowd else {"iscrowd": 0, "ignore": 1}


def _copy_images(samples: Sequence[Sample], folder: Path) -> list[tuple[str, Sample]]:
    """Copy images into one folder; those of the same name get a number."""
    folder.mkdir(parents=True)
    stems: set[str] = set()
    named = []
    for sample in samples:
        stem, number = sample.path.stem, 2
        while stem in stems:
            stem, number = f"{sample.path.stem}-{number}", number + 1
        stems.add(stem)
        name = f"{stem}{sample.path.suffix}"
        shutil.copyfile(sample.path, folder / name)
        named.append((name, sample))
    return named
