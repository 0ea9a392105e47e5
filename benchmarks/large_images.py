"""Draw large images with small objects: 6,000 x 4,000 pixels, objects of 20, as seen from high above.

    python benchmarks/large_images.py FOLDER [--train 2] [--val 1] [--objects 300] [--side 20] [--suffix .jpg]

The ground is uneven, with soft blotches, fine grain and dark lines that are not objects. Objects are discs, squares and
crosses about 20 pixels wide, rotated at random, in a colour that stands out a little, and never on top of each other.
Labels are in YOLO format. The same seed makes the same files.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

CLASSES = ("disc", "square", "cross")
COARSE = 50
"""Size of a blotch of the ground, pixels."""
LINES = 40
"""Dark lines per image of 24 million pixels."""
MARGIN = 2.5
"""Minimum distance between the centres of two objects, in sides."""
TRIES = 50
"""Places tried per object."""

Pixels = NDArray[np.uint8]


def ground(width: int, height: int, rng: np.random.Generator) -> Pixels:
    """Draw the ground: uint8 (height, width, 3)."""
    small = rng.integers(70, 150, (height // COARSE + 2, width // COARSE + 2, 3)).astype(np.uint8)
    image = cv2.resize(cv2.GaussianBlur(small, (0, 0), 1.5), (width, height), interpolation=cv2.INTER_CUBIC)
    grain = cv2.resize(rng.integers(0, 24, (height // 3 + 1, width // 3 + 1)).astype(np.uint8), (width, height))
    image = cv2.subtract(image, np.repeat(grain[..., None], 3, 2))
    for _ in range(round(LINES * width * height / 24e6)):
        start, end = rng.integers(0, (width, height), (2, 2)).tolist()
        cv2.line(image, start, end, rng.integers(20, 70, 3).tolist(), int(rng.integers(2, 12)), cv2.LINE_AA)
    return np.asarray(image, np.uint8)


def place_objects(width: int, height: int, count: int, side: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return the centres (n, 2) of objects that do not touch; fewer than asked for if there is no room."""
    taken = np.zeros((0, 2))
    for _ in range(count):
        some = rng.uniform((side, side), (width - side, height - side), (TRIES, 2))
        distance = np.abs(some[:, None] - taken[None]).max(-1).min(1, initial=np.inf)
        free = np.flatnonzero(distance > MARGIN * side)
        if len(free):
            taken = np.concatenate((taken, some[free[:1]]))
    return taken


def draw_object(image: Pixels, kind: int, middle: NDArray[np.float64], side: float, rng: np.random.Generator) -> None:
    """Draw one object, about `side` pixels wide."""
    x, y = middle
    under = image[int(y), int(x)].astype(int)
    colour = np.clip(under + rng.choice((-1, 1)) * rng.integers(45, 90, 3), 0, 255).tolist()
    half = side / 2
    if kind == 0:
        cv2.circle(image, _fixed((x, y)), int(half * 16), colour, -1, cv2.LINE_AA, 4)
        return
    turn = rng.uniform(-20, 20)
    corners = cv2.boxPoints(((x, y), (side * 0.86, side * 0.86), turn))
    if kind == 1:
        cv2.fillConvexPoly(image, np.array([_fixed(point) for point in corners]), colour, cv2.LINE_AA, 4)
        return
    for one, other in ((0, 2), (1, 3)):
        cv2.line(image, _fixed(corners[one]), _fixed(corners[other]), colour, max(2, round(side / 5)), cv2.LINE_AA, 4)


def _fixed(point: tuple[float, float] | NDArray[np.float32]) -> tuple[int, int]:
    """Return a point in sixteenths of a pixel."""
    return round(float(point[0]) * 16), round(float(point[1]) * 16)


def large_image(
    width: int, height: int, count: int, side: int, rng: np.random.Generator
) -> tuple[Pixels, list[tuple[int, float, float, float, float]]]:
    """Draw an image; return it and its objects: class, and x, y, width, height as fractions of the image."""
    image, rows = ground(width, height, rng), []
    for middle in place_objects(width, height, count, side, rng):
        kind, own = int(rng.integers(len(CLASSES))), side * rng.uniform(0.85, 1.15)
        draw_object(image, kind, middle, own, rng)
        rows.append((kind, middle[0] / width, middle[1] / height, own / width, own / height))
    return image, rows


def write_split(folder: Path, name: str, images: int, options: argparse.Namespace) -> None:
    """Write the images and labels of a split."""
    for kind in ("images", "labels"):
        (folder / kind / name).mkdir(parents=True, exist_ok=True)
    for number in range(images):
        rng = np.random.default_rng((options.seed, name == "val", number))
        image, rows = large_image(options.width, options.height, options.objects, options.side, rng)
        path = folder / "images" / name / f"{number:04d}{options.suffix}"
        cv2.imwrite(str(path), image, [cv2.IMWRITE_JPEG_QUALITY, 92])
        lines = [f"{kind} " + " ".join(f"{value:.7f}" for value in box) for kind, *box in rows]
        (folder / "labels" / name / f"{number:04d}.txt").write_text("\n".join(lines) + "\n")


def main() -> None:
    """Draw a data set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, value in (("train", 2), ("val", 1), ("width", 6000), ("height", 4000), ("objects", 300), ("side", 20)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--suffix", default=".jpg", help="of the image files, e.g. .jpg or .tif")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    for name in ("train", "val"):
        write_split(options.folder, name, getattr(options, name), options)
    names = "".join(f"  {number}: {name}\n" for number, name in enumerate(CLASSES))
    yaml = f"path: {options.folder.resolve()}\ntrain: images/train\nval: images/val\nnames:\n{names}"
    (options.folder / "data.yaml").write_text(yaml)


if __name__ == "__main__":
    main()
