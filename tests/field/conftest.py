"""Inputs that people have really met, each a small folder with what is expected of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from tests.conftest import SHARED

from lehr.data.cache import ImageStore
from lehr.data.load import load_dataset
from lehr.sample import Dataset

CASES = SHARED / "field" / "cases"
COLOURS = np.array([(230, 20, 20), (20, 20, 230), (20, 200, 20), (220, 200, 20)])
"""What an object of each class is painted in, RGB; classes above begin anew."""

MakeCase = Callable[[str], Path]


@pytest.fixture
def case(tmp_path: Path) -> MakeCase:
    """Copies the folder of a case, links kept, to where it may be changed."""

    def copied(name: str) -> Path:
        if not (CASES / name).is_dir():
            pytest.skip(f"no case in {CASES / name}")
        folder = tmp_path / name
        shutil.copytree(CASES / name, folder, symlinks=True)
        return folder

    return copied


@dataclass(slots=True)
class Painted:
    """Boxes of a data set, compared with the rectangles painted in its images.

    Attributes:
        dataset: as read.
        aligned: boxes that lie on a rectangle of their class's colour, by split and image name.
        misaligned: a line for each that does not.
    """

    dataset: Dataset
    aligned: dict[tuple[str, str], int] = field(default_factory=dict)
    misaligned: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """Boxes that lie on their rectangles."""
        return sum(self.aligned.values())


def paint_of(source: str | Path, imgsz: int = 96) -> Painted:
    """Read a data set, decode its images as training does, and look beneath each box."""
    dataset = load_dataset(str(source))
    painted = Painted(dataset)
    for split, samples in dataset.splits.items():
        store = ImageStore(samples, imgsz)
        for index, sample in enumerate(samples):
            image, (width, height) = store(index)
            scale = np.array([image.shape[1] / width, image.shape[0] / height] * 2)
            for box, class_id in zip(sample.boxes * scale, sample.classes.tolist(), strict=True):
                x1, y1, x2, y2 = box.tolist()
                inset_x, inset_y = (x2 - x1) / 4, (y2 - y1) / 4
                left, top = int(x1 + inset_x), int(y1 + inset_y)
                right, bottom = max(int(x2 - inset_x), left + 1), max(int(y2 - inset_y), top + 1)
                patch = image[top:bottom, left:right].reshape(-1, 3).astype(float)
                near = np.abs(patch - COLOURS[class_id % len(COLOURS)]).sum(1) < 120
                if len(patch) and near.mean() > 0.8:
                    key = (split, sample.path.name)
                    painted.aligned[key] = painted.aligned.get(key, 0) + 1
                else:
                    mean = patch.mean(0).round().tolist() if len(patch) else None
                    painted.misaligned.append(f"{split} {sample.path} class {class_id} {box.tolist()}: {mean}")
    return painted


@pytest.fixture
def painted() -> Callable[..., Painted]:
    """Reads a data set and looks beneath each box."""
    return paint_of
