"""Read a large data set three times: processor time, images per second, memory.

A few images and their label files are linked under many names, so that they take almost no disk space. Each reading is
a separate process.

    python benchmarks/data_start.py --images 100000
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np

DIFFERENT = 50
"""Number of distinct images; a file system limits the number of links to one file."""
READ = """
import resource, sys, time
started = time.time()
from lehr.data.load import load_dataset
dataset = load_dataset(sys.argv[1])
seconds = time.time() - started
images = sum(map(len, dataset.splits.values()))
processor = time.process_time()
memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{images:,} images, {len(dataset.faults)} faults: {processor:.2f} s of processor time, {images / seconds:,.0f} "
      f"images per second, {memory:.0f} MiB")
"""


def make(root: Path, images: int) -> Path:
    """Link images and labels; a fifth of them is the validation split."""
    rng = np.random.default_rng(0)
    seed = root / "seed"
    seed.mkdir()
    for number in range(DIFFERENT):
        cv2.imwrite(str(seed / f"{number}.jpg"), rng.integers(0, 255, (240, 320, 3), dtype=np.uint8))
        rows = [f"{row % 3} {0.2 + row / 20} {0.3 + number / 200} 0.1 0.12\n" for row in range(2 + number % 8)]
        (seed / f"{number}.txt").write_text("".join(rows))
    for split, count in (("train", images * 4 // 5), ("val", images - images * 4 // 5)):
        for kind, suffix in (("images", ".jpg"), ("labels", ".txt")):
            folder = root / kind / split
            folder.mkdir(parents=True)
            for number in range(count):
                os.link(seed / f"{number % DIFFERENT}{suffix}", folder / f"{number:07}{suffix}")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [disc, square, star]\n")
    return root / "data.yaml"


def main() -> None:
    """Make the data set, and read it three times."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=100_000)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        yaml = make(Path(name), given.images)
        environment = {**os.environ, "LEHR_CACHE": str(Path(name) / "cache")}
        for which in ("first", "second", "third"):
            command = [sys.executable, "-c", READ, str(yaml)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
            print(f"{which}: {done.stdout.strip()}", flush=True)


if __name__ == "__main__":
    main()
