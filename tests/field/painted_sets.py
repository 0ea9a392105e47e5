"""Small data sets with painted objects, in the layouts that people have."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tests.field.conftest import COLOURS

SIDE = 96


def paint(image: Path, label: Path | None, number: int, class_id: int | None = None) -> None:
    """Paint an image with a rectangle of its own place, and write its label."""
    class_id = number % 2 if class_id is None else class_id
    x, y = 10 + 6 * (number % 6), 12 + 5 * (number % 7)
    pixels = np.full((SIDE, SIDE, 3), 90, np.uint8)
    pixels[y : y + 34, x : x + 30] = COLOURS[class_id][::-1]
    image.parent.mkdir(parents=True, exist_ok=True)
    done, encoded = cv2.imencode(image.suffix, pixels)
    assert done
    image.write_bytes(encoded.tobytes())
    if label is not None:
        label.parent.mkdir(parents=True, exist_ok=True)
        label.write_text(f"{class_id} {(x + 15) / SIDE} {(y + 17) / SIDE} {30 / SIDE} {34 / SIDE}\n")


def paint_splits(root: Path, images: str = "images/{}", labels: str = "labels/{}", suffix: str = ".png") -> Path:
    """Paint four images to train and two to validate; the folders have the split for `{}`."""
    for split, count in (("train", 4), ("val", 2)):
        for number in range(count):
            name = f"{split}{number}"
            place = 7 * (split == "val") + number
            label = root / labels.format(split) / f"{name}.txt"
            paint(root / images.format(split) / f"{name}{suffix}", label, place, number % 2)
    return root


def write_lists(root: Path, line: str) -> None:
    """Write `train.txt` and `val.txt` of lines that have split and name for `{0}` and `{1}`."""
    for split, count in (("train", 4), ("val", 2)):
        lines = [line.format(split, f"{split}{number}") for number in range(count)]
        (root / f"{split}.txt").write_text("\n".join(lines) + "\n")
