"""Draw a data set of JPEG files that cost as much to decode as photographs: noise of all frequencies, and shapes.

    python benchmarks/photographs.py FOLDER [--train 5000] [--val 64] [--width 640] [--height 480] [--seed 0]

Each image has 3 to 12 shapes, rectangles and ellipses, which are the objects. Labels are in YOLO format. The same seed
makes the same files. They are useful only for measuring speed.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("rectangle", "ellipse")
SCALES = (2, 4, 8, 16, 32, 64)
"""Sizes of the blotches of noise, pixels."""
QUALITY = 92
Image = NDArray[np.uint8]


def background(width: int, height: int, rng: np.random.Generator) -> NDArray[np.float32]:
    """Draw noise whose larger blotches are stronger, as in photographs."""
    out = np.full((height, width, 3), 114, np.float32)
    for size in SCALES:
        noise = rng.normal(0, 3 * size**0.7, (height // size + 2, width // size + 2, 3)).astype(np.float32)
        out += cv2.resize(noise, (width, height), interpolation=cv2.INTER_LINEAR)
    return out


def draw_photograph(field: NDArray[np.float32], rng: np.random.Generator) -> tuple[Image, list[str]]:
    """Draw shapes on a shifted and mirrored background; return the image and its labels."""
    height, width = field.shape[:2]
    moved = np.roll(field, rng.integers(0, (height, width)), (0, 1))[:, :: int(rng.choice((-1, 1)))]
    image = np.ascontiguousarray((moved + rng.normal(0, 6, (height, width, 1))).clip(0, 255), np.uint8)
    rows = []
    for _ in range(int(rng.integers(3, 13))):
        kind, half = int(rng.integers(2)), rng.integers(8, min(width, height) // 5, 2)
        x, y = rng.integers(half, (width, height) - half).tolist()
        colour = rng.integers(0, 256, 3).tolist()
        if kind == 0:
            cv2.rectangle(image, (x - int(half[0]), y - int(half[1])), (x + int(half[0]), y + int(half[1])), colour, -1)
        else:
            cv2.ellipse(image, (x, y), half.tolist(), 0, 0, 360, colour, -1)
        shares = np.array([x, y, 2 * half[0], 2 * half[1]]) / (width, height, width, height)
        rows.append(f"{kind} " + " ".join(f"{share:.6f}" for share in shares))
    return image, rows


def write(folder: Path, split: str, count: int, size: tuple[int, int], rng: np.random.Generator) -> None:
    """Write the images of a split and their labels."""
    images, labels = folder / "images" / split, folder / "labels" / split
    images.mkdir(parents=True, exist_ok=True)
    labels.mkdir(parents=True, exist_ok=True)
    fields = [background(*size, rng) for _ in range(8)]
    for number in range(count):
        image, rows = draw_photograph(fields[number % len(fields)], rng)
        cv2.imwrite(str(images / f"{number:06}.jpg"), image, [cv2.IMWRITE_JPEG_QUALITY, QUALITY])
        (labels / f"{number:06}.txt").write_text("\n".join(rows) + "\n", encoding="utf-8")


def main() -> None:
    """Write the data set and its data YAML."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--train", type=int, default=5000)
    parser.add_argument("--val", type=int, default=64)
    parser.add_argument("--width", type=int, default=640)
    parser.add_argument("--height", type=int, default=480)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    rng, size = np.random.default_rng(given.seed), (given.width, given.height)
    write(given.folder, "train", given.train, size, rng)
    write(given.folder, "val", given.val, size, rng)
    names = "\n".join(f"  {number}: {name}" for number, name in enumerate(CLASSES))
    text = f"path: {given.folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}\n"
    (given.folder / "data.yaml").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
