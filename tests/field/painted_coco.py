"""COCO data sets of painted rectangles, changed as people's files differ from the standard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tests.field.conftest import Painted

from lehr.data.faults import KINDS
from lehr.data.load import load_dataset
from lehr.errors import InputError
from lehr.sample import Dataset

COLOURS = [(230, 20, 20), (20, 20, 230), (20, 200, 20), (220, 200, 20)]
Content = dict[str, Any]
SIZE = (128, 96)


def paint(path: Path, box: tuple[int, int, int, int], class_id: int, size: tuple[int, int] = SIZE, **save: Any) -> None:
    """Write an image with one rectangle, xyxy, in its class's colour."""
    pixels = np.random.default_rng(0).integers(60, 120, (size[1], size[0], 3), dtype=np.uint8)
    pixels[box[1] : box[3], box[0] : box[2]] = COLOURS[class_id]
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path, **save)


def content_of(split: str, count: int) -> Content:
    """A JSON of images with one rectangle each: x, y, width, height = 8 + 5i, 6 + 4i, 42, 48; classes take turns."""
    images, annotations = [], []
    for i in range(count):
        images.append({"id": i + 1, "file_name": f"{split}{i}.png", "width": SIZE[0], "height": SIZE[1]})
        box = [8 + 5 * i, 6 + 4 * i, 42, 48]
        annotation = {"id": i + 1, "image_id": i + 1, "category_id": 1 + i % 2, "bbox": box, "iscrowd": 0}
        annotations.append(annotation)
    categories = [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}]
    return {"images": images, "annotations": annotations, "categories": categories}


def box_of(i: int) -> tuple[int, int, int, int]:
    """The rectangle of an image, xyxy."""
    return 8 + 5 * i, 6 + 4 * i, 50 + 5 * i, 54 + 4 * i


def make(
    root: Path,
    change: Callable[[Content], object] = lambda content: None,
    *,
    train: str = "annotations/instances_train.json",
    val: str = "annotations/instances_val.json",
    images: str = "{split}",
    counts: tuple[int, int] = (4, 2),
    paint_images: bool = True,
) -> Path:
    """Make a data set of two splits, whose JSON are changed; returns its folder."""
    for split, place, count in (("train", train, counts[0]), ("val", val, counts[1])):
        content = content_of(split, count)
        for i in range(count if paint_images else 0):
            paint(root / images.format(split=split) / f"{split}{i}.png", box_of(i), i % 2)
        change(content)
        path = root / place
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(content), encoding="utf-8")
    return root


Paint = Callable[..., Painted]


def aligned(painted: Paint, source: Path | str, count: int) -> Dataset:
    """Read a data set, of whose boxes all lie on their rectangles."""
    seen = painted(source)
    assert seen.misaligned == [] and seen.count == count
    assert {fault.kind for fault in seen.dataset.faults} <= KINDS.keys()
    return seen.dataset


def said(dataset: Dataset, *words: str) -> None:
    """Each word is in the messages of faults, and no message is an error."""
    text = "\n".join(str(fault) for fault in dataset.faults)
    assert [word for word in words if word not in text] == [], text
    assert not dataset.errors, text


def refused(source: Path | str, *words: str) -> None:
    with pytest.raises(InputError) as raised:
        load_dataset(str(source))
    text = str(raised.value)
    assert [word for word in words if word not in text] == [], text


def each(content: Content, **values: Any) -> None:
    """Set fields of all annotations; a function is given the annotation."""
    for annotation in content["annotations"]:
        annotation |= {key: value(annotation) if callable(value) else value for key, value in values.items()}


def polygon(annotation: Content) -> list[float]:
    x, y, w, h = annotation["bbox"]
    return [x, y, x + w, y, x + w, y + h, x, y + h]


def corners(annotation: Content) -> list[float]:
    x, y, w, h = annotation["bbox"]
    return [x, y, x + w, y + h]


def runs(annotation: Content) -> Content:
    """The mask of a box, uncompressed."""
    x, y, w, h = annotation["bbox"]
    mask = np.zeros((SIZE[1], SIZE[0]), np.int8)
    mask[y : y + h, x : x + w] = 1
    flat = np.concatenate(([0], mask.T.ravel(), [-1]))
    ends = np.flatnonzero(np.diff(flat) != 0)
    ends = ends if flat[1] == 0 else np.concatenate(([0], ends))
    return {"size": [SIZE[1], SIZE[0]], "counts": np.diff(ends, prepend=0).tolist()}
