"""The comparison of boxes with what is painted notices a box that lies elsewhere."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
from tests.field.conftest import COLOURS, paint_of


def make_painted(root: Path, shift: float = 0.0) -> Path:
    image = np.full((96, 96, 3), 90, np.uint8)
    image[20:50, 30:70] = COLOURS[1][::-1]
    for split in ("train", "val"):
        (root / "images" / split).mkdir(parents=True)
        (root / "labels" / split).mkdir(parents=True)
        assert cv2.imwrite(str(root / "images" / split / "a.png"), image)
        row = f"1 {50 / 96 + shift} {35 / 96} {40 / 96} {30 / 96}\n"
        (root / "labels" / split / "a.txt").write_text(row)
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [cat, dog]\n")
    return root / "data.yaml"


def test_boxes_on_their_rectangles_are_aligned(tmp_path: Path) -> None:
    painted = paint_of(make_painted(tmp_path))
    assert painted.misaligned == [] and painted.aligned == {("train", "a.png"): 1, ("val", "a.png"): 1}


def test_boxes_beside_their_rectangles_are_not(tmp_path: Path) -> None:
    painted = paint_of(make_painted(tmp_path, shift=0.2))
    assert painted.count == 0 and len(painted.misaligned) == 2
