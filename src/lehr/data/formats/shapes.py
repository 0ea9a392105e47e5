"""`shapes`: a generated data set, the same on every machine, to try everything on.

Discs, squares, triangles, stars and crosses, each about a hue of its own, from tiny to large, turned, overlapping and
partly hidden, on textured backgrounds with clutter. All drawing is integer arithmetic on draws of a
counter-based generator.
"""

from __future__ import annotations

import colorsys
import math
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from lehr.data.formats.data_format import DataFormat
from lehr.data.formats.yolo import load_yolo
from lehr.data.images import write_image
from lehr.errors import InputError
from lehr.rng import generator
from lehr.runtime.atomic_write import atomic_dir
from lehr.runtime.cache_folder import cached, make_cache_folder
from lehr.sample import Dataset

NAMES = ("disc", "square", "triangle", "star", "cross")
SIDE = 128
"""Side of an image, pixels."""
COUNTS = {"train": 480, "val": 120, "test": 120}
VERSION = 3
"""Raised whenever the images change; each version has a folder of its own."""

HUE_SPREAD = 30
"""Largest distance of a colour from the hue of its class, degrees; the hues are 72 apart."""
MIN_VISIBLE = 0.6
"""Share of an object's pixels that later objects leave visible, 0 to 1."""
SMALLEST, LARGEST = 12, 88
"""Longer side of an object, pixels."""

FIXED_POINT = 4
"""Fractional bits of the coordinates that OpenCV draws."""


@dataclass(frozen=True, slots=True)
class GeneratedSample:
    """A generated image: uint8 (SIDE, SIDE, 3) RGB, boxes (n, 4) xyxy pixels, classes (n,)."""

    image: NDArray[np.uint8]
    boxes: NDArray[np.int64]
    classes: NDArray[np.int64]


def load_shapes() -> Dataset:
    """The data set, generated on first use into the cache folder (`LEHR_CACHE`, else the system's).

    Raises:
        InputError: that folder cannot be written.
    """
    folder = cached(f"shapes-{VERSION}")
    if not (folder / "data.yaml").is_file():
        make_cache_folder(".")
        write_shapes(folder)
    dataset = load_yolo(folder / "data.yaml")
    return Dataset("shapes", dataset.names, dataset.splits, dataset.faults)


def write_shapes(folder: Path, counts: dict[str, int] | None = None) -> None:
    """Generate the data set in YOLO layout; the folder appears whole or not at all.

    Args:
        folder: where; must not exist or be empty.
        counts: images of each split.

    Raises:
        InputError: it cannot be written.
    """
    counts = counts or COUNTS

    def write(temporary: Path) -> None:
        jobs = []
        for split, count in counts.items():
            for kind in ("images", "labels"):
                (temporary / kind / split).mkdir(parents=True)
            jobs += [(temporary, split, index) for index in range(count)]
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            list(pool.map(_write_sample, jobs))
        lines = [*(f"{split}: images/{split}" for split in counts), "names:", *(f"  - {name}" for name in NAMES)]
        (temporary / "data.yaml").write_text("\n".join(lines) + "\n", encoding="utf-8")

    try:
        atomic_dir(folder, write, "Set LEHR_CACHE to a writable folder.")
    except InputError:
        if not (folder / "data.yaml").is_file():  # else another process was faster, with the same images
            raise


def _write_sample(job: tuple[Path, str, int]) -> None:
    folder, split, index = job
    sample = generate_sample(split, index)
    write_image(folder / "images" / split / f"{index:04d}.png", sample.image)
    rows = []
    for class_id, (x1, y1, x2, y2) in zip(sample.classes, sample.boxes.tolist(), strict=True):
        values = ((x1 + x2) / 2 / SIDE, (y1 + y2) / 2 / SIDE, (x2 - x1) / SIDE, (y2 - y1) / SIDE)
        rows.append(f"{class_id} " + " ".join(f"{value:.6f}" for value in values))
    (folder / "labels" / split / f"{index:04d}.txt").write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")


def generate_sample(split: str, index: int) -> GeneratedSample:
    """Generate the sample of a split at an index."""
    rng = generator(VERSION, f"shapes {split}", index=index)
    image = _background(rng)
    grain = _texture(rng, 16, 20) + rng.integers(-8, 9, (SIDE, SIDE, 3), np.int32)
    owner = np.full((SIDE, SIDE), -1, np.int64)
    boxes: list[tuple[int, int, int, int]] = []
    classes: list[int] = []
    areas: list[int] = []
    for _ in range(int(rng.integers(1, 7))):
        class_id = int(rng.integers(len(NAMES)))
        mask = _mask(rng, class_id)
        if not _fits(mask, owner, areas):
            continue
        ys, xs = np.nonzero(mask)
        boxes.append((int(xs.min()), int(ys.min()), int(xs.max()) + 1, int(ys.max()) + 1))
        classes.append(class_id)
        areas.append(len(xs))
        owner[mask] = len(boxes) - 1
        colour = _colour(rng, class_id)
        image[mask] = np.clip(colour + grain[mask], 0, 255).astype(np.uint8)
    return GeneratedSample(image, np.array(boxes, np.int64).reshape(-1, 4), np.array(classes, np.int64))


def _fits(mask: NDArray[np.bool_], owner: NDArray[np.int64], areas: list[int]) -> bool:
    """Return whether an object may be drawn: itself inside the image, and hiding no other one too much."""
    if not mask.any():
        return False
    left = np.bincount(owner[~mask & (owner >= 0)], minlength=len(areas))
    return all(visible >= MIN_VISIBLE * area for visible, area in zip(left, areas, strict=True))


def _texture(rng: np.random.Generator, cells: int, strength: int) -> NDArray[np.int32]:
    """Coloured noise (SIDE, SIDE, 3) between -strength and strength: random values on a grid, interpolated."""
    grid = rng.integers(-strength, strength + 1, (cells + 1, cells + 1, 3), np.int32)
    position = np.arange(SIDE, dtype=np.int32) * cells
    cell, part = position // SIDE, position % SIDE
    rows = grid[cell] * (SIDE - part)[:, None, None] + grid[cell + 1] * part[:, None, None]
    both = rows[:, cell] * (SIDE - part)[None, :, None] + rows[:, cell + 1] * part[None, :, None]
    return np.asarray(both // (SIDE * SIDE), np.int32)


def _background(rng: np.random.Generator) -> NDArray[np.uint8]:
    """Muted clouds, grain, and lines of all colours as clutter: edges that are not object."""
    shade = int(rng.integers(50, 206))
    tint = rng.integers(-20, 21, 3, np.int32)
    grey = _texture(rng, 3, 45)[..., :1] + _texture(rng, 12, 20)[..., :1]
    image = shade + tint + grey + _texture(rng, 6, 15) + rng.integers(-8, 9, (SIDE, SIDE, 3), np.int32)
    canvas = np.ascontiguousarray(np.clip(image, 0, 255).astype(np.uint8))
    for _ in range(int(rng.integers(0, 5))):
        ends = rng.integers(0, SIDE, 4).tolist()
        colour = rng.integers(0, 256, 3).tolist()
        cv2.line(canvas, (ends[0], ends[1]), (ends[2], ends[3]), colour, int(rng.integers(1, 4)))
    return canvas


def _colour(rng: np.random.Generator, class_id: int) -> NDArray[np.int32]:
    """A colour (3,) of a class: about its own hue, strong or pale, bright or dark."""
    hue = (class_id * 360 // len(NAMES) + int(rng.integers(-HUE_SPREAD, HUE_SPREAD + 1))) % 360
    saturation, value = int(rng.integers(50, 101)), int(rng.integers(45, 101))
    parts = colorsys.hsv_to_rgb(hue / 360, saturation / 100, value / 100)
    return np.array([round(part * 255) for part in parts], np.int32)


def _mask(rng: np.random.Generator, class_id: int) -> NDArray[np.bool_]:
    """The pixels of a random object of a class, at a random place, wholly inside the image."""
    # Sizes are even on a logarithmic scale: as many tiny objects as large ones.
    steps = 64
    step = int(rng.integers(0, steps + 1))
    size = round(SMALLEST * (LARGEST / SMALLEST) ** (step / steps))
    angle = int(rng.integers(0, 360))
    unit = _outline(NAMES[class_id], angle)
    low, high = unit.min(0), unit.max(0)
    # The outline's longer side becomes `size`; the place keeps all of it inside.
    scale = size / float((high - low).max())
    extent = np.ceil((high - low) * scale).astype(np.int64) + 1
    x, y = (int(rng.integers(0, max(1, SIDE - int(side)))) for side in extent)
    points = (unit - low) * scale + [x, y]
    canvas = np.zeros((SIDE, SIDE), np.uint8)
    fixed = np.round(points * 2**FIXED_POINT).astype(np.int32)
    cv2.fillPoly(canvas, [fixed], (1,), shift=FIXED_POINT)
    return canvas.astype(np.bool_)


def _outline(name: str, angle: int) -> NDArray[np.float64]:
    """The corners (n, 2) of a class, turned by an angle in degrees, rounded so that all machines agree."""

    def at(degrees: float, radius: float = 1.0) -> tuple[float, float]:
        turned = math.radians(degrees + angle)
        return round(radius * math.cos(turned), 6), round(radius * math.sin(turned), 6)

    corners = {
        "disc": lambda: [at(10 * i) for i in range(36)],
        "square": lambda: [at(45 + 90 * i) for i in range(4)],
        "triangle": lambda: [at(120 * i) for i in range(3)],
        "star": lambda: [at(36 * i, 1.0 if i % 2 == 0 else 0.42) for i in range(10)],
        "cross": lambda: [
            at(90 * arm + side, radius) for arm in range(4) for side, radius in ((-18, 1.0), (18, 1.0), (45, 0.44))
        ],
    }
    return np.array(corners[name](), np.float64)


SHAPES = DataFormat(
    "shapes",
    lambda source: ["it is the name of the generated data set"] if source == "shapes" else [],
    lambda source, seed: load_shapes(),
)
