"""What many tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from hypothesis import settings

# Machines are shared, so no deadlines; where CI says so, the same examples each time.
settings.register_profile("lehr", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("lehr")


def _keep_to_a_core() -> None:
    """Has tests that run beside others, and whatever they start, keep to a core of their own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "")
    if worker.startswith("gw") and hasattr(os, "sched_setaffinity"):
        cores = sorted(os.sched_getaffinity(0))
        os.sched_setaffinity(0, {cores[int(worker[2:]) % len(cores)]})


_keep_to_a_core()
SHARED = Path(__file__).parents[2] / "shared"
torch.set_num_threads(max(1, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1))


@pytest.fixture(scope="session", autouse=True)
def _cache_folder(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Generated data goes to a folder of the test run, not to the user's."""
    os.environ.setdefault("LEHR_CACHE", str(tmp_path_factory.mktemp("cache")))


@pytest.fixture(scope="session")
def bccd() -> Path:
    """364 photographs of blood cells in VOC layout."""
    folder = SHARED / "data" / "bccd"
    if not folder.is_dir():
        pytest.skip(f"no data set in {folder}")
    return folder


def draw_squares(path: Path, boxes: list[tuple[int, int, int, int]], side: int = 64, seed: int = 0) -> None:
    """An image with a bright square for each box on dark noise; PNG or JPEG by its name."""
    image = np.random.default_rng(seed).integers(0, 60, (side, side, 3), dtype=np.uint8)
    for x1, y1, x2, y2 in boxes:
        image[y1:y2, x1:x2] = 230
    path.parent.mkdir(parents=True, exist_ok=True)
    assert cv2.imwrite(str(path), image)


MakeYolo = Callable[..., Path]


@pytest.fixture
def make_yolo(tmp_path: Path) -> MakeYolo:
    """Makes a small YOLO data set: one square an image, its class by its side; returns the data YAML."""

    def make(name: str = "data", counts: dict[str, int] | None = None, suffix: str = ".jpg") -> Path:
        root = tmp_path / name
        for split, count in (counts or {"train": 6, "val": 4}).items():
            (root / "images" / split).mkdir(parents=True, exist_ok=True)
            (root / "labels" / split).mkdir(parents=True, exist_ok=True)
            for i in range(count):
                size = 16 if i % 2 == 0 else 28
                x, y = 4 + 3 * i % 20, 6 + 2 * i % 20
                seed = 1000 * len(split) + i + 7 * len(name)
                draw_squares(root / "images" / split / f"{i}{suffix}", [(x, y, x + size, y + size)], seed=seed)
                row = f"{i % 2} {(x + size / 2) / 64} {(y + size / 2) / 64} {size / 64} {size / 64}\n"
                (root / "labels" / split / f"{i}.txt").write_text(row)
        yaml = root / "data.yaml"
        yaml.write_text("train: images/train\nval: images/val\nnames: [small, large]\n")
        return yaml

    return make
