"""COCO data sets of painted rectangles, changed as people's files differ from the standard."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

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
