"""Compare training and evaluation on tiles with those on whole images, at the same network size.

    python benchmarks/tiled_training.py large [--folder FOLDER]
    python benchmarks/tiled_training.py boards

`large` draws images of 6,000 x 4,000 pixels with objects of 20 pixels (`large_images.py`), `boards` draws circuit
boards of 640 pixels with small defects of six classes (`boards.py`). The same small network is trained twice for the
same number of steps: on whole images, reduced to its size, and on tiles of its size. Each is evaluated as it was
trained, in pixels of the whole images. On one core of a laptop, either takes about ten minutes.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lehr.config import build_config
from lehr.engine.run import train
from lehr.evaluation.metrics import Metrics

HERE = Path(__file__).parent


@dataclass(frozen=True, slots=True)
class Case:
    """A data set, and how it is trained on.

    Attributes:
        draw: program that draws it, and its arguments.
        images: images of its training split.
        size: side of the network's input, and of the tiles, pixels.
        tiles: tiles per image.
        batch: tiles per step.
        epochs: epochs on tiles.
        options: options of the training on tiles.
    """

    draw: tuple[str, ...]
    images: int
    size: int
    tiles: int
    batch: int
    epochs: int
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def steps(self) -> int:
        """Steps of the training on tiles."""
        return self.epochs * -(-self.images * self.tiles // self.batch)


BOARDS = {"overlap": 0.3, "background_share": 0.1, "warmup_epochs": 0.5}
CASES = {
    "large": Case(("large_images.py", "--train", "2", "--val", "1"), 2, 320, 384, 8, 8),
    "boards": Case(("boards.py", "--train", "60", "--val", "20"), 60, 96, 100, 16, 4, BOARDS),
}


def trained(case: Case, data: Path, folder: Path, **options: Any) -> Metrics:
    """Train, and return the numbers of the best epoch on the validation split."""
    common = {"model": "yolov8n", "width": 0.125, "imgsz": case.size, "device": "cpu", "amp": "off", "patience": 0}
    config = build_config({"data": str(data), "project": folder, **common, **options})
    return train(config).metrics


def main() -> None:
    """Draw, train, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("case", choices=CASES)
    parser.add_argument("--folder", type=Path, help="folder for data and runs (default: a temporary one)")
    given = parser.parse_args()
    case = CASES[given.case]
    with tempfile.TemporaryDirectory() as temporary:
        folder = given.folder or Path(temporary)
        program, *arguments = case.draw
        subprocess.run([sys.executable, HERE / program, folder / "data", *arguments], check=True)
        data = next((folder / "data").glob("*.yaml"))
        batch = min(case.batch, case.images)
        epochs = case.steps // -(-case.images // batch)
        whole = trained(case, data, folder, name="whole", batch=batch, epochs=epochs)
        tiled = trained(
            case, data, folder, name="tiled", batch=case.batch, epochs=case.epochs, tile=case.size, **case.options
        )
    print(f"\n{given.case}: yolov8n of an eighth of the width at {case.size} pixels, {case.steps} steps each\n")
    print("| trained and evaluated on | precision | recall | mAP50 | mAP50-95 |\n|---|---|---|---|---|")
    for name, found in (("whole images", whole), (f"tiles of {case.size} pixels", tiled)):
        print(f"| {name} | {found.precision:.3f} | {found.recall:.3f} | {found.map50:.3f} | {found.map:.3f} |")
    print(f"\nRecall on tiles: {tiled.recall / max(whole.recall, 1e-3):.1f} times that on whole images, or more.")


if __name__ == "__main__":
    main()
